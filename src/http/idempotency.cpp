#include "idempotency.hpp"

#include <millrace/base/names.hpp>

#include <openssl/sha.h>

#include <array>
#include <string>
#include <utility>

namespace millrace::http {
namespace {

// The first 64 bits of SHA-256: the fingerprint outlives the process, so that it has to be the same
// in every build, and nobody shall find two bodies that share one.
std::uint64_t fingerprint_of(const request& what) {
  std::string text;
  text.reserve(what.target.size() + 1 + what.body.size());
  text.append(what.target).append("\n").append(what.body);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < sizeof bits; ++i) bits = bits << 8U | digest[i];
  return bits;
}

}  // namespace

std::string lock_token_of(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < 16; ++i) {
    out += digits[digest[i] >> 4U];
    out += digits[digest[i] & 15U];
  }
  return out;
}

result<std::optional<engine::idempotency_key>> read_idempotency_key(const request& what,
                                                                    std::string_view project,
                                                                    std::string_view route) {
  if (!what.has(header::idempotency_key)) return std::nullopt;
  const std::string_view key = what[header::idempotency_key];
  result<void> checked = check_key(key, "Idempotency-Key");
  if (!checked) return std::unexpected(std::move(checked.error()));
  return engine::idempotency_key{.project = std::string{project},
                                 .route = std::string{route},
                                 .key = std::string{key},
                                 .fingerprint = fingerprint_of(what)};
}

}  // namespace millrace::http
