#include <millrace/engine/event_steps.hpp>

#include <array>
#include <charconv>

namespace millrace::engine {
namespace {

constexpr int base = 36;
constexpr std::uint64_t number_end = std::uint64_t{1} << 53U;

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
  out.append(digits.data(), end);
}

// Only what `append_number` writes: no capital, no leading zero.
bool take_number(std::string_view& text, std::uint64_t& into) {
  const std::string_view digits = text.substr(0, text.find('.'));
  const char* const begin = digits.data();
  const char* const end = begin + digits.size();
  const auto [stopped, code] = std::from_chars(begin, end, into, base);
  if (code != std::errc{} || stopped != end || into >= number_end) return false;
  std::string again;
  append_number(again, into);
  if (again != digits) return false;
  text.remove_prefix(digits.size());
  return true;
}

bool take_dot(std::string_view& text) {
  if (!text.starts_with('.')) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string event_cursor::text() const {
  std::string out;
  append_number(out, epoch);
  out += '.';
  append_number(out, offset);
  out += '.';
  append_number(out, stamp);
  return out;
}

std::optional<event_cursor> event_cursor::parse(std::string_view text) {
  event_cursor out;
  const bool read = take_number(text, out.epoch) && take_dot(text) &&
                    take_number(text, out.offset) && take_dot(text) && take_number(text, out.stamp);
  if (!read || !text.empty()) return std::nullopt;
  return out;
}

std::uint64_t bytes_of(const event& what) noexcept {
  return what.payload.size() + what.type.size() + what.source.size() + what.correlation_id.size() +
         what.id.size();
}

std::string_view to_string(gap_reason why) noexcept {
  switch (why) {
    case gap_reason::none: return "none";
    case gap_reason::trimmed: return "trimmed";
    case gap_reason::other_epoch: return "other_epoch";
    case gap_reason::lost: return "lost";
  }
  return "none";
}

}  // namespace millrace::engine
