#include "commit_limits.hpp"

#include <utility>

namespace millrace::http {
namespace {

using verb = limit_step::verb;

limits_verb rules_of(verb what) {
  switch (what) {
    case verb::refund: return limits_verb::refund;
    case verb::settle: return limits_verb::settle;
    case verb::renew:
    case verb::release: return limits_verb::permit;
    default: return limits_verb::check;
  }
}

result<void> check_complete(const limit_step& step) {
  if (step.what == verb::settle) return check_settlement(step.body);
  const bool of_permit = step.what == verb::renew || step.what == verb::release;
  if (of_permit && step.body.permit == 0) {
    return invalid("permit", "permit is the number that was answered when it was taken.");
  }
  return {};
}

result<limit_plan> plan_of(limit_planner& with, const limit_step& step,
                           const std::string& project) {
  const limits_body& body = step.body;
  switch (step.what) {
    case verb::take: return with.take(body.asked, body.mode);
    case verb::refund: return with.refund(body.asked, body.taken_at);
    case verb::settle: return with.settle(body.asked, body.used.value_or(0), body.taken_at);
    case verb::renew: return with.renew(body.asked, body.permit);
    case verb::release: return with.release(body.asked, body.permit);
    case verb::block:
    case verb::unblock: break;
  }
  return limit_planner::block(project, step.whom.scope, step.whom.id, step.whom.length);
}

engine::take_mode shown_mode(const limit_step& step) {
  if (step.what == verb::take) return step.body.mode;
  return step.what == verb::settle ? engine::take_mode::part : engine::take_mode::all;
}

}  // namespace

result<limit_step> decode_limit_step(verb what, std::string_view body, const std::string& project,
                                     const limit_settings& settings) {
  limit_step step{.what = what};
  if (what == verb::block || what == verb::unblock) {
    auto whom = decode_block(body, what == verb::block);
    if (!whom) return std::unexpected(std::move(whom.error()));
    step.whom = std::move(*whom);
    return step;
  }
  auto read = decode_limits(body, rules_of(what), settings);
  if (!read) return std::unexpected(std::move(read.error()));
  step.body = std::move(*read);
  step.body.asked.project = project;
  if (auto whole = check_complete(step); !whole) return std::unexpected(std::move(whole.error()));
  return step;
}

result<void> plan_limits(limit_planner& with, limit_step& step, const std::string& project) {
  auto plan = plan_of(with, step, project);
  if (!plan) return std::unexpected(std::move(plan.error()));
  step.plan = std::move(*plan);
  return {};
}

std::string note_limits(limit_planner& with, limit_step& step,
                        const engine::limits_checked& came_to, bool replayed, bool legacy_headers) {
  limit_answer answer = with.done(*step.plan, came_to, replayed);
  if (step.what == verb::block || step.what == verb::unblock) {
    limit_block block{.at = came_to.at};
    if (!came_to.limits.empty() && came_to.limits.front().blocked_until > came_to.at) {
      block.until = came_to.limits.front().blocked_until;
    }
    step.answer = block_answer(step.whom, block);
    return {};
  }
  // Whatever a settlement could not charge has refused nothing: `granted` says it.
  answer.allowed = true;
  response shown = limits_response(answer, shown_mode(step), legacy_headers);
  step.answer = std::move(shown.body);
  return std::move(shown.headers);
}

}  // namespace millrace::http
