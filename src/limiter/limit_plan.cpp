#include <millrace/limiter/limit_plan.hpp>

#include "limit_answers.hpp"
#include "resolve.hpp"

#include <millrace/engine/async.hpp>

#include <algorithm>
#include <utility>
#include <variant>

namespace millrace {
namespace {

using engine::limits_checked;
using engine::take_mode;

// A look at a count that nobody has: it changes nothing, and is never refused.
engine::take_limits keep_place(const std::string& project) {
  return {.project = project,
          .checks = {{.scope = "listed",
                      .id = "all",
                      .algorithm = engine::limit_algorithm::fixed,
                      .limit = 1,
                      .window = std::chrono::seconds{1}}},
          .mode = take_mode::peek};
}

limit_plan plan_of(const limit_request& what, resolved_limits& resolved, engine::step step) {
  limit_plan plan{.step = std::move(step), .project = what.project, .policy = what.policy};
  plan.limits = std::move(resolved.limits);
  plan.listed = resolved.listed.value_or(false);
  if (plan.listed) plan.step = keep_place(plan.project);
  std::visit(
      [&](auto& one) {
        if constexpr (requires { one.checks; }) one.project = plan.project;
      },
      plan.step);
  return plan;
}

error denied() {
  return {errc::forbidden, "limit_denied", "The policy's deny-list does not let this through.", "",
          std::nullopt};
}

}  // namespace

result<limit_plan> limit_planner::take(limit_request what, take_mode mode) {
  auto resolved = resolve_limits(what, *of_.settings());
  if (!resolved) return std::unexpected(std::move(resolved.error()));
  if (resolved->listed && !*resolved->listed) {
    of_.count(what.policy, {.allowed = false, .verdict = limit_verdict::listed, .at = of_.now()});
    return std::unexpected(denied());
  }
  if (!what.policy.empty() && mode != take_mode::part) {
    if (auto sound = check_costs(resolved->limits); !sound) {
      return std::unexpected(std::move(sound.error()));
    }
  }
  limit_plan plan = plan_of(what, *resolved, engine::take_limits{.mode = mode, .required = true});
  plan.mode = mode;
  return plan;
}

result<limit_plan> limit_planner::refund(limit_request what, std::optional<timestamp> taken_at) {
  auto resolved = resolve_limits(what, *of_.settings());
  if (!resolved) return std::unexpected(std::move(resolved.error()));
  if (!resolved->listed) {
    if (auto some = drop_permits(resolved->limits); !some) {
      return std::unexpected(std::move(some.error()));
    }
  }
  return plan_of(what, *resolved, engine::refund_limits{.taken_at = taken_at});
}

result<limit_plan> limit_planner::settle(limit_request what, std::uint64_t used,
                                         std::optional<timestamp> taken_at) {
  const std::uint64_t reserved = what.cost;
  set_cost(what, used > reserved ? used - reserved : std::max<std::uint64_t>(reserved - used, 1));
  if (used < reserved) {
    auto plan = refund(std::move(what), taken_at);
    if (plan) plan->mode = take_mode::part;
    return plan;
  }
  auto resolved = resolve_limits(what, *of_.settings());
  if (!resolved) return std::unexpected(std::move(resolved.error()));
  if (!resolved->listed) {
    if (auto some = drop_permits(resolved->limits); !some) {
      return std::unexpected(std::move(some.error()));
    }
  }
  // What was used was used: that no more of it can be charged refuses nothing.
  const take_mode mode = used == reserved ? take_mode::peek : take_mode::part;
  limit_plan plan = plan_of(what, *resolved, engine::take_limits{.mode = mode});
  plan.mode = mode;
  return plan;
}

template <class Step>
result<limit_plan> limit_planner::of_permit(limit_request what, std::uint64_t permit) {
  auto resolved = resolve_limits(what, *of_.settings());
  if (!resolved) return std::unexpected(std::move(resolved.error()));
  if (!resolved->listed) {
    if (auto some = keep_permits_alone(resolved->limits); !some) {
      return std::unexpected(std::move(some.error()));
    }
  }
  return plan_of(what, *resolved, Step{.permit = permit});
}

result<limit_plan> limit_planner::renew(limit_request what, std::uint64_t permit) {
  return of_permit<engine::renew_limit_permit>(std::move(what), permit);
}

result<limit_plan> limit_planner::release(limit_request what, std::uint64_t permit) {
  return of_permit<engine::release_limit_permit>(std::move(what), permit);
}

limit_plan limit_planner::block(std::string project, std::string scope, std::string id,
                                duration length) {
  limit_plan plan{.project = std::move(project)};
  plan.step = engine::block_limit{
      .project = plan.project, .scope = std::move(scope), .whose = std::move(id), .length = length};
  return plan;
}

result<void> limit_planner::ready(limit_plan& plan) const {
  if (plan.listed) return {};
  if (auto filled = fill_periods(plan.limits, of_.now()); !filled) return filled;
  put_checks(plan.step, plan.limits);
  return {};
}

awaitable<result<void>> limit_planner::follow_clock() {
  const auto clock = co_await engine::ask(of_.store_, engine::read_clock{});
  if (!clock) co_return std::unexpected(clock.error());
  of_.note_clock(*clock);
  co_return result<void>();
}

// What this process keeps of it follows.
void limit_planner::keep(const limit_plan& plan, const limits_checked& came_to) {
  of_.note_clock(came_to.at);
  if (const auto* take = std::get_if<engine::take_limits>(&plan.step)) {
    if (!came_to.allowed || take->mode == take_mode::peek) return;
    const bool in_part = take->mode == take_mode::part;
    of_.keep_warm(plan.project, plan.limits,
                  in_part ? std::optional(came_to.granted) : std::nullopt, came_to.permit);
  } else if (const auto* renewed = std::get_if<engine::renew_limit_permit>(&plan.step)) {
    static_cast<void>(of_.change_own_permit(*renewed));
  } else if (const auto* released = std::get_if<engine::release_limit_permit>(&plan.step)) {
    static_cast<void>(of_.change_own_permit(*released));
  } else if (const auto* block = std::get_if<engine::block_limit>(&plan.step)) {
    of_.keep_block(*block);
  }
}

limit_answer limit_planner::done(const limit_plan& plan, const limits_checked& came_to,
                                 bool replayed) {
  limit_answer answer{.allowed = came_to.allowed,
                      .granted = came_to.granted,
                      .at = came_to.at,
                      .limits = {},
                      .permit = came_to.permit};
  if (plan.listed) {
    answer.verdict = limit_verdict::listed;
  } else if (came_to.limits.size() == plan.limits.size()) {
    // Else the policy was another one when an earlier request was answered.
    answer = answer_of(plan.limits, came_to);
  }
  if (replayed) return answer;
  const auto* take = std::get_if<engine::take_limits>(&plan.step);
  const bool counts = take != nullptr && plan.mode != take_mode::peek;
  if (!plan.listed) keep(plan, came_to);
  if (counts) of_.count(plan.policy, answer);
  return answer;
}

awaitable<result<limit_answer>> limit_planner::refused(limit_plan plan) {
  if (plan.mode == take_mode::part) {
    for (wanted_limit& each : plan.limits) each.check.cost = 1;
  }
  const auto seen =
      co_await of_.commit(plan.project, plan.limits, engine::take_limits{.mode = take_mode::peek});
  if (!seen) co_return std::unexpected(seen.error());
  limit_answer answer = answer_of(plan.limits, *seen);
  answer.allowed = false;
  // There may be room by now: it was refused all the same.
  if (seen->allowed && answer.binding) {
    engine::limit_state& one = answer.limits[*answer.binding].state;
    one.allowed = false;
    one.retry_after = std::chrono::milliseconds{1};
  }
  of_.keep_blocks(plan.project, plan.limits, *seen);
  of_.count(plan.policy, answer);
  co_return answer;
}

}  // namespace millrace
