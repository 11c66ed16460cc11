#include "people.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <iterator>
#include <utility>

namespace millrace::cli {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

struct unit {
  std::int64_t seconds;
  char letter;
};
constexpr std::array units{unit{86'400, 'd'}, unit{3'600, 'h'}, unit{60, 'm'}, unit{1, 's'}};

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; }

}  // namespace

std::string relative_time(timestamp at, timestamp now) {
  const auto in_unit = [](std::int64_t whole) {
    const auto fitting =
        std::ranges::find_if(units, [whole](const unit& one) { return whole >= one.seconds; });
    return std::pair{whole / fitting->seconds, *fitting};
  };
  if (const auto passed = std::chrono::floor<seconds>(now - at).count(); passed > 0) {
    const auto [count, each] = in_unit(passed);
    return fmt::format("{}{} ago", count, each.letter);
  }
  const auto left = std::chrono::ceil<seconds>(at - now).count();
  if (left <= 0) return "now";
  // What was just asked to wait 5 minutes must not be shown as due in 4. 59 min 40 s are 1 h.
  const auto [count, each] = in_unit(left);
  const auto [rounded, shown] = in_unit((left + each.seconds / 2) / each.seconds * each.seconds);
  return fmt::format("in {}{}", rounded, shown.letter);
}

std::string readable_span(duration span) {
  if (span < seconds{10}) {
    return fmt::format("{:.1f}s", static_cast<double>(span.count()) / 1e6);
  }
  const auto whole = std::chrono::floor<seconds>(span).count();
  const auto largest =
      std::ranges::find_if(units, [whole](const unit& one) { return whole >= one.seconds; });
  std::string text = fmt::format("{}{}", whole / largest->seconds, largest->letter);
  const auto next = std::next(largest);
  if (next != units.end()) {
    const auto rest = whole % largest->seconds / next->seconds;
    if (rest > 0) fmt::format_to(std::back_inserter(text), " {}{}", rest, next->letter);
  }
  return text;
}

std::string grouped(std::uint64_t count) {
  std::string text = fmt::format("{}", count);
  for (std::size_t place = text.size(); place > 3;) {
    place -= 3;
    text.insert(place, ",");
  }
  return text;
}

std::string printable(std::string_view text) {
  std::string kept;
  kept.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // The control characters above 0x7f are two bytes, 0xc2 and 0x80 to 0x9f.
    const bool high_control = byte == 0xc2U && i + 1 < text.size() &&
                              static_cast<unsigned char>(text[i + 1]) >= 0x80U &&
                              static_cast<unsigned char>(text[i + 1]) < 0xa0U;
    if (high_control) {
      kept += '?';
      ++i;
    } else if (text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
      kept += ' ';
    } else if (byte < 0x20U || byte == 0x7fU) {
      kept += '?';
    } else {
      kept += text[i];
    }
  }
  return kept;
}

std::size_t columns_of(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return !continues_character(c); }));
}

std::string cut_to(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns) return std::string{text};
  std::size_t end = 0;
  std::size_t taken = 0;
  while (end < text.size()) {
    if (!continues_character(text[end])) {
      if (taken + 1 == columns) break;
      ++taken;
    }
    ++end;
  }
  return std::string{text.substr(0, end)} + "…";
}

std::string progress_bar(double share, std::size_t columns) {
  const double bounded = std::clamp(std::isnan(share) ? 0.0 : share, 0.0, 1.0);
  const auto filled = static_cast<std::size_t>(bounded * static_cast<double>(columns));
  return std::string(filled, '#') + std::string(columns - filled, '.');
}

}  // namespace millrace::cli
