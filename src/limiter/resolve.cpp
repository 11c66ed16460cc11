#include "resolve.hpp"

#include "limit_answers.hpp"

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {
namespace {

constexpr std::string_view everybody = "all";

bool matches(std::string_view entry, const limit_request& what) {
  const std::size_t equals = entry.find('=');
  const auto part = what.parts.find(entry.substr(0, equals));
  if (part == what.parts.end()) return false;
  std::string_view wanted = entry.substr(equals + 1);
  if (!wanted.ends_with('*')) return part->second == wanted;
  wanted.remove_suffix(1);
  return part->second.starts_with(wanted);
}

bool any_matches(const std::vector<std::string>& list, const limit_request& what) {
  return std::ranges::any_of(list, [&](const std::string& entry) { return matches(entry, what); });
}

// Whose count a scope means; empty where the request does not say. What is known is not asked.
std::string id_of(const std::string& scope, const limit_request& what,
                  const limit_settings& settings) {
  if (scope == "global") return std::string(everybody);
  if (scope == "project") return what.project;
  if (scope == "server") return settings.server_id;
  const auto part = what.parts.find(scope);
  return part == what.parts.end() ? std::string{} : part->second;
}

result<wanted_limit> wanted_by(const limit_rule& rule, const limit_request& what,
                               const limit_settings& settings) {
  wanted_limit out{.check = {.scope = rule.scope,
                             .id = id_of(rule.scope, what, settings),
                             .algorithm = rule.algorithm,
                             .limit = rule.limit,
                             .window = rule.window,
                             .cost = what.cost,
                             .burst = rule.burst,
                             .period = rule.period,
                             .dry_run = rule.dry_run,
                             .penalty = rule.penalty},
                   .time_zone = rule.time_zone,
                   .on_failure = rule.on_failure,
                   .lease = lease_life(rule)};
  // Whatever is used within a window was charged within one that is longer by this: where that one
  // holds the limit, so does the window.
  if (rule.algorithm == engine::limit_algorithm::sliding) out.check.window += out.lease;
  if (!out.check.id.empty()) return out;
  if (!rule.fallback.empty()) {
    out.check.scope = rule.fallback;
    out.check.id = id_of(rule.fallback, what, settings);
    if (!out.check.id.empty()) return out;
  }
  const std::string either =
      rule.fallback.empty() ? std::string{} : fmt::format(" or `{}`", rule.fallback);
  return invalid(rule.scope,
                 fmt::format("the policy {} limits by {}: say whose it is with the member `{}`{}.",
                             what.policy, rule.scope, rule.scope, either),
                 "missing_part");
}

result<void> check_parts(const limit_request& what) {
  for (const auto& [name, value] : what.parts) {
    if (auto sound = check_key(value, name); !sound) return sound;
  }
  return {};
}

}  // namespace

result<void> check_costs(const std::vector<wanted_limit>& limits) {
  for (const wanted_limit& each : limits) {
    if (each.check.cost <= engine::size_of(each.check)) continue;
    return invalid("cost",
                   fmt::format("cost is {}, more than the limit of {} by {} can ever allow.",
                               each.check.cost, engine::size_of(each.check), each.check.scope),
                   "cost_over_limit");
  }
  return {};
}

result<void> keep_permits_alone(std::vector<wanted_limit>& limits) {
  std::erase_if(limits, [](const wanted_limit& each) { return !is_of_permits(each); });
  if (!limits.empty()) return {};
  return invalid("permit", "none of these limits has permits: their algorithm is concurrency.",
                 "no_permits");
}

result<void> drop_permits(std::vector<wanted_limit>& limits) {
  std::erase_if(limits, is_of_permits);
  if (!limits.empty()) return {};
  return invalid("permit", "a permit is given back with :release, by its number.", "only_permits");
}

void set_cost(limit_request& what, std::uint64_t cost) noexcept {
  what.cost = cost;
  for (wanted_limit& each : what.limits) each.check.cost = cost;
}

std::vector<engine::limit_check> checks_of(const std::vector<wanted_limit>& limits) {
  std::vector<engine::limit_check> checks;
  checks.reserve(limits.size());
  for (const wanted_limit& each : limits) checks.push_back(each.check);
  return checks;
}

void put_checks(engine::step& into, const std::vector<wanted_limit>& limits) {
  std::visit(
      [&](auto& step) {
        if constexpr (requires { step.checks; }) step.checks = checks_of(limits);
      },
      into);
}

result<void> fill_periods(std::vector<wanted_limit>& limits, timestamp now) {
  for (std::size_t i = 0; i < limits.size(); ++i) {
    engine::limit_check& check = limits[i].check;
    if (check.algorithm != engine::limit_algorithm::calendar) continue;
    // The engine says what is wrong with a budget without a period.
    if (check.period == engine::limit_period::none) continue;
    const auto span = calendar_span_at(check.period, limits[i].time_zone, now);
    if (!span) {
      // Those of policies are sound: it is one that the caller names.
      error why = span.error();
      why.field = fmt::format("checks[{}].{}", i, why.field);
      return std::unexpected(std::move(why));
    }
    check.period_start = span->start;
    check.period_end = span->end;
  }
  return {};
}

result<resolved_limits> resolve_limits(const limit_request& what, const limit_settings& settings) {
  resolved_limits out;
  if (what.policy.empty()) {
    out.limits = what.limits;
    return out;
  }
  const limit_policy* policy = find_policy(settings, what.policy);
  if (policy == nullptr) {
    return fail(errc::not_found, "unknown_policy",
                fmt::format("There is no policy {}: name one of the configuration "
                            "(limits.policies), or give `checks`.",
                            excerpt(what.policy)),
                "policy");
  }
  if (auto sound = check_parts(what); !sound) return std::unexpected(std::move(sound.error()));
  if (any_matches(policy->deny, what)) {
    out.listed = false;
  } else if (any_matches(policy->allow, what)) {
    out.listed = true;
  }
  if (out.listed) return out;
  for (const limit_rule& rule : policy->rules) {
    auto wanted = wanted_by(rule, what, settings);
    if (!wanted) return std::unexpected(std::move(wanted.error()));
    out.limits.push_back(std::move(*wanted));
  }
  return out;
}

}  // namespace millrace
