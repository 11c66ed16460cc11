#include <millrace/secrets/key_ring.hpp>

#include <millrace/secrets/sealed_text.hpp>
#include <millrace/secrets/secret_bytes.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

namespace millrace::secrets {
namespace {

constexpr std::string_view old_key =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

key_ring ring_of(std::string_view text) {
  auto made = key_ring::parse(text, "CACHE_ENCRYPTION_KEY");
  EXPECT_TRUE(made) << made.error().detail;
  return std::move(*made);
}

TEST(KeyRing, ReadsHexadecimalAndBase64) {
  const std::string made = key_ring::generate();
  const key_ring ring = ring_of("# newest\n" + made + " \r\n\n" + std::string(old_key) + ",");
  EXPECT_EQ(ring.size(), 2U);
  EXPECT_EQ(ring.newest(), ring_of(made).newest());
  EXPECT_TRUE(ring.has(ring_of(old_key).newest()));
  EXPECT_NE(key_ring::generate(), made);
}

TEST(KeyRing, RefusesWhatIsNoKeyWithoutShowingIt) {
  for (const std::string& text :
       {std::string(""), std::string("# none"), std::string("hunter2"), std::string(63, 'a'),
        std::string(64, 'g'), std::string(old_key) + "," + std::string(old_key)}) {
    const auto made = key_ring::parse(text, "CACHE_ENCRYPTION_KEY");
    ASSERT_FALSE(made) << text;
    EXPECT_EQ(made.error().field, "CACHE_ENCRYPTION_KEY");
    EXPECT_EQ(made.error().detail.find("hunter2"), std::string::npos);
  }
  std::string many;
  for (std::size_t i = 0; i <= ring_keys_max; ++i) many += key_ring::generate() + "\n";
  EXPECT_FALSE(key_ring::parse(many, "keys"));
}

TEST(SecretBytes, AreWipedAndMove) {
  secret_bytes first(4);
  std::ranges::fill(first.bytes(), 'x');
  secret_bytes second = std::move(first);
  EXPECT_EQ(first.size(), 0U);
  EXPECT_EQ(second.text(), "xxxx");
  second.wipe();
  EXPECT_EQ(second.size(), 0U);
  std::string other = "secret";
  wipe(other);
  EXPECT_EQ(other, std::string(6, '\0'));
}

TEST(SealedText, GivesBackWhatWentIn) {
  const key_ring ring = ring_of(old_key);
  const std::string sealed = seal_text(R"({"cart":[7]})", "session cart", ring);
  EXPECT_TRUE(is_sealed_text(sealed));
  EXPECT_EQ(sealed.find("cart"), std::string::npos);
  const auto opened = open_text(sealed, "session cart", &ring);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->text(), R"({"cart":[7]})");
  EXPECT_NE(seal_text("1", "k", ring), seal_text("1", "k", ring));
}

TEST(SealedText, AnOldKeyStillReads) {
  const std::string sealed = seal_text("old", "k", ring_of(old_key));
  const key_ring both = ring_of(key_ring::generate() + "\n" + std::string(old_key));
  ASSERT_TRUE(open_text(sealed, "k", &both));
  EXPECT_EQ(open_text(sealed, "k", &both)->text(), "old");
}

TEST(SealedText, OpensNothingThatIsNotItsOwn) {
  const key_ring ring = ring_of(old_key);
  const key_ring other = ring_of(key_ring::generate());
  const std::string sealed = seal_text("secret", "a", ring);
  EXPECT_FALSE(open_text(sealed, "b", &ring)) << "of another field";
  EXPECT_FALSE(open_text(sealed, "a", &other));
  EXPECT_FALSE(open_text(sealed, "a", nullptr));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    const auto opened = open_text(changed, "a", &ring);
    // The last character may have bits that stand for nothing.
    EXPECT_TRUE(!opened || (i + 2 >= sealed.size() && opened->text() == "secret")) << i;
  }
  for (const std::string& text : {std::string(), std::string("\"sealed:1:\""), sealed + "x",
                                  sealed.substr(0, sealed.size() - 9) + "\""}) {
    EXPECT_FALSE(open_text(text, "a", &ring)) << text;
  }
}

}  // namespace
}  // namespace millrace::secrets
