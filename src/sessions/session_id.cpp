#include <millrace/sessions/session_id.hpp>

#include <millrace/base/assert.hpp>

#include <sodium.h>

#include <array>
#include <span>

namespace millrace::sessions {

namespace {

constexpr std::size_t id_bytes = 32;
static_assert(session_id_chars + 1 ==
              sodium_base64_ENCODED_LEN(id_bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING));
static_assert(id_bytes == crypto_hash_sha256_BYTES);

void start_sodium() {
  static const bool started = ::sodium_init() >= 0;
  MILLRACE_ASSERT(started);
}

std::string to_base64(std::span<const unsigned char, id_bytes> bytes) {
  std::string text(session_id_chars + 1, '\0');
  ::sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  text.pop_back();
  return text;
}

}  // namespace

std::string new_session_id() {
  start_sodium();
  std::array<unsigned char, id_bytes> chance{};
  std::string id;
  // On a command line one that begins with a dash would be an option. It costs less than a fortieth
  // of a bit.
  do {
    ::randombytes_buf(chance.data(), chance.size());
    id = to_base64(chance);
  } while (id.front() == '-');
  ::sodium_memzero(chance.data(), chance.size());
  return id;
}

bool is_session_id(std::string_view text) noexcept {
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return text.size() == session_id_chars &&
         text.find_first_not_of(allowed) == std::string_view::npos;
}

std::string hash_of_session_id(std::string_view id) {
  start_sodium();
  const std::string text(id);
  std::array<unsigned char, id_bytes> hash{};
  ::crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(text.data()),
                       text.size());
  return to_base64(hash);
}

}  // namespace millrace::sessions
