#include "idempotency.hpp"
#include "lock_codec.hpp"
#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::http {
namespace {

result<engine::lock_key> lock_in_path(const service& with, const request& what) {
  result<void> named = check_key(what.params[0], "resource");
  if (!named) return std::unexpected(std::move(named.error()));
  return engine::lock_key{.project = with.project, .resource = what.params[0]};
}

result<std::string> token_in_query(const request& what) {
  result<query_reader> query = query_reader::parse(what.query);
  if (!query) return std::unexpected(std::move(query.error()));
  const std::optional<std::string> token = query->text("token");
  if (auto finished = query->finish(); !finished) return std::unexpected(finished.error());
  if (token && !token->empty()) return *token;
  return invalid("token", "token is missing: it came with the lock, and goes into the query.");
}

// A request that is sent again with its Idempotency-Key asks with the same token, and gets the
// grant there is.
result<std::string> token_for(const service& with, const request& what,
                              const engine::lock_key& key) {
  auto repeated = read_idempotency_key(what, with.project, "POST /v1/locks/{resource}");
  if (!repeated) return std::unexpected(std::move(repeated.error()));
  if (!*repeated) return make_lock_token();
  return lock_token_of(key.project + '\n' + key.resource + '\n' + (*repeated)->key);
}

response lock_held(const engine::lock_info& lock) {
  const error why{.kind = errc::conflict,
                  .code = "lock_held",
                  .detail =
                      "Somebody else holds the lock: wait for it, or try again after "
                      "expires_at."};
  response answer = problem(why);
  answer.body.pop_back();
  answer.body += ',';
  append_lock_members(answer.body, lock);
  answer.body += '}';
  return answer;
}

awaitable<void> acquire_into(locks* from, engine::acquire_lock step, duration wait,
                             result<engine::lock_answer>* into) {
  *into = co_await from->acquire(std::move(step), wait);
}

// borrows: awaited in place
awaitable<response> answer_acquire(service& with, request& what, engine::acquire_lock step,
                                   duration wait) {
  // Mostly it is free, or nobody wants to wait: then no watch over the client is set up.
  engine::acquire_lock now = step;
  now.queue = wait > duration{0} ? duration{0} : step.queue;
  result<engine::lock_answer> got = co_await with.holders.acquire(std::move(now), duration{0});
  if (got && !got->granted && wait > duration{0} && !with.stopping) {
    co_await while_there(*what.from, acquire_into(&with.holders, step, wait, &got));
    if (!got && got.error().kind == errc::cancelled) {
      // The server stops, or nobody is there any more.
      co_return problem(error{.kind = errc::unavailable,
                              .code = "stopping",
                              .detail = "The server stops: ask again.",
                              .retry_after = std::chrono::seconds{1}});
    }
    if (got && got->granted && !with.stopping && has_gone(*what.from)) {
      // Nobody would release it.
      (void)co_await with.holders.release({.key = step.key, .token = step.token});
    }
  }
  if (!got) co_return problem(got.error());
  if (!got->granted) co_return lock_held(got->lock);
  std::string body;
  append_lock(body, got->lock, step.token);
  co_return json_response(std::move(body), 201);
}

}  // namespace

awaitable<response> acquire_lock(service& with, request& what) {
  const auto key = lock_in_path(with, what);
  if (!key) co_return problem(key.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto asked = decode_lock(what.body);
  if (!asked) co_return problem(asked.error());
  auto token = token_for(with, what, *key);
  if (!token) co_return problem(token.error());
  co_return co_await answer_acquire(with, what,
                                    {.key = *key,
                                     .token = std::move(*token),
                                     .ttl = asked->ttl,
                                     .owner = std::move(asked->owner),
                                     .mode = asked->mode.value_or(engine::lock_mode::exclusive),
                                     .permits = asked->permits,
                                     .queue = asked->keep_place},
                                    asked->wait);
}

awaitable<response> extend_lock(service& with, request& what) {
  const auto key = lock_in_path(with, what);
  if (!key) co_return problem(key.error());
  const auto token = token_in_query(what);
  if (!token) co_return problem(token.error());
  const auto ttl = decode_lock_ttl(what.body);
  if (!ttl) co_return problem(ttl.error());
  const auto done = co_await with.holders.extend({.key = *key, .token = *token, .ttl = *ttl});
  if (!done) co_return problem(done.error());
  std::string body;
  append_lock(body, done->lock, *token);
  co_return json_response(std::move(body));
}

awaitable<response> release_lock(service& with, request& what) {
  const auto key = lock_in_path(with, what);
  if (!key) co_return problem(key.error());
  const auto token = token_in_query(what);
  if (!token) co_return problem(token.error());
  const auto done = co_await with.holders.release({.key = *key, .token = *token});
  if (!done) co_return problem(done.error());
  co_return empty_response();
}

awaitable<response> show_lock(service& with, request& what) {
  const auto key = lock_in_path(with, what);
  if (!key) co_return problem(key.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto holders = co_await engine::ask(with.store, engine::list_lock_holders{*key});
  if (!holders) co_return problem(holders.error());
  std::string body;
  if (!holders->empty()) {
    // The one whose lease ends first stands for all of them.
    append_lock(body, *std::ranges::min_element(*holders, {}, &engine::lock_info::expires_at), {});
    body.pop_back();
    append_holders(body, *holders);
    body += '}';
  } else {
    body = R"({"resource":)";
    append_json_string(body, key->resource);
    body += R"(,"held":false})";
  }
  co_return json_response(std::move(body));
}

}  // namespace millrace::http
