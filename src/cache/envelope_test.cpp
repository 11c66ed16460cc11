#include <millrace/cache/envelope.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view old_key =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

const envelope_facts facts{.version = 42,
                           .created_at = timestamp{1'767'225'600s},
                           .expires_at = timestamp{1'767'225'900s},
                           .load_time = 12ms};

key_ring ring_of(std::string_view text) {
  auto made = key_ring::parse(text, "CACHE_ENCRYPTION_KEY");
  EXPECT_TRUE(made) << made.error().detail;
  return std::move(*made);
}

envelope_fault fault_of(std::string_view key, std::string_view bytes,
                        const key_ring* ring = nullptr,
                        std::size_t most = envelope_value_bytes_max) {
  const auto opened = open_envelope(key, bytes, ring, most);
  EXPECT_FALSE(opened);
  return opened ? envelope_fault{99} : opened.error();
}

TEST(Envelope, GivesBackWhatWentIn) {
  const std::string data("{\"a\":\0 1}", 9);
  const std::string sealed = seal_envelope("k", facts, "application/json", data, {});
  const auto opened = open_envelope("k", sealed, nullptr);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->facts, facts);
  EXPECT_EQ(opened->content_type, "application/json");
  EXPECT_EQ(opened->data, data);
  EXPECT_FALSE(opened->sensitive);
}

// The bytes are a contract between versions of the program.
TEST(Envelope, HasTheFormatThatItSays) {
  const std::string sealed = seal_envelope("k", facts, "t", "data", {});
  EXPECT_EQ(sealed.substr(0, 4), std::string("mc\x01\x00", 4));
  EXPECT_EQ(sealed.substr(4, 8), std::string("\x2a\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(sealed.substr(28, 8), std::string("\xe0\x2e\0\0\x04\0\0\0", 8));
  EXPECT_EQ(sealed.substr(36), std::string("\x01tdata"));
}

TEST(Envelope, CompressesWhatIsLargeAndGetsSmaller) {
  const std::string repeated(10'000, 'x');
  const envelope_options options{.compress_above = 1024};
  const std::string sealed = seal_envelope("k", facts, "", repeated, options);
  EXPECT_LT(sealed.size(), 200U);
  EXPECT_EQ(open_envelope("k", sealed, nullptr)->data, repeated);
  const std::string small(1000, 'x');
  EXPECT_GT(seal_envelope("k", facts, "", small, options).size(), 1000U);
  std::string random;
  std::uint64_t state = 1;
  for (int i = 0; i < 5000; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    random += static_cast<char>(state >> 56);
  }
  const std::string kept = seal_envelope("k", facts, "", random, options);
  EXPECT_LE(kept.size(), random.size() + 37);
  EXPECT_EQ(open_envelope("k", kept, nullptr)->data, random);
}

TEST(Envelope, KeepsThatThereIsNone) {
  envelope_facts none = facts;
  none.negative = true;
  const auto opened = open_envelope("k", seal_envelope("k", none, "", "", {}), nullptr);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->facts.negative);
  EXPECT_EQ(opened->data, "");
}

TEST(Envelope, EncryptsForOneKeyOfTheCache) {
  const key_ring ring = ring_of(old_key);
  const std::string secret = "a very secret " + std::string(3000, 'x');
  for (const std::optional<std::size_t> above :
       {std::optional<std::size_t>{}, {std::size_t{100}}}) {
    const envelope_options options{.compress_above = above, .ring = &ring};
    const std::string sealed = seal_envelope("auth:1", facts, "text/plain", secret, options);
    EXPECT_EQ(sealed.find("very secret"), std::string::npos);
    EXPECT_NE(sealed, seal_envelope("auth:1", facts, "text/plain", secret, options));
    const auto opened = open_envelope("auth:1", sealed, &ring);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->data, secret);
    EXPECT_EQ(opened->facts, facts);
    EXPECT_TRUE(opened->sensitive);
    EXPECT_EQ(fault_of("auth:2", sealed, &ring), envelope_fault::forged);
    EXPECT_EQ(fault_of("auth:1", sealed), envelope_fault::unknown_key);
  }
}

TEST(Envelope, NoticesEveryChangedByteOfAnEncryptedOne) {
  const key_ring ring = ring_of(old_key);
  const std::string sealed = seal_envelope("k", facts, "t", "data", {.ring = &ring});
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(open_envelope("k", changed, &ring)) << i;
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(open_envelope("k", sealed.substr(0, size), &ring)) << size;
  }
}

TEST(Envelope, AnOldKeyStillReads) {
  const std::string fresh = key_ring::generate();
  const key_ring before = ring_of(old_key);
  const key_ring both = ring_of(fresh + "\n" + std::string(old_key));
  const key_ring after = ring_of(fresh);
  const std::string sealed = seal_envelope("k", facts, "t", "data", {.ring = &before});
  EXPECT_EQ(open_envelope("k", sealed, &both)->data, "data");
  EXPECT_EQ(fault_of("k", sealed, &after), envelope_fault::unknown_key);
  const std::string again = seal_envelope("k", facts, "t", "data", {.ring = &both});
  EXPECT_EQ(open_envelope("k", again, &after)->data, "data");
  EXPECT_EQ(fault_of("k", again, &before), envelope_fault::unknown_key);
}

TEST(Envelope, SaysWhyItCannotBeRead) {
  const std::string sealed = seal_envelope("k", facts, "t", "data", {});
  EXPECT_EQ(fault_of("k", ""), envelope_fault::foreign);
  EXPECT_EQ(fault_of("k", "{\"data\":1}"), envelope_fault::foreign);
  EXPECT_EQ(fault_of("k", "mc"), envelope_fault::damaged);
  EXPECT_EQ(fault_of("k", sealed.substr(0, 20)), envelope_fault::damaged);
  EXPECT_EQ(fault_of("k", sealed.substr(0, sealed.size() - 1)), envelope_fault::damaged);
  EXPECT_EQ(fault_of("k", sealed + "x"), envelope_fault::damaged);
  EXPECT_EQ(fault_of("k", sealed, nullptr, 3), envelope_fault::too_large);
  std::string other = sealed;
  other[2] = 2;
  EXPECT_EQ(fault_of("k", other), envelope_fault::newer);
  other = sealed;
  other[3] = 8;
  EXPECT_EQ(fault_of("k", other), envelope_fault::newer);
  other[3] = 1;
  EXPECT_EQ(fault_of("k", other), envelope_fault::damaged);
}

// A small entry that claims to be huge takes no memory.
TEST(Envelope, DoesNotBelieveALengthBeyondTheLimit) {
  std::string sealed = seal_envelope("k", facts, "t", "data", {});
  sealed.replace(32, 4, "\xff\xff\xff\xff");
  EXPECT_EQ(fault_of("k", sealed), envelope_fault::too_large);
}

}  // namespace
}  // namespace millrace::cache
