#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/http/job_codec.hpp>

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::http {
namespace {

using leased_jobs = std::vector<engine::leased_job>;

response answer_leased(const leased_jobs& jobs) {
  std::string body = R"({"jobs":[)";
  for (const engine::leased_job& one : jobs) {
    if (&one != &jobs.front()) body += ',';
    append_leased(body, one);
  }
  body += "]}";
  return json_response(std::move(body));
}

awaitable<void> reserve_into(queues* from, reserve_request asked, result<leased_jobs>* into) {
  *into = co_await from->reserve(std::move(asked));
}

// Nobody is there any more to work on them: available again at once, the attempt not counted.
awaitable<void> hand_back(queues* to, leased_jobs jobs) {
  for (engine::leased_job& one : jobs) {
    // One that cannot be handed back comes back when its lease ends.
    (void)co_await to->snooze({.id = std::move(one.what.id), .token = one.token});
  }
}

// borrows: awaited in place
awaitable<response> answer_reserve(service& with, request& what, reserve_request asked) {
  // Mostly there is something, or nobody wants to wait: then no watch over the client is set up.
  reserve_request now = asked;
  now.wait = duration{0};
  result<leased_jobs> jobs = co_await with.jobs.reserve(std::move(now));
  if (!jobs) co_return problem(jobs.error());
  if (!jobs->empty() || asked.wait == duration{0} || with.stopping) co_return answer_leased(*jobs);
  co_await while_there(*what.from, reserve_into(&with.jobs, std::move(asked), &jobs));
  if (!jobs && jobs.error().kind == errc::cancelled) co_return answer_leased({});
  if (!jobs) co_return problem(jobs.error());
  if (!jobs->empty() && !with.stopping && has_gone(*what.from)) {
    co_await hand_back(&with.jobs, std::move(*jobs));
    co_return answer_leased({});
  }
  co_return answer_leased(*jobs);
}

response answer_changed(const result<engine::job_changed>& changed) {
  if (!changed) return problem(changed.error());
  std::string body;
  append_changed(body, *changed);
  return json_response(std::move(body));
}

void append_outcome(std::string& out, const engine::outcome& outcome) {
  if (const auto* changed = std::get_if<engine::job_changed>(&outcome)) {
    append_changed(out, *changed);
  } else if (const auto* extended = std::get_if<engine::lease_extended>(&outcome)) {
    append_extended(out, *extended);
  }
}

// Many steps of one kind, each by itself, in one round trip; one entry each, in order.
// borrows: awaited in place
template <class Step>
awaitable<response> answer_each(service& with, std::vector<result<Step>>& steps,
                                engine::durability level) {
  std::vector<engine::transaction> batch;
  for (result<Step>& step : steps) {
    if (!step) continue;
    engine::transaction& one = batch.emplace_back();
    one.level = level;
    one.steps.emplace_back(std::move(*step));
  }
  std::vector<engine::commit_result> done;
  if (!batch.empty()) done = co_await engine::commit_each(with.store, std::move(batch));
  std::string body = R"({"jobs":[)";
  auto next = done.begin();
  for (result<Step>& step : steps) {
    if (&step != &steps.front()) body += ',';
    const error* why = step ? nullptr : &step.error();
    if (step && *next) append_outcome(body, (*next)->outcomes.front());
    if (step && !*next) why = &next->error().why;
    if (step) ++next;
    if (why == nullptr) continue;
    body += R"({"error":)";
    append_problem(body, *why);
    body += '}';
  }
  body += "]}";
  co_return json_response(std::move(body));
}

}  // namespace

awaitable<response> reserve_jobs(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto asked = decode_reserve(what.body, *queue);
  if (!asked) co_return problem(asked.error());
  co_return co_await answer_reserve(with, what, std::move(*asked));
}

awaitable<response> reserve_from_queues(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto asked = decode_reserve_many(what.body, with.project);
  if (!asked) co_return problem(asked.error());
  co_return co_await answer_reserve(with, what, std::move(*asked));
}

awaitable<response> ack_job(service& with, request& what) {
  auto id = job_in_path(what);
  if (!id) co_return problem(id.error());
  auto step = decode_ack(what.body, std::move(*id));
  if (!step) co_return problem(step.error());
  const auto changed = co_await with.jobs.ack(std::move(*step));
  co_return answer_changed(changed);
}

awaitable<response> fail_job(service& with, request& what) {
  auto id = job_in_path(what);
  if (!id) co_return problem(id.error());
  auto step = decode_fail(what.body, std::move(*id));
  if (!step) co_return problem(step.error());
  const auto changed = co_await with.jobs.fail(std::move(*step));
  co_return answer_changed(changed);
}

awaitable<response> extend_job(service& with, request& what) {
  auto id = job_in_path(what);
  if (!id) co_return problem(id.error());
  auto step = decode_extend(what.body, std::move(*id));
  if (!step) co_return problem(step.error());
  const auto extended = co_await with.jobs.extend(std::move(*step));
  if (!extended) co_return problem(extended.error());
  std::string body;
  append_extended(body, *extended);
  co_return json_response(std::move(body));
}

awaitable<response> snooze_job(service& with, request& what) {
  auto id = job_in_path(what);
  if (!id) co_return problem(id.error());
  auto step = decode_snooze(what.body, std::move(*id));
  if (!step) co_return problem(step.error());
  const auto changed = co_await with.jobs.snooze(std::move(*step));
  co_return answer_changed(changed);
}

awaitable<response> report_job(service& with, request& what) {
  auto id = job_in_path(what);
  if (!id) co_return problem(id.error());
  auto step = decode_progress(what.body, std::move(*id));
  if (!step) co_return problem(step.error());
  const auto changed = co_await with.jobs.report(std::move(*step));
  co_return answer_changed(changed);
}

awaitable<response> ack_jobs(service& with, request& what) {
  auto steps = decode_acks(what.body);
  if (!steps) co_return problem(steps.error());
  co_return co_await answer_each(with, *steps, with.store.traits().strongest);
}

// A lease that a crash shortens harms nobody: not worth a wait for the disk.
awaitable<response> extend_jobs(service& with, request& what) {
  auto steps = decode_extends(what.body);
  if (!steps) co_return problem(steps.error());
  co_return co_await answer_each(with, *steps, engine::durability::async);
}

}  // namespace millrace::http
