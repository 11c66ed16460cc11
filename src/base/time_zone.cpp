#include <millrace/base/time_zone.hpp>

#include "zone_rule.hpp"

#include <date/tz.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace millrace {
namespace {

constexpr std::size_t suggestions_max = 3;
constexpr std::size_t time_zone_bytes_max = 64;

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

// A period that ends here does not end: the changes that the library has read are over. It reads
// the list of a zone's file alone (to 2037), not the rule after it.
constexpr sys_seconds end_of_list{std::chrono::sys_days{std::chrono::year{2200} / 1 / 1}};

// The rule is the last line of the file.
std::optional<zone_rule> read_rule(const std::string& name) {
  const char* const elsewhere = std::getenv("TZDIR");
  const std::filesystem::path folder = elsewhere != nullptr ? elsewhere : "/usr/share/zoneinfo";
  std::ifstream file{folder / name, std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{file}, {}};
  if (!bytes.ends_with('\n')) return std::nullopt;
  const std::string_view text = std::string_view{bytes}.substr(0, bytes.size() - 1);
  return zone_rule::parse(text.substr(text.rfind('\n') + 1));
}

// Read once for each zone that is asked for the time after the end of its list.
std::optional<zone_rule> rule_of(const date::time_zone& zone) {
  static std::mutex guard;
  static std::map<const date::time_zone*, std::optional<zone_rule>> known;
  const std::lock_guard lock{guard};
  const auto at = known.find(&zone);
  if (at != known.end()) return at->second;
  return known.emplace(&zone, read_rule(zone.name())).first->second;
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
  if (name.empty() || name.size() > time_zone_bytes_max) {
    return invalid(
        "time_zone",
        fmt::format("the name of a time zone has 1 to {} characters", time_zone_bytes_max),
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
  const zone_period listed{info.begin, info.end, info.offset};
  if (listed.end < end_of_list) return listed;
  const std::optional<zone_rule> rule = rule_of(*zone);
  if (!rule) return listed;
  zone_period period = rule->at(at);
  period.begin = std::max(period.begin, listed.begin);
  return period;
}

}  // namespace millrace
