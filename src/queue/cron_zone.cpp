#include "cron_zone.hpp"

#include <millrace/engine/limits.hpp>

#include <date/tz.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <numeric>
#include <string>
#include <vector>

namespace millrace {
namespace {

constexpr std::size_t suggestions_max = 3;

std::string lower(std::string_view text) {
  std::string folded{text};
  for (char& c : folded) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == ' ') c = '_';
  }
  return folded;
}

std::string_view city_of(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

// Levenshtein's distance, one row at a time.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

// Names within two typing errors, or whose city is; the nearest first.
std::string suggestions(const std::vector<date::time_zone>& zones, std::string_view wanted) {
  const std::string asked = lower(wanted);
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const auto& zone : zones) {
    const std::string name = lower(zone.name());
    const std::size_t distance =
        std::min(edits(asked, name), edits(city_of(asked), city_of(name)) + 1);
    if (distance <= 2) near.emplace_back(distance, zone.name());
  }
  std::ranges::sort(near);
  if (near.size() > suggestions_max) near.resize(suggestions_max);
  std::vector<std::string_view> names;
  names.reserve(near.size());
  for (const auto& [distance, name] : near) names.emplace_back(name);
  if (names.empty()) return "use an IANA name such as Europe/Berlin or UTC";
  return fmt::format("did you mean {}?", fmt::join(names, ", "));
}

}  // namespace

result<const date::time_zone*> find_zone(std::string_view name) {
  if (name == "UTC" || name == "Etc/UTC") return nullptr;
  if (name.empty() || name.size() > engine::time_zone_bytes_max) {
    return invalid(
        "time_zone",
        fmt::format("the name of a time zone has 1 to {} characters", engine::time_zone_bytes_max),
        "unknown_time_zone");
  }
  // The library reports by exceptions; none leaves here.
  try {
    const auto& zones = date::get_tzdb().zones;
    const auto found = std::ranges::find(zones, name, &date::time_zone::name);
    if (found != zones.end()) {
      static_cast<void>(found->get_info(date::sys_seconds{}));
      return &*found;
    }
    return invalid("time_zone",
                   fmt::format("unknown time zone '{}': {}", name, suggestions(zones, name)),
                   "unknown_time_zone");
  } catch (const std::exception& failure) {
    return fail(errc::unsupported, "time_zones_unavailable",
                fmt::format("the time zone database of this machine cannot be read ({}); install "
                            "tzdata or use UTC",
                            failure.what()),
                "time_zone");
  }
}

zone_period period_at(const date::time_zone* zone, sys_seconds at) {
  if (zone == nullptr) return {sys_seconds::min(), sys_seconds::max(), std::chrono::seconds{0}};
  const auto info = zone->get_info(at);
  return {info.begin, info.end, info.offset};
}

}  // namespace millrace
