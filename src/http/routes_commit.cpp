#include "commit_codec.hpp"
#include "idempotency.hpp"
#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <iterator>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::http {
namespace {

// Whether it is about one step, and not about the store or the whole.
bool is_of_step(const error& why) {
  const bool of_key = why.code.starts_with("idempotency_");
  const bool of_store = why.kind == errc::unavailable || why.kind == errc::storage_full ||
                        why.kind == errc::outcome_unknown || why.code == "store_busy";
  return !of_key && !of_store && why.field != "steps";
}

// What is made together belongs together, to what the request belongs to.
void correlate(const request& what, std::vector<engine::step>& steps) {
  for (engine::step& each : steps) {
    if (auto* job = std::get_if<engine::enqueue_job>(&each)) {
      if (job->spec.correlation_id.empty()) job->spec.correlation_id = what.correlation_id;
    } else if (auto* event = std::get_if<engine::publish_event>(&each)) {
      if (event->what.correlation_id.empty()) event->what.correlation_id = what.correlation_id;
    }
  }
}

// What sessions and the cache do to their steps before they are committed.
result<void> prepare_steps(service& with, commit_request& asked) {
  for (std::size_t i = 0; i < asked.steps.size(); ++i) {
    result<void> ready;
    if (auto* put = std::get_if<engine::put_cache>(&asked.steps[i])) {
      ready = with.cache.prepare(*put);
    } else if (auto* begun = std::get_if<engine::create_session>(&asked.steps[i])) {
      auto id = with.sessions.prepare(*begun);
      if (id) {
        asked.session_ids[i] = std::move(*id);
      } else {
        ready = std::unexpected(std::move(id.error()));
      }
    } else if (auto* changed = std::get_if<engine::change_session>(&asked.steps[i])) {
      ready = with.sessions.prepare(asked.session_ids[i], *changed);
    } else if (auto* ended = std::get_if<engine::end_session>(&asked.steps[i])) {
      ready = sessions::session_store::prepare(asked.session_ids[i], *ended);
    }
    if (!ready) return std::unexpected(of_step(std::move(ready.error()), i));
  }
  limit_planner planner(with.limits);
  for (auto& [i, limits] : asked.limits) {
    auto planned = plan_limits(planner, limits, with.project);
    if (!planned) return std::unexpected(of_step(std::move(planned.error()), i));
  }
  return {};
}

// Its limits' periods are those of now.
result<void> ready_limits(service& with, commit_request& asked) {
  const limit_planner planner(with.limits);
  for (auto& [i, limits] : asked.limits) {
    auto ready = planner.ready(*limits.plan);
    if (!ready) return std::unexpected(of_step(std::move(ready.error()), i));
    asked.steps[i] = limits.plan->step;
  }
  return {};
}

/// A period may end between the look at the clock and the commit; not twice in a row.
constexpr int period_tries = 3;

// borrows: awaited in place
awaitable<engine::commit_result> commit_readied(service& with, commit_request& asked,
                                                engine::transaction one) {
  if (asked.limits.empty()) {
    one.steps = asked.steps;
    co_return co_await engine::commit(with.store, std::move(one));
  }
  for (int tries = 1;; ++tries) {
    if (auto ready = ready_limits(with, asked); !ready) {
      co_return std::unexpected(engine::refusal{std::move(ready.error()), 0});
    }
    one.steps = asked.steps;
    auto done = co_await engine::commit(with.store, one);
    const bool moved = !done && done.error().why.code == "limit_period_moved";
    if (!moved || tries == period_tries) co_return done;
    if (auto told = co_await limit_planner(with.limits).follow_clock(); !told) co_return done;
  }
}

// borrows: awaited in place
awaitable<response> refuse_commit(service& with, const commit_request& asked,
                                  const engine::refusal& refused) {
  const error& why = refused.why;
  const auto limits = asked.limits.find(refused.step_index);
  if (limits != asked.limits.end() &&
      (why.code == "limit_reached" || why.code == "limit_blocked")) {
    const auto answer = co_await limit_planner(with.limits).refused(*limits->second.plan);
    if (!answer) co_return problem(of_step(why, refused.step_index));
    co_return limits_refusal(*answer, refused.step_index, with.limits.settings()->legacy_headers);
  }
  // What was readied names its step already.
  const bool named = why.field.starts_with("steps.");
  co_return problem(is_of_step(why) && !named ? of_step(why, refused.step_index) : why);
}

// Returns the headers that tell of limits.
std::string note_outcomes(service& with, commit_request& asked, const engine::committed& done) {
  std::string headers;
  limit_planner planner(with.limits);
  const bool legacy = with.limits.settings()->legacy_headers;
  for (auto& [i, limits] : asked.limits) {
    const auto* checked = std::get_if<engine::limits_checked>(&done.outcomes.at(i));
    if (checked == nullptr) continue;
    headers += note_limits(planner, limits, *checked, done.replayed, legacy);
  }
  return headers;
}

// Sessions as their owner knows them. One that an earlier commit of the same request began gets
// another id: the first is kept nowhere.
// borrows: awaited in place
awaitable<result<void>> read_sessions(service& with, commit_request& asked,
                                      engine::committed& done) {
  for (std::size_t i = 0; i < done.outcomes.size(); ++i) {
    auto* changed = std::get_if<engine::session_changed>(&done.outcomes[i]);
    if (changed == nullptr) continue;
    const bool begun = std::holds_alternative<engine::create_session>(asked.steps[i]);
    if (done.replayed && begun) {
      auto again = co_await with.sessions.name_again(changed->session.key);
      if (!again) co_return std::unexpected(of_step(std::move(again.error()), i));
      asked.session_ids[i] = std::move(again->id);
      changed->session = std::move(again->session);
      continue;
    }
    auto opened = with.sessions.opened(std::move(changed->session));
    if (!opened) co_return std::unexpected(of_step(std::move(opened.error()), i));
    changed->session = std::move(*opened);
  }
  co_return result<void>();
}

}  // namespace

awaitable<response> commit_steps(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const engine::store_traits store = with.store.traits();
  auto asked =
      decode_commit(what.body, with.project, store, with.options.sessions, *with.limits.settings());
  if (!asked) co_return problem(asked.error());
  correlate(what, asked->steps);
  if (const auto ready = prepare_steps(with, *asked); !ready) co_return problem(ready.error());
  if (asked->level && *asked->level > store.strongest) {
    co_return problem(error{.kind = errc::unsupported,
                            .code = "durability_unavailable",
                            .detail = fmt::format("durability '{}' is not to be had here.",
                                                  engine::to_string(*asked->level)),
                            .field = "durability"});
  }
  auto key = read_idempotency_key(what, with.project, "POST /v1/commit");
  if (!key) co_return problem(key.error());
  engine::transaction one{
      .steps = {}, .level = asked->level.value_or(store.strongest), .idempotency = std::move(*key)};
  auto done = co_await commit_readied(with, *asked, std::move(one));
  if (!done) co_return co_await refuse_commit(with, *asked, done.error());
  for (const engine::outcome& each : done->outcomes) {
    if (const auto* stored = std::get_if<engine::cache_stored>(&each)) {
      with.cache.count_evicted(*stored);
    }
  }
  if (const auto read = co_await read_sessions(with, *asked, *done); !read) {
    co_return problem(read.error());
  }
  response answer;
  answer.headers = note_outcomes(with, *asked, *done);
  append_results(answer.body, *asked, done->outcomes);
  fmt::format_to(std::back_inserter(answer.body), R"(,"durability":"{}"}})",
                 engine::to_string(done->level));
  if (done->replayed) answer.headers += "Idempotency-Replayed: true\r\n";
  co_return answer;
}

}  // namespace millrace::http
