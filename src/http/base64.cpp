#include "base64.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>

namespace millrace::http {
namespace {

bool is_base64(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '/';
}

}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
  const std::size_t begin = out.size();
  // The encoder writes a zero behind its end.
  out.resize(begin + (bytes.size() + 2) / 3 * 4 + 1);
  const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data() + begin),
                                      reinterpret_cast<const unsigned char*>(bytes.data()),
                                      static_cast<int>(bytes.size()));
  out.resize(begin + static_cast<std::size_t>(written));
}

result<std::string> decode_base64(std::string_view text, std::string_view field) {
  const std::size_t padding = text.ends_with("==") ? 2U : text.ends_with('=') ? 1U : 0U;
  const std::string_view digits = text.substr(0, text.size() - padding);
  if (text.size() % 4 != 0 || !std::ranges::all_of(digits, is_base64)) {
    return invalid(std::string{field}, fmt::format("{} must be base64 with its padding.", field));
  }
  std::string out(text.size() / 4 * 3, '\0');
  const int written = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()));
  if (written < 0) {
    return invalid(std::string{field}, fmt::format("{} must be base64 with its padding.", field));
  }
  out.resize(static_cast<std::size_t>(written) - padding);
  return out;
}

}  // namespace millrace::http
