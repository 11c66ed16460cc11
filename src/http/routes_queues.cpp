#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/http/job_codec.hpp>
#include <millrace/http/queue_codec.hpp>

#include <fmt/format.h>

#include <utility>

namespace millrace::http {
namespace {

// borrows: awaited in place
awaitable<response> answer_queue(service& with, const engine::queue_key& queue) {
  const auto now = co_await engine::ask(with.store, engine::read_clock{});
  if (!now) co_return problem(now.error());
  const auto found = co_await engine::ask(with.store, engine::find_queue{queue});
  if (!found) co_return problem(found.error());
  if (!*found) co_return problem(queue_not_found(queue.name));
  std::string body;
  append_queue(body, **found, *now);
  co_return json_response(std::move(body));
}

// borrows: awaited in place
awaitable<response> answer_jobs(service& with, engine::list_jobs asked) {
  const bool first_page = asked.cursor.empty();
  const engine::queue_key queue = asked.queue;
  const auto page = co_await list_bounded(with, std::move(asked));
  if (!page) co_return problem(page.error());
  if (page->items.empty() && first_page) {
    const auto found = co_await engine::ask(with.store, engine::find_queue{queue});
    if (!found) co_return problem(found.error());
    if (!*found) co_return problem(queue_not_found(queue.name));
  }
  std::string body = R"({"jobs":[)";
  for (const engine::job& one : page->items) {
    if (&one != &page->items.front()) body += ',';
    append_job(body, one);
  }
  body += ']';
  append_list_end(body, page->cursor);
  co_return json_response(std::move(body));
}

// What is written over what there is. A queue that was never used gets its defaults first: those
// may be the configuration's.
// borrows: awaited in place
awaitable<result<engine::queue_settings>> merge_settings(service& with,
                                                         const engine::queue_key& queue,
                                                         const std::string& body) {
  auto found = co_await engine::ask(with.store, engine::find_queue{queue});
  if (found && !*found) {
    const auto made = co_await with.jobs.configure({.queue = queue});
    if (!made) co_return std::unexpected(made.error());
    found = co_await engine::ask(with.store, engine::find_queue{queue});
  }
  if (!found) co_return std::unexpected(std::move(found.error()));
  const engine::queue_settings base = *found ? (*found)->settings : engine::queue_settings{};
  co_return decode_queue_settings(body, base);
}

enum class queue_state : std::uint8_t { paused, open, draining };

// borrows: awaited in place
awaitable<response> change_state(service& with, request& what, queue_state state) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  const auto checked = check_bare(what);
  if (!checked) co_return problem(checked.error());
  engine::configure_queue step{.queue = *queue};
  if (state != queue_state::draining) step.paused = state == queue_state::paused;
  if (state != queue_state::paused) step.draining = state == queue_state::draining;
  const auto done = co_await with.jobs.configure(std::move(step));
  if (!done) co_return problem(done.error());
  co_return co_await answer_queue(with, *queue);
}

}  // namespace

awaitable<response> list_queues(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  list_request asked = read_list_request(*query);
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  const auto now = co_await engine::ask(with.store, engine::read_clock{});
  if (!now) co_return problem(now.error());
  const auto page =
      co_await engine::ask(with.store, engine::list_queues{.project = with.project,
                                                           .limit = asked.limit,
                                                           .cursor = std::move(asked.cursor)});
  if (!page) co_return problem(page.error());
  std::string body = R"({"queues":[)";
  for (const engine::queue_info& one : page->items) {
    if (&one != &page->items.front()) body += ',';
    append_queue(body, one, *now);
  }
  body += ']';
  append_list_end(body, page->cursor);
  co_return json_response(std::move(body));
}

awaitable<response> show_queue(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  co_return co_await answer_queue(with, *queue);
}

awaitable<response> set_queue(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  // What is wrong with the body is told before a queue is made for it.
  const auto sound = decode_queue_settings(what.body, {});
  if (!sound) co_return problem(sound.error());
  const auto turn = co_await with.writers.take(engine::queue_topic(with.project, queue->name));
  auto settings = co_await merge_settings(with, *queue, what.body);
  if (!settings) co_return problem(settings.error());
  const auto done =
      co_await with.jobs.configure({.queue = *queue, .settings = std::move(*settings)});
  if (!done) co_return problem(done.error());
  co_return co_await answer_queue(with, *queue);
}

awaitable<response> list_jobs(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  list_request page = read_list_request(*query);
  engine::list_jobs asked{
      .queue = *queue,
      .filter = {.type = query->text("type"), .labels = query->prefixed("label")},
      .limit = page.limit,
      .cursor = std::move(page.cursor)};
  const auto status = query->text("status");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  if (status) {
    asked.filter.status = engine::parse_job_status(*status);
    if (!asked.filter.status) {
      co_return problem(invalid("status",
                                "status must be one of queued (or pending), scheduled, running, "
                                "retrying, completed, dead (or failed), cancelled.")
                            .error());
    }
  }
  co_return co_await answer_jobs(with, std::move(asked));
}

awaitable<response> list_retries(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  list_request page = read_list_request(*query);
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  co_return co_await answer_jobs(with, {.queue = *queue,
                                        .filter = {.status = engine::job_status::retrying},
                                        .limit = page.limit,
                                        .cursor = std::move(page.cursor)});
}

awaitable<response> pause_queue(service& with, request& what) {
  return change_state(with, what, queue_state::paused);
}

awaitable<response> resume_queue(service& with, request& what) {
  return change_state(with, what, queue_state::open);
}

awaitable<response> drain_queue(service& with, request& what) {
  return change_state(with, what, queue_state::draining);
}

awaitable<response> purge_queue(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto target = decode_purge(what.body);
  if (!target) co_return problem(target.error());
  const auto purged = co_await with.jobs.purge(*queue, *target);
  if (!purged) co_return problem(purged.error());
  co_return json_response(fmt::format(R"({{"purged":{}}})", *purged));
}

}  // namespace millrace::http
