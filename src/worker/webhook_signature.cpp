#include "webhook_signature.hpp"

#include <millrace/base/assert.hpp>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace millrace::worker_detail {
namespace {

constexpr std::string_view secret_prefix = "whsec_";
constexpr std::size_t key_bytes_min = 24;
constexpr std::size_t key_bytes_max = 64;

std::unexpected<error> bad_secret(std::string_view why) {
  return invalid("secret", fmt::format("the webhook secret {}; make one with: "
                                       "echo \"whsec_$(openssl rand -base64 32)\"",
                                       why));
}

std::string base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::string hmac_sha256(std::string_view key, std::string_view message) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  const auto* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                          reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                          digest.data(), &length);
  MILLRACE_ASSERT(made != nullptr);
  return {reinterpret_cast<const char*>(digest.data()), length};
}

}  // namespace

result<std::string> parse_webhook_secret(std::string_view text) {
  if (!text.starts_with(secret_prefix)) return bad_secret("does not begin with whsec_");
  text.remove_prefix(secret_prefix.size());
  if (text.empty() || text.size() % 4 != 0) return bad_secret("is not whole base64 after whsec_");
  std::string key(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(key.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return bad_secret("is no base64 after whsec_");
  // EVP_DecodeBlock counts the padding as bytes.
  const auto padding = static_cast<std::size_t>(std::ranges::count(text, '='));
  key.resize(static_cast<std::size_t>(length) - std::min<std::size_t>(padding, 2));
  if (key.size() < key_bytes_min || key.size() > key_bytes_max) {
    return bad_secret(
        fmt::format("has {} bytes, not {} to {}", key.size(), key_bytes_min, key_bytes_max));
  }
  return key;
}

std::string webhook_signature(const std::vector<std::string>& keys, std::string_view id,
                              std::int64_t timestamp, std::string_view body) {
  const std::string signed_text = fmt::format("{}.{}.{}", id, timestamp, body);
  std::string signatures;
  for (const std::string& key : keys) {
    if (!signatures.empty()) signatures += ' ';
    signatures.append("v1,").append(base64(hmac_sha256(key, signed_text)));
  }
  return signatures;
}

}  // namespace millrace::worker_detail
