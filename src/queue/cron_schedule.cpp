#include <millrace/queue/cron_schedule.hpp>

#include <millrace/base/text_time.hpp>
#include <millrace/base/time_zone.hpp>

#include <algorithm>
#include <string>

namespace millrace {
namespace {

using std::chrono::local_seconds;
using std::chrono::seconds;

constexpr std::string_view every_word = "@every";
constexpr std::chrono::days every_max{366};
constexpr sys_seconds schedule_end{std::chrono::sys_days{std::chrono::year{2200} / 1 / 1}};
// No zone is further from UTC than this, so that no reading comes earlier than this before it.
constexpr std::chrono::hours offset_max{26};

std::optional<timestamp> before_the_end(sys_seconds at) {
  if (at >= schedule_end) return std::nullopt;
  return timestamp{at};
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Empty where the line is no `@every` at all.
result<std::optional<seconds>> parse_every(std::string_view line) {
  if (!line.starts_with(every_word)) return std::nullopt;
  const std::string_view rest = line.substr(every_word.size());
  if (!rest.empty() && rest.front() != ' ' && rest.front() != '\t') return std::nullopt;
  const auto period = parse_duration(trimmed(rest), "schedule");
  if (!period || *period < seconds{1} || *period > every_max || *period % seconds{1} != duration{0})
    return invalid("schedule",
                   "after @every comes a whole number of seconds up to 366 days, such as 90s, 5m "
                   "or 1h30m",
                   "invalid_cron");
  return std::chrono::duration_cast<seconds>(*period);
}

// The earliest reading that can happen at a moment: where a gap ends there, everything in the gap
// does.
local_seconds first_reading_at(const date::time_zone* zone, sys_seconds at) {
  const zone_period period = period_at(zone, at);
  if (at != period.begin) return period.wall(at);
  return std::min(period.wall(at), period_at(zone, at - seconds{1}).wall(at));
}

}  // namespace

result<cron_schedule> cron_schedule::parse(std::string_view line, std::string_view time_zone) {
  line = trimmed(line);
  cron_schedule made;
  const auto zone = find_zone(time_zone);
  if (!zone) return std::unexpected(zone.error());
  made.zone_ = *zone;

  const auto every = parse_every(line);
  if (!every) return std::unexpected(every.error());
  if (*every) {
    made.every_ = **every;
    return made;
  }
  auto parsed = cron_line::parse(line);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  made.line_ = *parsed;
  return made;
}

std::optional<timestamp> cron_schedule::next_after(timestamp at) const {
  const auto whole = std::chrono::floor<seconds>(std::max(at, timestamp{} - seconds{1}));
  if (whole >= schedule_end) return std::nullopt;
  if (every_ > seconds{0}) {
    const auto passed = std::chrono::floor<seconds>(whole.time_since_epoch()) / every_;
    return before_the_end(sys_seconds{every_ * (whole < sys_seconds{} ? 0 : passed + 1)});
  }
  const sys_seconds from = whole + seconds{1};
  return line_.every_hour() ? next_interval(from) : next_time_of_day(from);
}

// Each period is searched for a matching reading of its own wall clock.
std::optional<timestamp> cron_schedule::next_interval(sys_seconds from) const {
  while (from < schedule_end) {
    const zone_period period = period_at(zone_, from);
    const auto reading = line_.first_from(period.wall(from));
    if (!reading) return std::nullopt;
    const sys_seconds moment = period.moment(*reading);
    if (moment < period.end) return before_the_end(moment);
    from = period.end;
  }
  return std::nullopt;
}

// A reading happens in the first period that does not end before it: at the reading itself, or,
// where the period begins only after it, when the period begins (the gap). That moment never falls
// as readings grow, so the search ends at the first reading whose moment is late enough.
std::optional<timestamp> cron_schedule::next_time_of_day(sys_seconds from) const {
  local_seconds wanted = first_reading_at(zone_, from);
  while (true) {
    const auto reading = line_.first_from(wanted);
    if (!reading) return std::nullopt;
    zone_period period = period_at(zone_, sys_seconds{reading->time_since_epoch()} - offset_max);
    while (period.moment(*reading) >= period.end) period = period_at(zone_, period.end);
    const sys_seconds moment = std::max(period.begin, period.moment(*reading));
    if (moment >= from) return before_the_end(moment);
    // `from` is within the second showing of a repeated hour, and this reading belongs to the
    // first: go on where the first showing ended.
    wanted = std::max(*reading + seconds{1}, period.wall(period.end));
  }
}

}  // namespace millrace
