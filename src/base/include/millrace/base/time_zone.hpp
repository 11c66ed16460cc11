#pragma once

#include <millrace/base/error.hpp>

#include <chrono>
#include <string_view>

namespace date {
class time_zone;
}

namespace millrace {

using std::chrono::sys_seconds;

/// A stretch of time with one offset from UTC.
struct zone_period {
  sys_seconds begin;
  sys_seconds end;
  std::chrono::seconds offset{0};

  [[nodiscard]] std::chrono::local_seconds wall(sys_seconds at) const noexcept {
    return std::chrono::local_seconds{at.time_since_epoch() + offset};
  }
  [[nodiscard]] sys_seconds moment(std::chrono::local_seconds wall_reading) const noexcept {
    return sys_seconds{wall_reading.time_since_epoch() - offset};
  }
};

/// Looks a zone up in the machine's database; null is UTC, which needs none. Zones live as long as
/// the process.
///
/// Errors: invalid_argument (unknown_time_zone), with the nearest names; unsupported
///         (time_zones_unavailable) where the machine has no database.
/// Cost:   the first call lists the database, some milliseconds.
[[nodiscard]] result<const date::time_zone*> find_zone(std::string_view name);

[[nodiscard]] zone_period period_at(const date::time_zone* zone, sys_seconds at);

}  // namespace millrace
