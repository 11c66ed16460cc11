#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/http/queue_codec.hpp>
#include <millrace/queue/cron_scheduler.hpp>

#include <utility>

namespace millrace::http {
namespace {

error cron_not_found() {
  return {.kind = errc::not_found,
          .code = "cron_not_found",
          .detail = "There is no recurring job of this name.",
          .field = "name"};
}

// borrows: awaited in place
awaitable<response> answer_cron(service& with, const std::string& name, unsigned status) {
  const auto found =
      co_await engine::ask(with.store, engine::find_cron{.project = with.project, .name = name});
  if (!found) co_return problem(found.error());
  if (!*found) co_return problem(cron_not_found());
  std::string body;
  append_cron(body, **found);
  co_return json_response(std::move(body), status);
}

engine::topic record_of(const service& with, const std::string& name) {
  return {.what = engine::topic::kind::cron, .name = with.project + "/" + name};
}

enum class cron_state : std::uint8_t { paused, on };

// An entry that goes on does so from now: what passed meanwhile is not made up for.
// borrows: awaited in place
awaitable<response> change_state(service& with, request& what, cron_state state) {
  const auto named = check_name(what.params[0], "name");
  if (!named) co_return problem(named.error());
  const auto checked = check_bare(what);
  if (!checked) co_return problem(checked.error());
  const auto turn = co_await with.writers.take(record_of(with, what.params[0]));
  const auto now = co_await engine::ask(with.store, engine::read_clock{});
  if (!now) co_return problem(now.error());
  auto found = co_await engine::ask(
      with.store, engine::find_cron{.project = with.project, .name = what.params[0]});
  if (!found) co_return problem(found.error());
  if (!*found) co_return problem(cron_not_found());
  const bool paused = state == cron_state::paused;
  if ((*found)->paused != paused) {
    (*found)->paused = paused;
    auto entry = prepare_cron(std::move(**found), *now);
    if (!entry) co_return problem(entry.error());
    const auto done = co_await engine::commit_step<engine::cron_fired>(
        with.store, engine::put_cron{std::move(*entry)}, with.store.traits().strongest);
    if (!done) co_return problem(done.error());
  }
  co_return co_await answer_cron(with, what.params[0], 200);
}

}  // namespace

awaitable<response> pause_cron(service& with, request& what) {
  return change_state(with, what, cron_state::paused);
}

awaitable<response> resume_cron(service& with, request& what) {
  return change_state(with, what, cron_state::on);
}

awaitable<response> list_crons(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  list_request asked = read_list_request(*query);
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  const auto page =
      co_await engine::ask(with.store, engine::list_crons{.project = with.project,
                                                          .limit = asked.limit,
                                                          .cursor = std::move(asked.cursor)});
  if (!page) co_return problem(page.error());
  std::string body = R"({"crons":[)";
  for (const engine::cron_entry& one : page->items) {
    if (&one != &page->items.front()) body += ',';
    append_cron(body, one);
  }
  body += ']';
  append_list_end(body, page->cursor);
  co_return json_response(std::move(body));
}

awaitable<response> show_cron(service& with, request& what) {
  const auto named = check_name(what.params[0], "name");
  if (!named) co_return problem(named.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  co_return co_await answer_cron(with, what.params[0], 200);
}

awaitable<response> set_cron(service& with, request& what) {
  const auto named = check_name(what.params[0], "name");
  if (!named) co_return problem(named.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto written = decode_cron(what.body, with.project, what.params[0]);
  if (!written) co_return problem(written.error());
  const auto turn = co_await with.writers.take(record_of(with, what.params[0]));
  const auto now = co_await engine::ask(with.store, engine::read_clock{});
  if (!now) co_return problem(now.error());
  auto entry = prepare_cron(std::move(*written), *now);
  if (!entry) co_return problem(entry.error());
  const auto before = co_await engine::ask(
      with.store, engine::find_cron{.project = with.project, .name = what.params[0]});
  if (!before) co_return problem(before.error());
  const auto done = co_await engine::commit_step<engine::cron_fired>(
      with.store, engine::put_cron{std::move(*entry)}, with.store.traits().strongest);
  if (!done) co_return problem(done.error());
  co_return co_await answer_cron(with, what.params[0], *before ? 200 : 201);
}

awaitable<response> delete_cron(service& with, request& what) {
  const auto named = check_name(what.params[0], "name");
  if (!named) co_return problem(named.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto turn = co_await with.writers.take(record_of(with, what.params[0]));
  const auto done = co_await engine::commit_step<engine::cron_fired>(
      with.store, engine::delete_cron{.project = with.project, .name = what.params[0]},
      with.store.traits().strongest);
  if (!done) co_return problem(done.error());
  co_return empty_response();
}

}  // namespace millrace::http
