#include <millrace/redis/command.hpp>

#include <algorithm>
#include <array>

namespace millrace::redis {
namespace {

constexpr std::uint16_t slots = 16384;
constexpr std::uint16_t crc16_polynomial = 0x1021;

constexpr std::array<std::uint16_t, 256> make_crc16_table() {
  std::array<std::uint16_t, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    auto crc = static_cast<std::uint16_t>(byte << 8U);
    for (int bit = 0; bit < 8; ++bit) {
      const bool carry = (crc & 0x8000U) != 0;
      crc = static_cast<std::uint16_t>(crc << 1U);
      if (carry) crc ^= crc16_polynomial;
    }
    table[byte] = crc;
  }
  return table;
}

constexpr auto crc16_table = make_crc16_table();

// A command with a key and a short value takes one allocation.
constexpr std::size_t usual_bytes = 80;

// `number` and a line end.
void append_number(std::string& out, std::size_t number) {
  char digits[22];
  char* end = std::to_chars(digits, digits + 20, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(digits, end);
}

// The word whose length begins at `from`, and where the next one begins.
struct word {
  std::string_view text;
  std::size_t next{0};
};

word word_at(std::string_view body, std::size_t from) {
  if (from >= body.size()) return {};
  std::size_t length = 0;
  const char* first = body.data() + from + 1;
  const auto end = std::from_chars(first, body.data() + body.size(), length).ptr;
  const auto begin = static_cast<std::size_t>(end - body.data()) + 2;
  return {.text = body.substr(begin, length), .next = begin + length + 2};
}

}  // namespace

std::string_view hash_tag(std::string_view key) noexcept {
  const std::size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const std::size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

std::uint16_t hash_slot(std::string_view key) noexcept {
  std::uint16_t crc = 0;
  for (const char c : hash_tag(key)) {
    const auto index = static_cast<std::uint8_t>((crc >> 8U) ^ static_cast<std::uint8_t>(c));
    crc = static_cast<std::uint16_t>((crc << 8U) ^ crc16_table[index]);
  }
  return crc % slots;
}

command::command(std::string_view name) {
  body_.reserve(usual_bytes);
  append(name);
}

void command::append(std::string_view word) {
  body_.push_back('$');
  append_number(body_, word.size());
  body_.append(word);
  body_.append("\r\n");
  ++words_;
}

void command::append_real(double number) {
  char digits[32];
  append({digits, std::to_chars(digits, digits + sizeof digits, number).ptr});
}

void command::append_key(std::string_view name) {
  append(name);
  if (!has_key_) {
    has_key_ = true;
    first_key_at_ = static_cast<std::uint32_t>(body_.size() - name.size() - 2);
    first_key_bytes_ = static_cast<std::uint32_t>(name.size());
  } else if (hash_tag(name) != hash_tag(first_key())) {
    keys_together_ = false;
  }
}

std::string_view command::name() const noexcept { return word_at(body_, 0).text; }

std::string_view command::first_argument() const noexcept {
  return word_at(body_, word_at(body_, 0).next).text;
}

// Words of a command are compared as Redis does: ASCII letters in either case.
bool command::has_word_before(std::string_view sought, std::string_view end) const noexcept {
  const auto is = [](std::string_view text, std::string_view upper) {
    return std::ranges::equal(text, upper, [](char a, char b) {
      return (a >= 'a' && a <= 'z' ? static_cast<char>(a - 32) : a) == b;
    });
  };
  for (std::size_t at = 0; at < body_.size();) {
    const word each = word_at(body_, at);
    if (is(each.text, end)) return false;
    if (is(each.text, sought)) return true;
    at = each.next;
  }
  return false;
}

std::string_view command::first_key() const noexcept {
  return std::string_view{body_}.substr(first_key_at_, first_key_bytes_);
}

std::optional<std::uint16_t> command::slot() const noexcept {
  if (!has_key_) return std::nullopt;
  return hash_slot(first_key());
}

void command::write_to(std::string& out) const {
  out.push_back('*');
  append_number(out, words_);
  out.append(body_);
}

}  // namespace millrace::redis
