#include "idempotency.hpp"
#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/http/job_codec.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::http {
namespace {

using engine::job_enqueued;
using enqueue_results = std::vector<result<job_enqueued>>;

// `version-trace-parent-flags` of W3C Trace Context. What does not look like it is dropped: a
// broken trace is no reason to refuse a job.
bool is_traceparent(std::string_view text) noexcept {
  constexpr std::string_view shape = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
  return std::ranges::equal(text, shape, [](char given, char wanted) {
    if (wanted == '-') return given == '-';
    return (given >= '0' && given <= '9') || (given >= 'a' && given <= 'f');
  });
}

// Whether a single job takes no id of the request's: where nobody gave one, that of both is the
// job's own, by which it is found without an entry in any index.
bool has_own_correlation(const request& what, bool many) {
  return !many && !what.has(header::correlation_id);
}

// What travels with the request travels on with its jobs.
void add_context(const request& what, bool many, engine::job_spec& spec) {
  if (spec.correlation_id.empty() && !has_own_correlation(what, many)) {
    spec.correlation_id = what.correlation_id;
  }
  const std::string_view trace = what[header::traceparent];
  if (spec.traceparent.empty() && is_traceparent(trace)) spec.traceparent = trace;
}

void append_enqueued(std::string& out, const job_enqueued& made) {
  append_open_job(out, made.made);
  if (made.duplicate) out += R"(,"duplicate":true)";
  if (made.replaced) out += R"(,"replaced":true)";
  out += '}';
}

bool is_new(const job_enqueued& made) noexcept { return !made.duplicate && !made.replaced; }

response answer_one(request& what, const job_enqueued& made) {
  // From here on the request is known by the id of its job, in its answer and in the log.
  const bool is_own = has_own_correlation(what, false) && made.made.spec.correlation_id.empty();
  if (is_new(made) && is_own) what.correlation_id = made.made.id.text();
  response answer{.status = is_new(made) ? 201U : 200U};
  answer.body.reserve(512 + made.made.spec.data.size());
  append_enqueued(answer.body, made);
  answer.headers = fmt::format("Location: /v1/jobs/{}\r\n", made.made.id.text());
  return answer;
}

// Why nothing at all was taken, where that is the state of the store and not of the items: a
// producer that looks at the status alone must not take it for a success.
const error* refused_by_store(const enqueue_results& results) {
  const error* why = nullptr;
  for (const auto& each : results) {
    if (each) return nullptr;
    const errc kind = each.error().kind;
    const bool of_store = kind == errc::unavailable || kind == errc::storage_full ||
                          kind == errc::exhausted || kind == errc::outcome_unknown;
    if (of_store && why == nullptr) why = &each.error();
  }
  return why;
}

response answer_many(const enqueue_results& results) {
  if (const error* why = refused_by_store(results)) return problem(*why);
  response answer{.status = 200};
  answer.body = R"({"jobs":[)";
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (i > 0) answer.body += ',';
    if (results[i]) {
      append_enqueued(answer.body, *results[i]);
      if (is_new(*results[i])) answer.status = 201;
    } else {
      answer.body += R"({"error":)";
      append_problem(answer.body, results[i].error());
      answer.body += '}';
    }
  }
  answer.body += "]}";
  return answer;
}

// Takes the requests that were read; in their place stays nothing, in that of the others the error.
std::vector<enqueue_request> take_valid(const request& what, enqueue_body& body) {
  std::vector<enqueue_request> valid;
  valid.reserve(body.items.size());
  for (result<enqueue_request>& item : body.items) {
    if (!item) continue;
    add_context(what, body.many, item->spec);
    valid.push_back(std::move(*item));
  }
  return valid;
}

// Puts the results of the valid items back to their places among those that were refused before.
enqueue_results in_order(std::vector<result<enqueue_request>>& items, enqueue_results of_valid) {
  enqueue_results all;
  all.reserve(items.size());
  auto next = of_valid.begin();
  for (result<enqueue_request>& item : items) {
    if (item) {
      all.push_back(std::move(*next++));
    } else {
      all.push_back(std::unexpected(std::move(item.error())));
    }
  }
  return all;
}

error at_index(error why, std::size_t index) {
  why.field = why.field.empty() ? fmt::format("{}", index) : fmt::format("{}.{}", index, why.field);
  return why;
}

std::optional<error> first_error(std::vector<result<enqueue_request>>& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i]) return at_index(std::move(items[i].error()), i);
  }
  return std::nullopt;
}

// With an idempotency key, or behind a fence, everything that is made is one commit, which that
// belongs to.
// borrows: awaited in place
awaitable<response> enqueue_once(service& with, request& what, enqueue_body& body,
                                 std::optional<engine::idempotency_key> key,
                                 std::optional<engine::pass_fence> guard) {
  std::vector<enqueue_request> valid = take_valid(what, body);
  if (valid.empty()) co_return answer_many(in_order(body.items, {}));
  engine::transaction once{
      .steps = {}, .level = engine::durability::memory, .idempotency = std::move(key)};
  for (std::size_t i = 0; i < valid.size(); ++i) {
    auto step = to_step(std::move(valid[i]), with.store.traits());
    if (!step) {
      error why = std::move(step.error());
      co_return problem(body.many ? at_index(std::move(why), i) : std::move(why));
    }
    once.steps.push_back(std::move(*step));
  }
  if (guard) once.steps.emplace_back(std::move(*guard));
  const std::size_t expected = once.steps.size();
  auto done = co_await engine::commit(with.store, std::move(once));
  if (!done) co_return problem(done.error().why);
  if (done->outcomes.size() != expected) {
    co_return problem(error{.kind = errc::conflict,
                            .code = "idempotency_mismatch",
                            .detail = "The key belongs to a request that made other jobs."});
  }
  enqueue_results made;
  for (auto& outcome : done->outcomes) {
    if (auto* const job = std::get_if<job_enqueued>(&outcome)) made.emplace_back(std::move(*job));
  }
  response answer =
      body.many ? answer_many(in_order(body.items, std::move(made))) : answer_one(what, *made.front());
  if (done->replayed) answer.headers += "Idempotency-Replayed: true\r\n";
  co_return answer;
}

// borrows: awaited in place
awaitable<response> enqueue_atomically(service& with, request& what, enqueue_body& body) {
  std::vector<enqueue_request> valid = take_valid(what, body);
  auto made = co_await with.jobs.enqueue_all(std::move(valid));
  if (!made) co_return problem(made.error());
  enqueue_results results;
  for (job_enqueued& one : *made) results.emplace_back(std::move(one));
  co_return answer_many(results);
}

}  // namespace

awaitable<response> enqueue_jobs(service& with, request& what) {
  const auto queue = queue_in_path(with, what);
  if (!queue) co_return problem(queue.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const bool atomic = query->flag("atomic");
  auto guard = read_guard(*query, with.project);
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  if (!guard) co_return problem(guard.error());
  auto key = read_idempotency_key(what, with.project, "POST /v1/queues/{queue}/jobs");
  if (!key) co_return problem(key.error());
  auto body = decode_enqueue_body(what.body, *queue);
  if (!body) co_return problem(body.error());
  if (!body->many && !body->items.front()) co_return problem(body->items.front().error());
  if (atomic) {
    const std::optional<error> wrong = first_error(body->items);
    if (wrong) co_return problem(*wrong);
  }
  if (*key || *guard) {
    co_return co_await enqueue_once(with, what, *body, std::move(*key), std::move(*guard));
  }
  if (!body->many) {
    enqueue_request& one = *body->items.front();
    add_context(what, false, one.spec);
    const auto made = co_await with.jobs.enqueue(std::move(one));
    if (!made) co_return problem(made.error());
    co_return answer_one(what, *made);
  }
  if (atomic) co_return co_await enqueue_atomically(with, what, *body);
  std::vector<enqueue_request> valid = take_valid(what, *body);
  auto made = co_await with.jobs.enqueue_each(std::move(valid));
  co_return answer_many(in_order(body->items, std::move(made)));
}

awaitable<response> show_job(service& with, request& what) {
  const auto id = job_in_path(what);
  if (!id) co_return problem(id.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const bool with_log = query->flag("log");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  const auto found = co_await engine::ask(with.store, engine::find_job{*id});
  if (!found) co_return problem(found.error());
  if (!*found || (*found)->queue.project != with.project) co_return problem(job_not_found());
  std::string body;
  append_open_job(body, **found);
  if (with_log) {
    const auto lines = co_await engine::ask(with.store, engine::read_job_log{.id = *id});
    if (!lines) co_return problem(lines.error());
    body += R"(,"log":)";
    append_log(body, *lines);
  }
  body += '}';
  co_return json_response(std::move(body));
}

awaitable<response> cancel_job(service& with, request& what) {
  const auto id = job_in_path(what);
  if (!id) co_return problem(id.error());
  const auto checked = check_bare(what);
  if (!checked) co_return problem(checked.error());
  const auto changed = co_await with.jobs.cancel(*id);
  if (!changed) co_return problem(changed.error());
  std::string body;
  append_changed(body, *changed);
  co_return json_response(std::move(body));
}

awaitable<response> delete_job(service& with, request& what) {
  const auto id = job_in_path(what);
  if (!id) co_return problem(id.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto deleted = co_await with.jobs.remove(*id);
  if (!deleted) co_return problem(deleted.error());
  co_return empty_response();
}

}  // namespace millrace::http
