#include <millrace/base/routed_id.hpp>

#include <millrace/base/assert.hpp>
#include <millrace/base/names.hpp>

#include <array>
#include <cstddef>

namespace millrace {
namespace {

constexpr std::string_view alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t stamp_chars = 11;
constexpr std::uint64_t stamp_end = std::uint64_t{1} << 53U;

constexpr std::array<std::int8_t, 256> digit_values = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}();

bool is_tag(std::string_view text) {
  return text.find_first_of("{}") == std::string_view::npos && check_name(text, {}).has_value();
}

}  // namespace

std::string routed_id::text() const {
  MILLRACE_ASSERT(stamp < stamp_end);
  std::string out;
  out.reserve(tag.size() + 1 + stamp_chars);
  out.append(tag).push_back('~');
  for (std::size_t i = stamp_chars; i-- > 0;) out.push_back(alphabet[(stamp >> (5 * i)) & 31U]);
  return out;
}

std::optional<routed_id> routed_id::parse(std::string_view text) {
  if (text.size() < stamp_chars + 2) return std::nullopt;
  const std::size_t tilde = text.size() - stamp_chars - 1;
  if (text[tilde] != '~' || !is_tag(text.substr(0, tilde))) return std::nullopt;
  std::uint64_t stamp = 0;
  for (const char c : text.substr(tilde + 1)) {
    const std::int8_t digit = digit_values[static_cast<unsigned char>(c)];
    if (digit < 0) return std::nullopt;
    stamp = stamp << 5U | static_cast<std::uint64_t>(digit);
  }
  if (stamp == 0 || stamp >= stamp_end) return std::nullopt;
  return routed_id{std::string{text.substr(0, tilde)}, stamp};
}

}  // namespace millrace
