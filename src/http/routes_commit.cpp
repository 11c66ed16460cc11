#include "commit_codec.hpp"
#include "idempotency.hpp"
#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace millrace::http {
namespace {

// Whether it is about one step, and not about the store or the whole.
bool is_of_step(const error& why) {
  const bool of_key = why.code.starts_with("idempotency_");
  const bool of_store = why.kind == errc::unavailable || why.kind == errc::storage_full ||
                        why.kind == errc::outcome_unknown || why.code == "store_busy";
  return !of_key && !of_store && why.field != "steps";
}

}  // namespace

awaitable<response> commit_steps(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const engine::store_traits store = with.store.traits();
  const auto asked = decode_commit(what.body, with.project, store);
  if (!asked) co_return problem(asked.error());
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
  const auto done = co_await engine::commit(with.store, std::move(one));
  if (!done) {
    const error& why = done.error().why;
    co_return problem(is_of_step(why) ? of_step(why, done.error().step_index) : why);
  }
  response answer;
  append_results(answer.body, *asked, done->outcomes);
  fmt::format_to(std::back_inserter(answer.body), R"(,"durability":"{}"}})",
                 engine::to_string(done->level));
  if (done->replayed) answer.headers = "Idempotency-Replayed: true\r\n";
  co_return answer;
}

}  // namespace millrace::http
