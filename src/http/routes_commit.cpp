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
  return {};
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
  auto asked = decode_commit(what.body, with.project, store, with.options.sessions);
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
  engine::transaction one{.steps = asked->steps,
                          .level = asked->level.value_or(store.strongest),
                          .idempotency = std::move(*key)};
  auto done = co_await engine::commit(with.store, std::move(one));
  if (!done) {
    const error& why = done.error().why;
    co_return problem(is_of_step(why) ? of_step(why, done.error().step_index) : why);
  }
  if (const auto read = co_await read_sessions(with, *asked, *done); !read) {
    co_return problem(read.error());
  }
  response answer;
  append_results(answer.body, *asked, done->outcomes);
  fmt::format_to(std::back_inserter(answer.body), R"(,"durability":"{}"}})",
                 engine::to_string(done->level));
  if (done->replayed) answer.headers = "Idempotency-Replayed: true\r\n";
  co_return answer;
}

}  // namespace millrace::http
