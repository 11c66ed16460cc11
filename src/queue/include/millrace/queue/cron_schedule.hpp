#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/queue/cron_line.hpp>

#include <optional>
#include <string_view>

namespace date {
class time_zone;
}

namespace millrace {

/// When a recurring job fires: a cron line in a time zone, or `@every 90s`.
///
/// `@every` takes a whole number of seconds up to 366 days. Its slots are the multiples of the
/// period since 1970-01-01T00:00:00Z, so that every scheduler and every restart sees the same ones,
/// whatever the zone.
///
/// A cron line names readings of a wall clock. Where the clock is turned, two kinds of lines
/// differ. A line whose hour field admits every hour (`*`, `*/1`, `0-23`) means an interval; any
/// other names times of day.
///
/// | The clock         | Times of day (`30 2 * * *`)        | Intervals (`*/15 * * * *`)     |
/// |-------------------|------------------------------------|--------------------------------|
/// | skips the reading | fires once, at the first moment    | nothing: no real time passed   |
/// |                   | after the gap                      |                                |
/// | skips several     | one fire for all of them: they     | nothing                        |
/// |                   | fall on the same moment            |                                |
/// | shows it twice    | fires at the first of the two      | fires at both: each real       |
/// |                   |                                    | quarter of an hour once        |
///
/// Guarantees: no moment is answered twice, none of the line's readings is dropped (except that
///             those skipped together count as one), and a gap or a repetition never ends a line.
/// Threading:  values; every member from any thread.
/// Limits:     1970 to 2200; daylight saving as the machine's database lists it (to 2037), then by
///             the rule that it gives for the zone.
class cron_schedule final {
public:
  /// Errors: invalid_argument with field `schedule` (invalid_cron, cron_never_fires) or `time_zone`
  ///         (unknown_time_zone); unsupported (time_zones_unavailable).
  [[nodiscard]] static result<cron_schedule> parse(std::string_view line,
                                                   std::string_view time_zone);

  /// The first slot after `at`: a whole second. Empty when none comes before the year 2200.
  /// Cost: O(1) for lines that fire every month, else O(months to go), at most 41 years.
  [[nodiscard]] std::optional<timestamp> next_after(timestamp at) const;

private:
  [[nodiscard]] std::optional<timestamp> next_interval(std::chrono::sys_seconds from) const;
  [[nodiscard]] std::optional<timestamp> next_time_of_day(std::chrono::sys_seconds from) const;

  cron_line line_;
  // Null: UTC.
  const date::time_zone* zone_{nullptr};
  // Above zero for `@every`; the line does not count then.
  std::chrono::seconds every_{0};
};

}  // namespace millrace
