#pragma once

#include <millrace/base/time_zone.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

/// What a zone does for ever after its list of changes ends, as the last line of its file says it:
/// `CET-1CEST,M3.5.0,M10.5.0/3`.
///
/// Source: POSIX.1-2017, environment variable TZ; RFC 9636, section 3.3.1 (hours to 167).
class zone_rule final {
public:
  /// Empty for a text that is no such rule.
  [[nodiscard]] static std::optional<zone_rule> parse(std::string_view text);

  /// Cost: O(1).
  [[nodiscard]] zone_period at(sys_seconds moment) const;

private:
  /// One change of the clock a year.
  struct change {
    /// `M3.5.0`: the last (5) Sunday (0) of March; `J60`: the 60th day, 29 February not counted;
    /// `59`: day 59 from 0, 29 February counted.
    enum class kind : std::uint8_t { weekday_of_month, day_without_leap, day };
    kind by{kind::day};
    unsigned month{0};
    unsigned week{0};
    unsigned number{0};
    std::chrono::seconds time{std::chrono::hours{2}};

    [[nodiscard]] std::chrono::local_seconds in(std::chrono::year year) const;
  };
  class reader;

  std::chrono::seconds standard_{0};
  // Of the other half of the year, where there is one.
  std::optional<std::chrono::seconds> summer_;
  change to_summer_;
  change to_standard_;
};

}  // namespace millrace
