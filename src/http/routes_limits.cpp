#include "limits_codec.hpp"
#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/json.hpp>
#include <millrace/http/job_codec.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

namespace millrace::http {
namespace {

result<limits_body> read_limits(service& with, const request& what, limits_verb verb) {
  const auto checked = check_no_query(what);
  if (!checked) return std::unexpected(checked.error());
  auto body = decode_limits(what.body, verb, *with.limits.settings());
  if (body) body->asked.project = with.project;
  return body;
}

response answer_limits(const service& with, const result<limit_answer>& answer,
                       engine::take_mode mode, std::string_view more = {}) {
  if (!answer) return problem(answer.error());
  return limits_response(*answer, mode, with.limits.settings()->legacy_headers, more);
}

// The budget among the limits of a policy.
const limited* budget_of(const limit_answer& answer) {
  const auto at = std::ranges::find(answer.limits, duration{0}, &limited::window);
  return at == answer.limits.end() ? nullptr : &*at;
}

std::string budget_members(const tokens_body& asked, const limited& budget) {
  std::string more = R"(,"user_id":)";
  append_json_string(more, asked.user);
  fmt::format_to(std::back_inserter(more),
                 R"(,"tokens":{},"count":{},"limit":{},"remaining":{},"reset_time":)", asked.tokens,
                 budget.state.count, budget.state.limit, budget.state.remaining);
  append_time(more, budget.state.reset_time);
  return more;
}

error no_budget(const std::string& policy) {
  return {.kind = errc::invalid_argument,
          .code = "no_budget",
          .detail = fmt::format("The policy {} has no calendar budget: add a limit with algorithm "
                                "= \"calendar\" to it.",
                                policy),
          .field = "policy"};
}

// The members of the one limit are those of the body.
error named_as_asked(error why) {
  constexpr std::string_view within = "checks[0].";
  if (why.field.starts_with(within)) why.field.erase(0, within.size());
  if (why.field == "cost") why.field = "tokens";
  if (why.field == "id" || why.field == "user") why.field = "user_id";
  return why;
}

// Nothing is charged for a mistake: whether there is a budget is known before.
bool has_budget(const limit_policy& policy) {
  return std::ranges::find(policy.rules, engine::limit_algorithm::calendar,
                           &limit_rule::algorithm) != policy.rules.end();
}

}  // namespace

awaitable<response> check_limits(service& with, request& what) {
  auto body = read_limits(with, what, limits_verb::check);
  if (!body) co_return problem(body.error());
  const auto answer = co_await with.limits.take(std::move(body->asked), body->mode);
  co_return answer_limits(with, answer, body->mode);
}

awaitable<response> refund_limits(service& with, request& what) {
  auto body = read_limits(with, what, limits_verb::refund);
  if (!body) co_return problem(body.error());
  const auto answer = co_await with.limits.refund(std::move(body->asked), body->taken_at);
  co_return answer_limits(with, answer, engine::take_mode::all);
}

awaitable<response> settle_limits(service& with, request& what) {
  auto body = read_limits(with, what, limits_verb::settle);
  if (!body) co_return problem(body.error());
  if (const auto whole = check_settlement(*body); !whole) co_return problem(whole.error());
  auto answer = co_await with.limits.settle(std::move(body->asked), *body->used, body->taken_at);
  // What was used was used: that no more of it can be charged is said by `granted`.
  if (answer && answer->verdict != limit_verdict::listed) answer->allowed = true;
  co_return answer_limits(with, answer, engine::take_mode::part);
}

awaitable<response> reset_limits(service& with, request& what) {
  auto body = read_limits(with, what, limits_verb::reset);
  if (!body) co_return problem(body.error());
  const auto answer = co_await with.limits.reset(std::move(body->asked));
  co_return answer_limits(with, answer, engine::take_mode::all);
}

awaitable<response> consume_tokens(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto body = decode_tokens(what.body);
  if (!body) co_return problem(body.error());
  body->asked.project = with.project;
  const auto settings = with.limits.settings();
  const limit_policy* policy = find_policy(*settings, body->asked.policy);
  if (policy != nullptr && !has_budget(*policy)) {
    co_return problem(no_budget(body->asked.policy));
  }
  const auto answer = co_await with.limits.take(body->asked, body->mode);
  if (!answer) {
    co_return problem(named_as_asked(answer.error()));
  }
  const limited* budget = budget_of(*answer);
  const std::string more = budget != nullptr ? budget_members(*body, *budget) : std::string{};
  co_return limits_response(*answer, body->mode, settings->legacy_headers, more);
}

awaitable<response> show_limit_stats(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  co_return json_response(
      limit_stats_body(with.limits.numbers(), with.limits.top(limit_consumers_max)));
}

}  // namespace millrace::http
