#include "zone_rule.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <iterator>
#include <system_error>

namespace millrace {

using std::chrono::days;
using std::chrono::local_days;
using std::chrono::local_seconds;
using std::chrono::seconds;
using std::chrono::year;

// Takes the text apart from its beginning; every step is false where it does not fit.
class zone_rule::reader final {
public:
  explicit reader(std::string_view text) noexcept : rest_(text) {}

  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }

  bool skip(char wanted) {
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // Three letters or more, or anything between `<` and `>`; what it is called does not matter here.
  bool skip_name() {
    if (skip('<')) {
      const std::size_t end = rest_.find('>');
      if (end == std::string_view::npos) return false;
      rest_.remove_prefix(end + 1);
      return true;
    }
    const auto end = std::ranges::find_if_not(
        rest_, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
    const auto letters = static_cast<std::size_t>(end - rest_.begin());
    rest_.remove_prefix(letters);
    return letters >= 3;
  }

  bool read_number(unsigned low, unsigned high, unsigned& into) {
    const auto [end, ec] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), into);
    if (ec != std::errc{} || into < low || into > high) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }

  // `[+-]hh[:mm[:ss]]`.
  bool read_time(seconds& into) {
    const bool negative = skip('-');
    if (!negative) skip('+');
    std::array<unsigned, 3> parts{};
    constexpr std::array<unsigned, 3> highest{167, 59, 59};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i > 0 && !skip(':')) break;
      if (!read_number(0, highest[i], parts[i])) return false;
    }
    into = std::chrono::hours{parts[0]} + std::chrono::minutes{parts[1]} + seconds{parts[2]};
    if (negative) into = -into;
    return true;
  }

  // Written as what has to be added to reach UTC.
  bool read_offset(seconds& into) {
    if (!read_time(into)) return false;
    into = -into;
    return true;
  }

  bool read_change(change& into) {
    if (skip('M')) {
      into.by = change::kind::weekday_of_month;
      const bool read = read_number(1, 12, into.month) && skip('.') &&
                        read_number(1, 5, into.week) && skip('.') && read_number(0, 6, into.number);
      if (!read) return false;
    } else if (skip('J')) {
      into.by = change::kind::day_without_leap;
      if (!read_number(1, 365, into.number)) return false;
    } else if (!read_number(0, 365, into.number)) {
      return false;
    }
    return !skip('/') || read_time(into.time);
  }

private:
  std::string_view rest_;
};

local_seconds zone_rule::change::in(year of) const {
  const local_days first{of / 1 / 1};
  switch (by) {
    case kind::weekday_of_month: {
      const std::chrono::weekday wanted{number};
      const std::chrono::month within{month};
      if (week == 5) return local_days{of / within / wanted[std::chrono::last]} + time;
      return local_days{of / within / wanted[week]} + time;
    }
    case kind::day_without_leap: {
      constexpr unsigned last_of_february = 59;
      const bool after_leap_day = of.is_leap() && number > last_of_february;
      return first + days{number - 1 + (after_leap_day ? 1 : 0)} + time;
    }
    case kind::day: break;
  }
  return first + days{number} + time;
}

std::optional<zone_rule> zone_rule::parse(std::string_view text) {
  reader from{text};
  zone_rule made;
  if (!from.skip_name() || !from.read_offset(made.standard_)) return std::nullopt;
  if (from.done()) return made;
  seconds summer = made.standard_ + std::chrono::hours{1};
  if (!from.skip_name()) return std::nullopt;
  if (!from.skip(',')) {
    if (!from.read_offset(summer) || !from.skip(',')) return std::nullopt;
  }
  made.summer_ = summer;
  const bool read =
      from.read_change(made.to_summer_) && from.skip(',') && from.read_change(made.to_standard_);
  if (!read || !from.done()) return std::nullopt;
  return made;
}

zone_period zone_rule::at(sys_seconds moment) const {
  if (!summer_) return {sys_seconds::min(), sys_seconds::max(), standard_};
  const auto known = std::chrono::year_month_day{std::chrono::floor<days>(moment)}.year();
  struct turn {
    sys_seconds when;
    seconds offset;
  };
  // Those of the years beside it too: in one place or another it is another year already.
  std::array<turn, 6> turns;
  for (int i = 0; i < 3; ++i) {
    const year of = known + std::chrono::years{i - 1};
    const auto at = static_cast<std::size_t>(2 * i);
    const auto to_summer = to_summer_.in(of).time_since_epoch();
    const auto to_standard = to_standard_.in(of).time_since_epoch();
    turns[at] = {sys_seconds{to_summer - standard_}, *summer_};
    turns[at + 1] = {sys_seconds{to_standard - *summer_}, standard_};
  }
  std::ranges::sort(turns, {}, &turn::when);
  const auto next = std::ranges::upper_bound(turns, moment, {}, &turn::when);
  const auto last = std::prev(next);
  return {last->when, next->when, last->offset};
}

}  // namespace millrace
