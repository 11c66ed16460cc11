#include <millrace/limiter/limit_policy.hpp>

#include "limit_bindings.hpp"

#include <millrace/base/names.hpp>
#include <millrace/base/time_zone.hpp>
#include <millrace/engine/checks.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace millrace {
namespace {

using engine::limit_algorithm;
using engine::limit_period;

constexpr std::array down_words{std::pair{when_down::open, std::string_view{"open"}},
                                std::pair{when_down::closed, std::string_view{"closed"}},
                                std::pair{when_down::local, std::string_view{"local"}}};

// A check of the rule for anybody, to be looked at.
engine::limit_check example_of(const limit_rule& rule) {
  engine::limit_check what{.scope = rule.scope,
                           .id = "x",
                           .algorithm = rule.algorithm,
                           .limit = rule.limit,
                           .window = rule.window,
                           .burst = rule.burst,
                           .period = rule.period,
                           .penalty = rule.penalty};
  if (rule.algorithm == limit_algorithm::sliding) what.window += lease_life(rule);
  what.period_end = what.period_start + std::chrono::days{1};
  return what;
}

result<void> check_penalty(const limit_rule& rule, const std::string& prefix) {
  if (rule.penalty == engine::limit_penalty{}) return {};
  if (rule.scope == "global" || rule.scope == "server") {
    return invalid(
        prefix + "penalty",
        fmt::format("{} is everybody, whom no penalty may block: leave it out.", rule.scope));
  }
  if (rule.lease == 0) return {};
  return invalid(prefix + "penalty",
                 "a limit with lease is refused ahead of time now and then: leave one of lease and "
                 "penalty out.");
}

result<void> check_rule(const limit_rule& rule, const std::string& prefix) {
  if (auto sound = engine::check_limit(example_of(rule), prefix); !sound) return sound;
  if (!rule.fallback.empty()) {
    if (auto sound = check_name(rule.fallback, prefix + "fallback"); !sound) return sound;
  }
  if (rule.lease < 0 || rule.lease > lease_max) {
    return invalid(prefix + "lease",
                   fmt::format("lease is a share of the limit, from 0 (none) to {}.", lease_max));
  }
  const bool stored =
      rule.algorithm == limit_algorithm::calendar || rule.algorithm == limit_algorithm::concurrency;
  if (rule.lease > 0 && (rule.dry_run || stored)) {
    return invalid(prefix + "lease",
                   "a calendar budget, permits and a limit on trial (dry_run) are counted in the "
                   "store alone: leave lease out.");
  }
  if (auto sound = check_penalty(rule, prefix); !sound) return sound;
  if (rule.algorithm != limit_algorithm::calendar) {
    if (rule.period == limit_period::none) return {};
    return invalid(prefix + "period",
                   "only a calendar budget has a period: set algorithm = \"calendar\", or a window "
                   "in its place.");
  }
  if (rule.window != duration{0}) {
    return invalid(prefix + "window", "a calendar budget has a period and no window.");
  }
  if (auto zone = find_zone(rule.time_zone); !zone) {
    zone.error().field = prefix + "time_zone";
    return std::unexpected(std::move(zone.error()));
  }
  return {};
}

result<void> check_rules(const limit_policy& policy, const std::string& name) {
  if (policy.rules.empty() || policy.rules.size() > engine::limit_checks_max) {
    return invalid(name + ".limits", fmt::format("a policy has 1 to {} limits; {} were given.",
                                                 engine::limit_checks_max, policy.rules.size()));
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < policy.rules.size(); ++i) {
    const std::string prefix = fmt::format("{}.limits[{}].", name, i);
    if (auto sound = check_rule(policy.rules[i], prefix); !sound) return sound;
    std::string counted = engine::limit_name(example_of(policy.rules[i]));
    if (std::ranges::find(names, counted) != names.end()) {
      return invalid(fmt::format("{}.limits[{}]", name, i),
                     "this limit counts the same as one before it (scope, algorithm and window): "
                     "keep one of them.");
    }
    names.push_back(std::move(counted));
  }
  return {};
}

result<void> check_list(const std::vector<std::string>& list, const std::string& field) {
  if (list.size() > limit_list_max) {
    return invalid(field, fmt::format("a list has at most {} entries.", limit_list_max));
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::size_t equals = list[i].find('=');
    const std::string place = fmt::format("{}[{}]", field, i);
    if (equals == std::string::npos || equals + 1 == list[i].size()) {
      return invalid(place, fmt::format("'{}' is no entry: write plan=enterprise or ip=10.0.*",
                                        excerpt(list[i])));
    }
    if (auto sound = check_name(list[i].substr(0, equals), place); !sound) return sound;
    if (auto sound = check_key(list[i].substr(equals + 1), place); !sound) return sound;
  }
  return {};
}

// The first moment at which the clock of the zone shows this day or a later one.
sys_seconds begin_of(std::chrono::local_days day, const date::time_zone* zone) {
  const sys_seconds midnight{day.time_since_epoch()};
  sys_seconds at = midnight - std::chrono::hours{36};
  while (true) {
    const zone_period period = period_at(zone, at);
    const sys_seconds moment = period.moment(day);
    if (moment < period.end) return std::max(moment, period.begin);
    at = period.end;
  }
}

std::chrono::local_days first_day_of(limit_period what, std::chrono::local_days day) {
  if (what == limit_period::weekly) {
    return day - (std::chrono::weekday{day} - std::chrono::Monday);
  }
  if (what == limit_period::monthly) {
    const std::chrono::year_month_day date{day};
    return std::chrono::local_days{date.year() / date.month() / 1};
  }
  return day;
}

std::chrono::local_days next_day_of(limit_period what, std::chrono::local_days first) {
  if (what == limit_period::weekly) return first + std::chrono::days{7};
  if (what == limit_period::monthly) {
    const std::chrono::year_month_day date{first};
    const auto next = std::chrono::year_month{date.year(), date.month()} + std::chrono::months{1};
    return std::chrono::local_days{next / 1};
  }
  return first + std::chrono::days{1};
}

}  // namespace

result<calendar_span> calendar_span_at(limit_period what, std::string_view time_zone,
                                       timestamp now) {
  const auto zone = find_zone(time_zone);
  if (!zone) return std::unexpected(zone.error());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const auto wall = period_at(*zone, seconds).wall(seconds);
  auto first = first_day_of(what, std::chrono::floor<std::chrono::days>(wall));
  auto next = next_day_of(what, first);
  // A clock that is set back over midnight shows the old day again: the new one has begun.
  while (begin_of(next, *zone) <= seconds) {
    first = next;
    next = next_day_of(what, first);
  }
  return calendar_span{timestamp{begin_of(first, *zone)}, timestamp{begin_of(next, *zone)}};
}

duration lease_life(const limit_rule& rule) noexcept {
  const auto life =
      static_cast<std::int64_t>(static_cast<double>(rule.window.count()) * rule.lease);
  return std::min<duration>(duration{life}, lease_life_max);
}

const limit_settings& default_limit_settings() {
  static const limit_settings settings{
      .policies = {{"default",
                    {.rules = {{.scope = "user",
                                .fallback = "ip",
                                .limit = 100,
                                .window = std::chrono::minutes{1}}}}}}};
  return settings;
}

const limit_policy* find_policy(const limit_settings& settings, std::string_view name) {
  const auto at = settings.policies.find(name);
  if (at != settings.policies.end()) return &at->second;
  const limit_settings& known = default_limit_settings();
  const auto of_ours = known.policies.find(name);
  return of_ours == known.policies.end() ? nullptr : &of_ours->second;
}

result<void> check_limit_settings(const limit_settings& settings) {
  if (settings.policies.size() > limit_policies_max) {
    return invalid("policies",
                   fmt::format("there can be at most {} policies.", limit_policies_max));
  }
  for (const auto& [name, policy] : settings.policies) {
    const std::string place = "policies." + name;
    if (auto sound = check_name(name, place); !sound) return sound;
    if (auto sound = check_rules(policy, place); !sound) return sound;
    if (auto sound = check_list(policy.allow, place + ".allow"); !sound) return sound;
    if (auto sound = check_list(policy.deny, place + ".deny"); !sound) return sound;
  }
  if (auto sound = check_bindings(settings); !sound) return sound;
  return check_key(settings.server_id, "server_id");
}

std::string_view to_string(when_down what) noexcept {
  for (const auto& [value, word] : down_words) {
    if (value == what) return word;
  }
  return {};
}

std::optional<when_down> parse_when_down(std::string_view word) noexcept {
  for (const auto& [value, its_word] : down_words) {
    if (its_word == word) return value;
  }
  return std::nullopt;
}

}  // namespace millrace
