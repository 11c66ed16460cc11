#include "clean_text.hpp"

#include "job_line.hpp"

#include <millrace/base/json.hpp>

#include <algorithm>
#include <cstdint>

namespace millrace::worker_detail {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";

// Bytes of the well-formed sequence at the beginning of `text` (RFC 3629, table 3-7 of Unicode);
// 0 where there is none.
std::size_t sequence_length(std::string_view text) noexcept {
  const auto at = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = at(0);
  if (lead < 0x80) return 1;
  std::size_t length = 0;
  std::uint8_t second_min = 0x80;
  std::uint8_t second_max = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) second_min = 0xa0;
    if (lead == 0xed) second_max = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) second_min = 0x90;
    if (lead == 0xf4) second_max = 0x8f;
  }
  if (length == 0 || text.size() < length) return 0;
  if (at(1) < second_min || at(1) > second_max) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((at(i) & 0xc0U) != 0x80U) return 0;
  }
  return length;
}

bool is_plain(char c) noexcept { return (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n'; }

bool is_unwanted_control(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n') || byte == 0x7f;
}

}  // namespace

std::string clean_text(std::string_view bytes, std::size_t bytes_max, controls how) {
  std::string clean;
  clean.reserve(std::min(bytes.size(), bytes_max));
  while (!bytes.empty()) {
    // Mostly there is nothing to clean.
    const auto plain_end = std::ranges::find_if_not(bytes, is_plain);
    const auto plain = static_cast<std::size_t>(plain_end - bytes.begin());
    clean += bytes.substr(0, std::min(plain, bytes_max - clean.size()));
    bytes.remove_prefix(plain);
    if (bytes.empty() || clean.size() == bytes_max) break;
    const std::size_t length = sequence_length(bytes);
    std::string_view piece = length == 0 ? replacement : bytes.substr(0, length);
    if (how == controls::blank && length == 1 && is_unwanted_control(bytes.front())) piece = " ";
    if (clean.size() + piece.size() > bytes_max) break;
    clean += piece;
    bytes.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return clean;
}

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

std::string as_json(std::string_view text) {
  if (check_json(text)) return on_one_line(std::string{text});
  std::string quoted;
  append_json_string(quoted, clean_text(text, text.size() * replacement.size(), controls::keep));
  return quoted;
}

}  // namespace millrace::worker_detail
