#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace millrace {
namespace {

constexpr bool is_name_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

constexpr bool is_control(char c) noexcept {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::string printable(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte > 0x20 && byte < 0x7f) return fmt::format("'{}'", c);
  if (byte == ' ') return "a space";
  return fmt::format("\\x{:02x}", byte);
}

struct braces {
  std::size_t open{std::string_view::npos};
  std::size_t close{std::string_view::npos};
  [[nodiscard]] bool there() const noexcept { return close != std::string_view::npos; }
};

// The one pair of braces of a name; nothing where they are not a well-formed pair.
braces find_tag(std::string_view name) noexcept {
  const std::size_t open = name.find('{');
  if (open == std::string_view::npos) return {};
  const std::size_t close = name.find('}', open);
  if (close == std::string_view::npos || close == open + 1) return {};
  return {open, close};
}

std::unexpected<error> bad_name(std::string_view field, std::string detail) {
  return invalid(std::string{field}, std::move(detail), "invalid_name");
}

// Length of the well-formed sequence that starts here, 0 for none (Unicode 15, table 3-7).
std::size_t sequence_bytes(std::string_view text) noexcept {
  const auto at = [text](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto continues = [&at](std::size_t i) { return (at(i) & 0xC0U) == 0x80U; };
  const unsigned first = at(0);
  const unsigned second = at(1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && second < 0xA0;
    const bool surrogate = first == 0xED && second > 0x9F;
    return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && second < 0x90;
    const bool beyond = first == 0xF4 && second > 0x8F;
    return continues(1) && continues(2) && continues(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

}  // namespace

result<void> check_name(std::string_view name, std::string_view field) {
  if (name.empty()) return bad_name(field, fmt::format("{} must not be empty.", field));
  const braces tag = find_tag(name);
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (is_name_char(name[i])) continue;
    if (tag.there() && (i == tag.open || i == tag.close)) continue;
    if (name[i] == '{' || name[i] == '}') {
      return bad_name(field, fmt::format("{} may contain one {{tag}} with something in it; "
                                         "the brace at byte {} does not belong to one.",
                                         field, i));
    }
    return bad_name(field, fmt::format("{} must not contain {} (byte {}): letters, digits, "
                                       "'.', '_' and '-' are allowed, and one {{tag}}.",
                                       field, printable(name[i]), i));
  }
  const std::size_t tag_bytes = tag.there() ? tag.close - tag.open - 1 : 0;
  const std::size_t own_bytes = name.size() - (tag.there() ? tag_bytes + 2 : 0);
  if (own_bytes > name_bytes_max || tag_bytes > name_bytes_max) {
    return bad_name(field, fmt::format("{} is {} bytes long: at most {} are allowed, and as many "
                                       "in its {{tag}}.",
                                       field, name.size(), name_bytes_max));
  }
  return {};
}

result<void> check_key(std::string_view key, std::string_view field) {
  const auto bad = [field](std::string detail) {
    return invalid(std::string{field}, std::move(detail), "invalid_key");
  };
  if (key.empty()) return bad(fmt::format("{} must not be empty.", field));
  if (key.size() > key_bytes_max) {
    return bad(fmt::format("{} is {} bytes long: at most {} are allowed.", field, key.size(),
                           key_bytes_max));
  }
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (is_control(key[i])) {
      return bad(
          fmt::format("{} must not contain {} (byte {}): control characters are not allowed.",
                      field, printable(key[i]), i));
    }
  }
  if (!is_utf8(key)) return bad(fmt::format("{} is not valid UTF-8.", field));
  return {};
}

std::string_view routing_tag(std::string_view name) noexcept {
  const braces tag = find_tag(name);
  return tag.there() ? name.substr(tag.open + 1, tag.close - tag.open - 1) : name;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t bytes = sequence_bytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

bool has_control_characters(std::string_view text) noexcept {
  for (const char c : text) {
    if (is_control(c)) return true;
  }
  return false;
}

std::string_view cut_utf8(std::string_view text, std::size_t bytes) noexcept {
  if (text.size() <= bytes) return text;
  // At most three bytes of a sequence stand before the cut.
  std::size_t end = bytes;
  while (end > 0 && bytes - end < 3 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return text.substr(0, end);
}

std::string excerpt(std::string_view text) {
  std::string_view rest = cut_utf8(text, 40);
  std::string out;
  while (!rest.empty()) {
    const std::size_t bytes = sequence_bytes(rest);
    if (bytes == 0 || is_control(rest[0])) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(rest[0]));
    } else {
      out.append(rest, 0, bytes);
    }
    rest.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return out;
}

}  // namespace millrace
