#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/http/job_codec.hpp>
#include <millrace/http/queue_codec.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::http {
namespace {

// The place of a dead letter is known only by counting from the oldest, so the cursor of an
// unfiltered list carries how many came before: `<place>-<the engine's cursor>`.
struct dead_cursor {
  std::uint64_t place{0};
  std::string cursor;
};

result<dead_cursor> parse_dead_cursor(const std::string& text) {
  dead_cursor parts;
  if (text.empty()) return parts;
  const char* const end = text.data() + text.size();
  const auto [stopped, code] = std::from_chars(text.data(), end, parts.place);
  if (code != std::errc{} || stopped == end || *stopped != '-') {
    return fail(errc::malformed, "bad_cursor", "This is not a cursor of this list.", "cursor");
  }
  parts.cursor.assign(stopped + 1, end);
  return parts;
}

// borrows: awaited in place
awaitable<result<engine::job>> find_dead(service& with, const engine::queue_key& queue,
                                         const std::string& id_text) {
  const std::optional<engine::job_id> id = engine::job_id::parse(id_text);
  if (!id) co_return std::unexpected(job_not_found());
  auto found = co_await engine::ask(with.store, engine::find_job{*id});
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (!*found || (*found)->queue != queue || (*found)->status != engine::job_status::dead) {
    co_return fail(errc::not_found, "dead_letter_not_found",
                   "There is no such dead letter in this queue.", "id");
  }
  co_return std::move(**found);
}

// borrows: awaited in place
awaitable<response> answer_dead(service& with, engine::list_jobs asked, std::uint64_t place) {
  const auto queue = co_await engine::ask(with.store, engine::find_queue{asked.queue});
  if (!queue) co_return problem(queue.error());
  if (!*queue) co_return problem(queue_not_found(asked.queue.name));
  const bool counted =
      !asked.filter.type && asked.filter.labels.empty() && !asked.filter.fingerprint;
  const auto page = co_await list_bounded(with, std::move(asked));
  if (!page) co_return problem(page.error());
  std::string body =
      fmt::format(R"({{"queue":"{}","total":{},"items":[)", (*queue)->queue.name, (*queue)->dead);
  for (const engine::job& one : page->items) {
    if (&one != &page->items.front()) body += ',';
    append_dead(body, one, counted ? std::optional{place} : std::nullopt);
    ++place;
  }
  body += ']';
  append_list_end(body,
                  page->cursor.empty() ? std::string{} : fmt::format("{}-{}", place, page->cursor));
  co_return json_response(std::move(body));
}

using changed_jobs = std::vector<result<engine::job_changed>>;

engine::job_changed unchanged(const engine::job& job) {
  return {.id = job.id, .status = job.status, .attempts = job.attempts, .run_at = job.run_at};
}

// One commit for all of them; in `results` each takes the place of its dead letter.
// borrows: awaited in place
awaitable<void> requeue_found(service& with, changed_jobs& results) {
  std::vector<engine::transaction> batch;
  for (const result<engine::job_changed>& one : results) {
    if (!one) continue;
    engine::transaction& requeue = batch.emplace_back();
    requeue.level = with.store.traits().strongest;
    requeue.steps.emplace_back(engine::requeue_dead{one->id});
  }
  if (batch.empty()) co_return;
  auto done = co_await engine::commit_each(with.store, std::move(batch));
  auto next = done.begin();
  for (result<engine::job_changed>& one : results) {
    if (!one) continue;
    if (*next) {
      one = std::get<engine::job_changed>(std::move((*next)->outcomes.front()));
    } else {
      one = std::unexpected(std::move(next->error().why));
    }
    ++next;
  }
}

// borrows: awaited in place
awaitable<response> requeue_ids(service& with, const engine::queue_key& queue,
                                std::vector<result<engine::job_id>> ids, bool dry_run) {
  changed_jobs results;
  for (result<engine::job_id>& id : ids) {
    if (!id) {
      results.push_back(std::unexpected(std::move(id.error())));
      continue;
    }
    auto dead = co_await find_dead(with, queue, id->text());
    if (dead) {
      results.emplace_back(unchanged(*dead));
    } else {
      results.push_back(std::unexpected(std::move(dead.error())));
    }
  }
  const auto is_good = [](const auto& one) { return one.has_value(); };
  const auto matched = std::ranges::count_if(results, is_good);
  if (!dry_run) co_await requeue_found(with, results);
  const auto requeued = dry_run ? 0 : std::ranges::count_if(results, is_good);
  std::string body = fmt::format(R"({{"matched":{},"requeued":{},"dry_run":{},"jobs":[)", matched,
                                 requeued, dry_run);
  for (const result<engine::job_changed>& one : results) {
    if (&one != &results.front()) body += ',';
    if (one) {
      append_changed(body, *one);
    } else {
      body += R"({"error":)";
      append_problem(body, one.error());
      body += '}';
    }
  }
  body += "]}";
  co_return json_response(std::move(body));
}

}  // namespace

awaitable<response> dead_letter_stats(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto stats =
      co_await engine::ask(with.store, engine::read_dead_stats{.project = with.project});
  if (!stats) co_return problem(stats.error());
  std::uint64_t total = 0;
  std::string body = R"({"queues":[)";
  for (const engine::dead_stats& one : *stats) {
    if (&one != &stats->front()) body += ',';
    append_dead_stats(body, one);
    total += one.count;
  }
  body += fmt::format(R"(],"total":{}}})", total);
  co_return json_response(std::move(body));
}

awaitable<response> list_dead(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  list_request page = read_list_request(*query);
  engine::job_filter filter{.status = engine::job_status::dead,
                            .type = query->text("type"),
                            .labels = query->prefixed("label"),
                            .fingerprint = query->text("fingerprint")};
  const auto id = query->text("id");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  if (id) {
    const auto dead = co_await find_dead(with, *queue, *id);
    if (!dead) co_return problem(dead.error());
    std::string body = fmt::format(R"({{"queue":"{}","total":1,"items":[)", queue->name);
    append_dead(body, *dead, std::nullopt);
    body += R"(],"cursor":null})";
    co_return json_response(std::move(body));
  }
  auto cursor = parse_dead_cursor(page.cursor);
  if (!cursor) co_return problem(cursor.error());
  engine::list_jobs asked{.queue = *queue,
                          .filter = std::move(filter),
                          .limit = page.limit,
                          .cursor = std::move(cursor->cursor)};
  co_return co_await answer_dead(with, std::move(asked), cursor->place);
}

awaitable<response> requeue_dead_at(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const auto guard = query->text("id");
  const bool dry_run = query->flag("dry_run");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  const std::string& text = what.params[1];
  std::uint64_t index = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, code] = std::from_chars(text.data(), end, index);
  if (code != std::errc{} || stopped != end) {
    co_return problem(
        invalid("index", "index must be a whole number: 0 is the oldest dead letter.").error());
  }
  const auto dead =
      co_await engine::ask(with.store, engine::dead_at{.queue = *queue, .index = index});
  if (!dead) co_return problem(dead.error());
  if (!*dead) {
    co_return problem(error{.kind = errc::not_found,
                            .code = "dead_letter_not_found",
                            .detail = "No dead letter stands at this index: the queue has fewer.",
                            .field = "index"});
  }
  if (guard && *guard != (*dead)->id.text()) {
    co_return problem(error{.kind = errc::conflict,
                            .code = "dead_letter_moved",
                            .detail = "Another dead letter stands at this index by now: read the "
                                      "list again, or requeue by id.",
                            .field = "id"});
  }
  std::string body;
  if (dry_run) {
    append_changed(body, unchanged(**dead));
    co_return json_response(std::move(body));
  }
  const auto changed = co_await with.jobs.requeue((*dead)->id);
  if (!changed) co_return problem(changed.error());
  append_changed(body, *changed);
  co_return json_response(std::move(body));
}

awaitable<response> requeue_dead_many(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const bool dry_run = query->flag("dry_run");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  auto asked = decode_requeue(what.body);
  if (!asked) co_return problem(asked.error());
  const auto found = co_await engine::ask(with.store, engine::find_queue{*queue});
  if (!found) co_return problem(found.error());
  if (!*found) co_return problem(queue_not_found(queue->name));
  if (!asked->ids.empty()) {
    co_return co_await requeue_ids(with, *queue, std::move(asked->ids), dry_run);
  }
  auto filter = std::move(asked->filter).value_or(engine::job_filter{});
  filter.status = engine::job_status::dead;
  const auto report = co_await with.jobs.requeue_dead_where(*queue, std::move(filter), dry_run);
  if (!report) co_return problem(report.error());
  co_return json_response(fmt::format(R"({{"matched":{},"requeued":{},"dry_run":{}}})",
                                      report->matched, report->changed, dry_run));
}

awaitable<response> purge_dead(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto purged = co_await with.jobs.purge(*queue, engine::purge_target::dead);
  if (!purged) co_return problem(purged.error());
  co_return json_response(fmt::format(R"({{"purged":{}}})", *purged));
}

}  // namespace millrace::http
