#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>

#include <string>
#include <string_view>

namespace millrace {

/// `2026-11-20T04:52:11.123Z`: RFC 3339, UTC, milliseconds.
[[nodiscard]] std::string to_rfc3339(timestamp at);

/// Reads RFC 3339 with any offset and up to nine digits of a second (cut to microseconds).
/// Years 1970 to 2200, no leap seconds. `field` is what the error names.
[[nodiscard]] result<timestamp> parse_rfc3339(std::string_view text, std::string_view field);

/// Reads `500ms`, `30s`, `5m`, `24h`, `7d`, `1h30m`, or a bare number of seconds; numbers may have
/// a fraction of up to six digits. Negative and empty ones, unknown units, units not from large to
/// small, and more than 36 500 days are refused; `field` is what the error names.
[[nodiscard]] result<duration> parse_duration(std::string_view text, std::string_view field);

/// The same in those forms, in the largest units: `1h30m`, `250ms`, `2d`. Exact to the microsecond.
[[nodiscard]] std::string format_duration(duration span);

/// Seconds, as JSON carries durations. Negative, NaN and more than `max` are refused.
[[nodiscard]] result<duration> seconds_to_duration(double seconds, duration max,
                                                   std::string_view field);
[[nodiscard]] double to_seconds(duration span) noexcept;

}  // namespace millrace
