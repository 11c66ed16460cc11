#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/engine/store.hpp>

#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// The port for coroutines: the same calls, resumed on the caller's executor.
///
/// Cancellation: none of these can be taken back once begun; they always answer, soon.
/// Lifetime:     the store must outlive the call, and the caller's event loop the store (one of
///               its threads may still be leaving `post` when the caller goes on). The loop is
///               kept running until the answer is there.
namespace millrace::engine {

[[nodiscard]] awaitable<std::vector<commit_result>> commit_each(store& where,
                                                                std::vector<transaction> batch);

[[nodiscard]] awaitable<commit_result> commit(store& where, transaction what);

/// One step of its own: its outcome, or why not.
template <class Outcome>
[[nodiscard]] awaitable<result<Outcome>> commit_step(store& where, step what,
                                                     durability level = durability::durable) {
  transaction one{.steps = {}, .level = level, .idempotency = {}};
  one.steps.push_back(std::move(what));
  commit_result done = co_await commit(where, std::move(one));
  if (!done) co_return std::unexpected(std::move(done.error().why));
  co_return std::get<Outcome>(std::move(done->outcomes.front()));
}

[[nodiscard]] awaitable<result<answer>> ask_any(store& where, query what);

/// Asks one query: `co_await ask(store, find_job{id})`.
template <class Query>
[[nodiscard]] awaitable<result<typename Query::answer>> ask(store& where, Query what) {
  result<answer> any = co_await ask_any(where, query{std::move(what)});
  if (!any) co_return std::unexpected(std::move(any.error()));
  co_return std::get<typename Query::answer>(std::move(*any));
}

/// The same for threads that may block. Never on a thread of the engine or of an event loop.
namespace blocking {
[[nodiscard]] commit_result commit(store& where, transaction what);
[[nodiscard]] std::vector<commit_result> commit_each(store& where, std::vector<transaction> batch);
[[nodiscard]] result<answer> ask_any(store& where, query what);
template <class Query>
[[nodiscard]] result<typename Query::answer> ask(store& where, Query what) {
  result<answer> any = blocking::ask_any(where, query{std::move(what)});
  if (!any) return std::unexpected(std::move(any.error()));
  return std::get<typename Query::answer>(std::move(*any));
}
}  // namespace blocking

}  // namespace millrace::engine
