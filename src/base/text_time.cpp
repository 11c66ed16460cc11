#include <millrace/base/text_time.hpp>

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>

namespace millrace {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr duration longest_duration = days{36'500};

// Reads fixed-width text from the left; `ok` turns false at the first thing that does not fit.
struct reader {
  std::string_view text;
  bool ok{true};

  int digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (text.empty() || text[0] < '0' || text[0] > '9') {
        ok = false;
        return 0;
      }
      value = value * 10 + (text[0] - '0');
      text.remove_prefix(1);
    }
    return value;
  }

  bool next_is_digit() const { return !text.empty() && text[0] >= '0' && text[0] <= '9'; }

  bool take(char c) {
    if (text.empty() || text[0] != c) return false;
    text.remove_prefix(1);
    return true;
  }

  void expect(char c) { ok = take(c) && ok; }
};

// The digits behind a point, as millionths; further digits are cut.
std::int64_t millionths(reader& in, int digits_max) {
  std::int64_t value = 0;
  int count = 0;
  for (; in.next_is_digit(); ++count) {
    const int digit = in.digits(1);
    if (count < 6) value = value * 10 + digit;
  }
  if (count == 0 || count > digits_max) in.ok = false;
  for (; count < 6; ++count) value *= 10;
  return value;
}

minutes read_offset(reader& in) {
  if (in.take('Z') || in.take('z')) return minutes{0};
  const bool east = in.take('+');
  if (!east) in.expect('-');
  const int hour = in.digits(2);
  in.expect(':');
  const int minute = in.digits(2);
  if (hour > 23 || minute > 59) in.ok = false;
  const minutes offset = hours{hour} + minutes{minute};
  return east ? offset : -offset;
}

std::optional<timestamp> read_rfc3339(std::string_view text) {
  reader in{text};
  const std::chrono::year year{in.digits(4)};
  in.expect('-');
  const std::chrono::month month{static_cast<unsigned>(in.digits(2))};
  in.expect('-');
  const std::chrono::day day{static_cast<unsigned>(in.digits(2))};
  if (!in.take('t')) in.expect('T');
  const int hour = in.digits(2);
  in.expect(':');
  const int minute = in.digits(2);
  in.expect(':');
  const int second = in.digits(2);
  duration fraction{0};
  if (in.take('.')) fraction = duration{millionths(in, 9)};
  const minutes offset = read_offset(in);
  const std::chrono::year_month_day date{year, month, day};
  if (!in.ok || !in.text.empty() || !date.ok() || hour > 23 || minute > 59 || second > 59) {
    return std::nullopt;
  }
  return timestamp{std::chrono::sys_days{date}} + hours{hour} + minutes{minute} + seconds{second} +
         fraction - offset;
}

struct unit {
  std::string_view name;
  duration length;
};
// Longest first; the order in which the parts of `1h30m` have to stand.
constexpr std::array<unit, 5> units{unit{"d", days{1}}, unit{"h", hours{1}}, unit{"m", minutes{1}},
                                    unit{"s", seconds{1}}, unit{"ms", milliseconds{1}}};

std::optional<std::size_t> find_unit(std::string_view name) {
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (units[i].name == name) return i;
  }
  return std::nullopt;
}

// One number as it stands before a unit, in millionths; empty where it is not one.
std::optional<std::int64_t> read_number(reader& in) {
  if (!in.next_is_digit()) return std::nullopt;
  std::int64_t whole = 0;
  while (in.next_is_digit()) {
    whole = whole * 10 + in.digits(1);
    if (whole > 10'000'000'000) return std::nullopt;
  }
  std::int64_t fraction = 0;
  if (in.take('.')) fraction = millionths(in, 6);
  if (!in.ok) return std::nullopt;
  return whole * 1'000'000 + fraction;
}

std::optional<duration> scaled(std::int64_t number_millionths, duration by) {
  __extension__ using wide = __int128;
  const wide micros = wide{number_millionths} * by.count() / 1'000'000;
  if (micros > longest_duration.count()) return std::nullopt;
  return duration{static_cast<std::int64_t>(micros)};
}

std::optional<duration> read_duration(std::string_view text) {
  reader in{text};
  duration sum{0};
  std::size_t next_unit = 0;
  bool first = true;
  do {
    const std::optional<std::int64_t> number = read_number(in);
    if (!number) return std::nullopt;
    const std::size_t letters = std::min(in.text.find_first_of("0123456789."), in.text.size());
    const std::string_view name = in.text.substr(0, letters);
    in.text.remove_prefix(letters);
    const bool bare = first && name.empty() && in.text.empty();
    const std::optional<std::size_t> found = find_unit(bare ? "s" : name);
    if (!found || *found < next_unit) return std::nullopt;
    next_unit = *found + 1;
    const std::optional<duration> part = scaled(*number, units[*found].length);
    if (!part || sum + *part > longest_duration) return std::nullopt;
    sum += *part;
    first = false;
  } while (!in.text.empty());
  return sum;
}

}  // namespace

std::string to_rfc3339(timestamp at) {
  const auto day = std::chrono::floor<days>(at);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{std::chrono::floor<milliseconds>(at - day)};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count(),
                     time.subseconds().count());
}

result<timestamp> parse_rfc3339(std::string_view text, std::string_view field) {
  const std::optional<timestamp> at = read_rfc3339(text);
  if (!at) {
    return invalid(std::string{field},
                   fmt::format("{} must be an RFC 3339 time such as 2026-11-20T04:52:11Z; "
                               "\"{}\" is not.",
                               field, excerpt(text)),
                   "invalid_time");
  }
  using namespace std::chrono_literals;
  if (*at < timestamp{} || *at >= timestamp{std::chrono::sys_days{2201y / 1 / 1}}) {
    return invalid(std::string{field},
                   fmt::format("{} must lie in the years 1970 to 2200; \"{}\" does not.", field,
                               excerpt(text)),
                   "invalid_time");
  }
  return *at;
}

result<duration> parse_duration(std::string_view text, std::string_view field) {
  const std::optional<duration> span = read_duration(text);
  if (span) return *span;
  return invalid(std::string{field},
                 fmt::format("{} must be a duration such as 500ms, 30s, 5m, 1h30m or 7d, at most "
                             "36500d; \"{}\" is not.",
                             field, excerpt(text)),
                 "invalid_duration");
}

std::string format_duration(duration span) {
  std::string out;
  if (span < duration{0}) out.push_back('-');
  duration rest = std::chrono::abs(span);
  for (const unit& each : units) {
    const std::int64_t count = rest / each.length;
    if (count == 0) continue;
    fmt::format_to(std::back_inserter(out), "{}{}", count, each.name);
    rest -= count * each.length;
  }
  if (rest > duration{0}) {
    // Below a millisecond there is no unit: the milliseconds get a fraction.
    const bool has_ms = out.ends_with("ms");
    if (has_ms) out.resize(out.size() - 2);
    std::string fraction = fmt::format("{}.{:03}", has_ms ? "" : "0", rest.count());
    fraction.resize(fraction.find_last_not_of('0') + 1);
    out += fraction + "ms";
  }
  if (out.empty()) out = "0s";
  return out;
}

result<duration> seconds_to_duration(double seconds_value, duration max, std::string_view field) {
  const double max_seconds = to_seconds(max);
  // Written so that NaN is refused as well.
  if (!(seconds_value >= 0 && seconds_value <= max_seconds)) {
    return invalid(std::string{field}, fmt::format("{} must be 0 to {} seconds; {} was given.",
                                                   field, max_seconds, seconds_value));
  }
  return std::min(max, duration{std::llround(seconds_value * 1e6)});
}

double to_seconds(duration span) noexcept { return static_cast<double>(span.count()) / 1e6; }

}  // namespace millrace
