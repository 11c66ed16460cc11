#include "check_limits.hpp"

#include "check_values.hpp"

#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/checks.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

namespace millrace::engine {
namespace {

result<void> check_window(const limit_check& what, const std::string& prefix) {
  if (what.algorithm == limit_algorithm::concurrency) {
    return check_range(what.window, permit_ttl_min, permit_ttl_max, {prefix, "ttl"});
  }
  if (what.algorithm != limit_algorithm::calendar) {
    return check_range(what.window, limit_window_min, limit_window_max, {prefix, "window"});
  }
  if (what.period == limit_period::none) {
    return invalid(prefix + "period",
                   "a calendar budget needs a period: daily, weekly or monthly.");
  }
  if (auto ok = check_time(what.period_start, {prefix, "period_start"}); !ok) return ok;
  if (auto ok = check_time(what.period_end, {prefix, "period_end"}); !ok) return ok;
  if (what.period_start < what.period_end) return {};
  return invalid(prefix + "period_end", "the period must end after it has begun.");
}

result<void> check_amounts(const limit_check& what, const std::string& prefix) {
  if (auto ok = check_range(what.limit, 1, limit_value_max, {prefix, "limit"}); !ok) return ok;
  if (what.burst > 0) {
    if (what.algorithm != limit_algorithm::token_bucket) {
      return invalid(prefix + "burst", "only a token_bucket has a burst: leave it out.");
    }
    if (auto ok = check_range(what.burst, 1, limit_value_max, {prefix, "burst"}); !ok) return ok;
  }
  if (what.algorithm != limit_algorithm::concurrency) {
    return check_range(what.cost, 1, limit_value_max, {prefix, "cost"});
  }
  if (auto ok = check_range(what.limit, 1, limit_permits_max, {prefix, "limit"}); !ok) return ok;
  return check_range(what.cost, 1, permit_cost_max, {prefix, "cost"});
}

result<void> check_penalty(const limit_check& what, const std::string& prefix) {
  if (what.penalty == limit_penalty{}) return {};
  const std::string field = prefix + "penalty.";
  if (auto ok = check_range(what.penalty.after, 1, penalty_after_max, {field, "after"}); !ok) {
    return ok;
  }
  return check_range(what.penalty.length, limit_window_min, limit_window_max, {field, "for"});
}

// What could never be allowed is a mistake, not a refusal that passes.
result<void> check_cost(const limit_check& what, const std::string& prefix) {
  if (what.cost <= size_of(what)) return {};
  return invalid(prefix + "cost",
                 fmt::format("cost is {}, more than the limit of {} can ever allow: lower the cost "
                             "or raise the limit.",
                             what.cost, size_of(what)),
                 "cost_over_limit");
}

result<void> check_bucket(const limit_check& what, const std::string& prefix) {
  if (what.algorithm != limit_algorithm::token_bucket || bucket_rate_of(what)) return {};
  return invalid(prefix + (what.burst > 0 ? "burst" : "limit"),
                 "limit, burst and window are too large to be counted exactly: use a shorter "
                 "window with a smaller limit.");
}

result<void> check_shape(const limit_check& what, const std::string& prefix) {
  if (auto ok = check_name(what.scope, prefix + "scope"); !ok) return ok;
  if (auto ok = check_key(what.id, prefix + "id"); !ok) return ok;
  if (auto ok = check_amounts(what, prefix); !ok) return ok;
  if (auto ok = check_window(what, prefix); !ok) return ok;
  if (auto ok = check_penalty(what, prefix); !ok) return ok;
  return check_bucket(what, prefix);
}

result<void> check_distinct(const std::vector<limit_check>& checks) {
  std::vector<std::pair<std::string, std::size_t>> names;
  for (const limit_check& each : checks) names.emplace_back(limit_name(each), names.size());
  std::ranges::sort(names);
  const auto at = std::ranges::adjacent_find(
      names, [](const auto& a, const auto& b) { return a.first == b.first; });
  if (at == names.end()) return {};
  return invalid("checks",
                 fmt::format("checks[{}] and checks[{}] mean the same count (scope, id, algorithm "
                             "and window): name it once.",
                             at->second, std::next(at)->second),
                 "duplicate_target");
}

result<void> check_all(const std::string& project, const std::vector<limit_check>& checks) {
  if (auto ok = check_name(project, "project"); !ok) return ok;
  if (checks.size() > limit_checks_max) {
    return invalid("checks",
                   fmt::format("checks has {} limits: at most {} are checked together.",
                               checks.size(), limit_checks_max),
                   "too_many_checks");
  }
  if (checks.empty()) return invalid("checks", "checks needs at least one limit.");
  for (std::size_t i = 0; i < checks.size(); ++i) {
    if (auto ok = check_shape(checks[i], fmt::format("checks[{}].", i)); !ok) return ok;
  }
  return check_distinct(checks);
}

result<void> check_permit(const std::string& project, const std::vector<limit_check>& checks,
                          std::uint64_t permit) {
  if (auto ok = check_all(project, checks); !ok) return ok;
  for (std::size_t i = 0; i < checks.size(); ++i) {
    if (checks[i].algorithm == limit_algorithm::concurrency) continue;
    return invalid(fmt::format("checks[{}].algorithm", i),
                   "only limits whose algorithm is concurrency have permits.", "no_permits");
  }
  // Tokens of a store are less than 2^53.
  if (permit > 0 && permit < (std::uint64_t{1} << 53U)) return {};
  return invalid("permit", "permit is the number that was answered when it was taken.");
}

}  // namespace

result<void> check_limit(const limit_check& what, const std::string& prefix) {
  return check_shape(what, prefix);
}

result<void> check_one(const take_limits& step) {
  if (auto ok = check_all(step.project, step.checks); !ok) return ok;
  for (std::size_t i = 0; i < step.checks.size(); ++i) {
    const limit_check& each = step.checks[i];
    const std::string prefix = fmt::format("checks[{}].", i);
    if (step.mode == take_mode::part) {
      if (each.cost == step.checks.front().cost) continue;
      return invalid(prefix + "cost", "where a part is enough, all checks have the same cost.");
    }
    if (auto ok = check_cost(each, prefix); !ok) return ok;
  }
  return {};
}

result<void> check_one(const refund_limits& step) {
  if (auto ok = check_all(step.project, step.checks); !ok) return ok;
  if (!step.taken_at) return {};
  return check_time(*step.taken_at, {{}, "taken_at"});
}

result<void> check_one(const reset_limits& step) { return check_all(step.project, step.checks); }

result<void> check_one(const block_limit& step) {
  if (auto ok = check_name(step.project, "project"); !ok) return ok;
  if (auto ok = check_name(step.scope, "scope"); !ok) return ok;
  if (auto ok = check_key(step.whose, "id"); !ok) return ok;
  if (step.length == duration{0}) return {};
  return check_range(step.length, limit_window_min, limit_window_max, {{}, "for"});
}

result<void> check_one(const renew_limit_permit& step) {
  return check_permit(step.project, step.checks, step.permit);
}

result<void> check_one(const release_limit_permit& step) {
  return check_permit(step.project, step.checks, step.permit);
}

}  // namespace millrace::engine
