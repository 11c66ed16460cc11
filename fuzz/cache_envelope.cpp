// Entries of the cache as they lie in the store. One byte of choices, a key of up to 15 bytes, then
// bytes that are opened as they are, and sealed and opened again: what was sealed comes back, and
// nobody else's bytes are taken for encrypted ones.

#include <millrace/base/assert.hpp>
#include <millrace/cache/envelope.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using namespace millrace;
using namespace millrace::cache;

constexpr std::size_t most = 1024UL * 1024;

const key_ring& ring() {
  static const key_ring made =
      *key_ring::parse("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "key");
  return made;
}

void opens_anything(std::string_view key, std::string_view bytes) {
  const auto plain = open_envelope(key, bytes, nullptr, most);
  const auto opened = open_envelope(key, bytes, &ring(), most);
  if (!opened) {
    MILLRACE_ASSERT(!plain && !to_string(opened.error()).empty());
    return;
  }
  MILLRACE_ASSERT(plain.has_value() != opened->sensitive);
  MILLRACE_ASSERT(opened->data.size() <= most);
  MILLRACE_ASSERT(!opened->facts.negative || opened->data.empty());
  // What was read can be written and is read as the same.
  const std::string again =
      seal_envelope(key, opened->facts, opened->content_type, opened->data, {});
  const auto second = open_envelope(key, again, nullptr, most);
  MILLRACE_ASSERT(second && second->facts == opened->facts && second->data == opened->data &&
                  second->content_type == opened->content_type);
}

void comes_back(std::string_view key, std::string_view data, bool compress, bool encrypt) {
  const envelope_facts facts{.version = data.size(), .expires_at = timestamp{duration{1000}}};
  envelope_options options;
  if (compress) options.compress_above = 0;
  if (encrypt) options.ring = &ring();
  const std::string sealed = seal_envelope(key, facts, "t", data, options);
  const auto opened = open_envelope(key, sealed, &ring(), most);
  MILLRACE_ASSERT(opened && opened->data == data && opened->facts == facts);
  MILLRACE_ASSERT(opened->sensitive == encrypt);
  if (!encrypt) return;
  const auto elsewhere = open_envelope(std::string(key) + "x", sealed, &ring(), most);
  MILLRACE_ASSERT(!elsewhere && elsewhere.error() == envelope_fault::forged);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 16) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view key = text.substr(1, data[0] & 15);
  const std::string_view rest = text.substr(1 + key.size());
  opens_anything(key, rest);
  comes_back(key, rest, (data[0] & 16) != 0, (data[0] & 32) != 0);
  return 0;
}
