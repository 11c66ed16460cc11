#include "progress_codec.hpp"
#include "route_support.hpp"
#include "routes.hpp"
#include "sse_response.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine/live_rules.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace millrace::http {
namespace {

// What goes on is of the moment: a crash may lose the latest.
engine::durability level_of(const service& with) {
  return std::min(engine::durability::async, with.store.traits().strongest);
}

// The version that the client saw last; 0 for none. Any other text is none of ours: all is sent.
std::uint64_t last_seen(const request& what) {
  std::uint64_t version = 0;
  const std::string_view text = what[header::last_event_id];
  const char* const end = text.data() + text.size();
  const auto [stopped, code] = std::from_chars(text.data(), end, version);
  return code == std::errc{} && stopped == end ? version : 0;
}

stream_place seen_place(const request& what) {
  return {.what = stream_place::kind::resumed, .stamp = last_seen(what)};
}

}  // namespace

awaitable<response> put_progress(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto step = decode_put_progress(what.body, with.project, what.params[0]);
  if (!step) co_return problem(step.error());
  const bool begins = step->total_steps.has_value();
  const auto done = co_await engine::commit_step<engine::progress_changed>(
      with.store, std::move(*step), level_of(with));
  if (!done) co_return problem(done.error());
  std::string body;
  append_progress_entry(body, done->entry);
  co_return json_response(std::move(body), begins ? 201 : 200);
}

awaitable<response> show_progress(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto found = co_await engine::ask(
      with.store, engine::find_progress{.project = with.project, .correlation_id = what.params[0]});
  if (!found) co_return problem(found.error());
  if (!*found) co_return problem(engine::progress_not_found());
  std::string body;
  append_progress_entry(body, **found);
  co_return json_response(std::move(body));
}

awaitable<response> delete_progress(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto done = co_await engine::commit_step<engine::progress_changed>(
      with.store,
      engine::delete_progress{.project = with.project, .correlation_id = what.params[0]},
      level_of(with));
  if (!done) co_return problem(done.error());
  co_return empty_response();
}

awaitable<response> progress_events(service& with, request& what) {
  const auto named = check_key(what.params[0], "correlation_id");
  if (!named) co_return problem(named.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  co_return stream_response(
      {.source = progress_changes(with.store,
                                  {.project = with.project, .correlation_id = what.params[0]}),
       .from = seen_place(what)});
}

awaitable<response> put_agent(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto step = decode_agent(what.body, with.project, what.params[0], what.params[1]);
  if (!step) co_return problem(step.error());
  const auto done = co_await engine::commit_step<engine::agent_changed>(
      with.store, std::move(*step), level_of(with));
  if (!done) co_return problem(done.error());
  std::string body;
  append_agent(body, done->what);
  co_return json_response(std::move(body));
}

awaitable<response> list_agents(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto found = co_await engine::ask(
      with.store, engine::list_agents{.project = with.project, .flow_id = what.params[0]});
  if (!found) co_return problem(found.error());
  std::string body = R"({"flow_id":)";
  append_json_string(body, what.params[0]);
  body += R"(,"agents":[)";
  for (const engine::agent_progress& each : *found) {
    if (&each != &found->front()) body += ',';
    append_agent(body, each);
  }
  body += "]}";
  co_return json_response(std::move(body));
}

awaitable<response> agent_events(service& with, request& what) {
  const auto named = check_key(what.params[0], "flow_id");
  if (!named) co_return problem(named.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const auto user = read_listener(*query);
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  if (!user) co_return problem(user.error());
  co_return stream_response(
      {.source = agent_changes(with.store, {.project = with.project, .flow_id = what.params[0]}),
       .from = seen_place(what)},
      {{.project = with.project, .flow = what.params[0], .user = *user}});
}

awaitable<response> put_connection(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto step = decode_connection(what.body, with.project, what.params[0]);
  if (!step) co_return problem(step.error());
  const auto done = co_await engine::commit_step<engine::connection_changed>(
      with.store, std::move(*step), level_of(with));
  if (!done) co_return problem(done.error());
  std::string body;
  append_connection(body, done->what);
  co_return json_response(std::move(body));
}

awaitable<response> drop_connection(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto done = co_await engine::commit_step<engine::connection_changed>(
      with.store, engine::drop_connection{.project = with.project, .connection = what.params[0]},
      level_of(with));
  if (!done) co_return problem(done.error());
  co_return empty_response();
}

awaitable<response> list_connections(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const list_request list = read_list_request(*query);
  engine::list_connections asked{.project = with.project,
                                 .flow_id = query->text("flow_id"),
                                 .user = query->text("user"),
                                 .limit = list.limit,
                                 .cursor = list.cursor};
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  const auto page = co_await engine::ask(with.store, std::move(asked));
  if (!page) co_return problem(page.error());
  std::string body = R"({"connections":[)";
  for (const engine::live_connection& each : page->items) {
    if (&each != &page->items.front()) body += ',';
    append_connection(body, each);
  }
  body += ']';
  append_list_end(body, page->cursor);
  co_return json_response(std::move(body));
}

}  // namespace millrace::http
