#pragma once

#include <millrace/base/error.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

/// The wall-clock readings that one cron line names; no time zone, no present.
///
///   [second] minute hour day-of-month month day-of-week
///
/// | Field        | Values            | Besides `*`, `a`, `a-b`, `a,b`, `*/n`, `a-b/n`, `a/n` |
/// |--------------|-------------------|-------------------------------------------------------|
/// | second       | 0-59; 0 if absent |                                                       |
/// | minute, hour | 0-59, 0-23        |                                                       |
/// | day of month | 1-31              | `?` = `*`; `L` last day; `L-3` third before the last; |
/// |              |                   | `15W` weekday nearest the 15th; `LW` last weekday     |
/// | month        | 1-12, JAN-DEC     |                                                       |
/// | day of week  | 0-7, SUN-SAT;     | `?` = `*`; `MON#2` second Monday; `FRIL` last Friday  |
/// |              | 0 and 7 = Sunday  |                                                       |
///
/// `a/n` is `a` to the end of the field by `n`. A field is *restricted* unless it begins with `*`
/// or `?`. Days: where both day fields are restricted, a day that satisfies **either** is meant
/// (the classic rule: `0 0 13 * FRI` is every 13th and every Friday); otherwise both have to hold.
/// Macros: @hourly, @daily, @midnight, @weekly (Sunday), @monthly, @yearly, @annually.
class cron_line final {
public:
  /// Errors: invalid_argument, field `schedule`, code `invalid_cron` (names the field, the item and
  ///         its place) or `cron_never_fires` (`0 0 31 2 *`).
  [[nodiscard]] static result<cron_line> parse(std::string_view line);

  /// The first reading at or after `from`; empty when there is none before the year 2200.
  /// Cost: O(months to go), at most 41 years; O(1) for lines that fire every month.
  [[nodiscard]] std::optional<std::chrono::local_seconds> first_from(
      std::chrono::local_seconds from) const noexcept;

  /// The hour field admits every hour: the line means an interval rather than times of day.
  [[nodiscard]] bool every_hour() const noexcept;

private:
  friend class cron_line_parser;

  // Which days of a month are meant: bit d of a mask is day d, bit w of a weekday set is weekday w
  // (Sunday 0).
  struct day_rule {
    std::uint32_t days{0};
    // Bit n: the n-th day before the last.
    std::uint32_t before_last{0};
    // Bit d: the weekday nearest day d; bit 0: the last weekday of the month.
    std::uint32_t near_days{0};
    std::uint8_t weekdays{0};
    // nth[k]: only the (k + 1)-th of its kind in the month.
    std::array<std::uint8_t, 5> nth{};
    std::uint8_t last_of_kind{0};
    bool by_day{false};
    bool by_weekday{false};
  };

  [[nodiscard]] std::uint32_t days_of(std::chrono::year_month month) const noexcept;
  [[nodiscard]] std::optional<std::uint32_t> time_from(std::uint32_t second_of_day) const noexcept;

  std::uint64_t seconds_{1};
  std::uint64_t minutes_{0};
  std::uint32_t hours_{0};
  std::uint32_t months_{0};
  day_rule day_{};
};

}  // namespace millrace
