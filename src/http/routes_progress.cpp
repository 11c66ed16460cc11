#include "progress_codec.hpp"
#include "route_support.hpp"
#include "routes.hpp"
#include "sse.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine/live_rules.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

namespace millrace::http {
namespace {

/// Changes that follow each other faster are told together: the first and the last always are.
constexpr std::chrono::milliseconds told_at_most_every{100};

// What goes on is of the moment: a crash may lose the latest.
engine::durability level_of(const service& with) {
  return std::min(engine::durability::async, with.store.traits().strongest);
}

awaitable<void> pause() {
  asio::steady_timer timer(co_await asio::this_coro::executor, told_at_most_every);
  co_await timer.async_wait(asio::use_awaitable);
}

// The version that the client saw last; 0 for none. Any other text is none of ours: all is sent.
std::uint64_t last_seen(const request& what) {
  std::uint64_t version = 0;
  const std::string_view text = what[header::last_event_id];
  const char* const end = text.data() + text.size();
  const auto [stopped, code] = std::from_chars(text.data(), end, version);
  return code == std::errc{} && stopped == end ? version : 0;
}

response stream_response() {
  return {.content_type = event_stream_type,
          .headers = "X-Accel-Buffering: no\r\n",
          .farewell = sse_retry};
}

// Appends what is new; false when it is over.
bool take_entry(const std::optional<engine::progress_entry>& entry, std::uint64_t& seen,
                std::string& out) {
  if (!entry) {
    // It may begin yet; one that was there is gone.
    if (seen == 0) return true;
    append_event(out, "end", 0, R"({"status":"deleted"})");
    return false;
  }
  if (entry->version != seen) {
    std::string data;
    append_progress_entry(data, *entry);
    append_event(out, "progress", entry->version, data);
  }
  seen = entry->version;
  if (entry->status == engine::progress_status::running) return true;
  append_event(out, "end", seen,
               fmt::format(R"({{"status":"{}"}})", engine::to_string(entry->status)));
  return false;
}

awaitable<void> stream_progress(engine::store* store, connection* to, engine::find_progress which,
                                std::uint64_t seen, std::chrono::milliseconds comment_interval) {
  auto listener =
      store->hints().listen({engine::progress_topic(which.project, which.correlation_id)});
  std::string out{sse_retry};
  while (true) {
    const auto found = co_await engine::ask(*store, which);
    // A store that cannot serve now may do so at the next look; the client need not know.
    const bool more = found ? take_entry(*found, seen, out) : true;
    if (out.empty()) out = sse_comment;
    const bool sent = co_await send_chunk(*to, out);
    if (!more || !sent) co_return;
    out.clear();
    const bool hinted = co_await listener.wait(comment_interval);
    if (hinted) co_await pause();
  }
}

void take_agents(std::vector<engine::agent_progress> agents, std::uint64_t& seen,
                 std::string& out) {
  // In the order of their changes, so that each id stands for all before it.
  std::ranges::sort(agents, {}, &engine::agent_progress::version);
  for (const engine::agent_progress& each : agents) {
    if (each.version <= seen) continue;
    seen = each.version;
    std::string data;
    append_agent(data, each);
    append_event(out, "agent", seen, data);
  }
}

awaitable<void> stream_agents(engine::store* store, connection* to, engine::list_agents which,
                              std::uint64_t seen, std::chrono::milliseconds comment_interval) {
  auto listener = store->hints().listen({engine::flow_topic(which.project, which.flow_id)});
  std::string out{sse_retry};
  while (true) {
    auto found = co_await engine::ask(*store, which);
    if (found) take_agents(std::move(*found), seen, out);
    if (out.empty()) out = sse_comment;
    const bool sent = co_await send_chunk(*to, out);
    if (!sent) co_return;
    out.clear();
    const bool hinted = co_await listener.wait(comment_interval);
    if (hinted) co_await pause();
  }
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
  response answer = stream_response();
  answer.stream =
      [store = &with.store, to = what.from,
       which = engine::find_progress{.project = with.project, .correlation_id = what.params[0]},
       seen = last_seen(what), interval = with.options.limits.comment_interval] {
        return stream_progress(store, to, which, seen, interval);
      };
  co_return answer;
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
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  response answer = stream_response();
  answer.stream = [store = &with.store, to = what.from,
                   which = engine::list_agents{.project = with.project, .flow_id = what.params[0]},
                   seen = last_seen(what), interval = with.options.limits.comment_interval] {
    return stream_agents(store, to, which, seen, interval);
  };
  co_return answer;
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
