#include <millrace/queue/queue.hpp>

#include <millrace/engine/async.hpp>
#include <millrace/queue/limits.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <variant>

namespace millrace {

using engine::job_changed;
using engine::job_enqueued;
using engine::transaction;

namespace {

// An enqueue raises the level of its transaction to its own, so that a producer waits for no more
// than it asked for.
transaction single(engine::step what, engine::durability level) {
  transaction made{.steps = {}, .level = level, .idempotency = {}};
  made.steps.push_back(std::move(what));
  return made;
}

result<job_enqueued> enqueued(engine::commit_result done) {
  if (!done) return std::unexpected(std::move(done.error().why));
  return std::get<job_enqueued>(std::move(done->outcomes.front()));
}

error at_index(error why, std::size_t index) {
  why.field = why.field.empty() ? fmt::format("{}", index) : fmt::format("{}.{}", index, why.field);
  return why;
}

// The refusals that concern one job alone: somebody else was faster with it.
bool is_the_jobs_own(const error& why) {
  return why.code == "job_not_found" || why.code == "job_not_dead";
}

std::uint64_t count_of(const engine::queue_info& queue, engine::purge_target target) {
  switch (target) {
    case engine::purge_target::waiting: return queue.waiting + queue.scheduled + queue.retrying;
    case engine::purge_target::dead: return queue.dead;
    case engine::purge_target::finished: return queue.completed + queue.cancelled;
  }
  return 0;
}

}  // namespace

std::string correlation_of(const engine::job& job) {
  return job.spec.correlation_id.empty() ? job.id.text() : job.spec.correlation_id;
}

queues::queues(engine::store& store) noexcept : store_(store) {}

awaitable<result<job_enqueued>> queues::enqueue(enqueue_request request) {
  auto step = to_step(std::move(request), store_.traits());
  if (!step) co_return std::unexpected(std::move(step.error()));
  auto done = co_await engine::commit(store_, single(std::move(*step), engine::durability::memory));
  co_return enqueued(std::move(done));
}

awaitable<std::vector<result<job_enqueued>>> queues::enqueue_each(
    std::vector<enqueue_request> requests) {
  std::vector<result<job_enqueued>> answers(requests.size());
  std::vector<transaction> batch;
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto step = to_step(std::move(requests[i]), store_.traits());
    if (!step) {
      answers[i] = std::unexpected(std::move(step.error()));
      continue;
    }
    batch.push_back(single(std::move(*step), engine::durability::memory));
    indices.push_back(i);
  }
  if (batch.empty()) co_return answers;
  auto done = co_await engine::commit_each(store_, std::move(batch));
  for (std::size_t i = 0; i < done.size(); ++i) answers[indices[i]] = enqueued(std::move(done[i]));
  co_return answers;
}

awaitable<result<std::vector<job_enqueued>>> queues::enqueue_all(
    std::vector<enqueue_request> requests) {
  std::vector<job_enqueued> made;
  if (requests.empty()) co_return made;
  transaction all{.steps = {}, .level = engine::durability::memory, .idempotency = {}};
  all.steps.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto step = to_step(std::move(requests[i]), store_.traits());
    if (!step) co_return std::unexpected(at_index(std::move(step.error()), i));
    all.steps.push_back(std::move(*step));
  }
  auto done = co_await engine::commit(store_, std::move(all));
  if (!done) {
    engine::refusal& refused = done.error();
    // What concerns the commit as a whole has no index.
    if (refused.why.field == "steps") co_return std::unexpected(std::move(refused.why));
    co_return std::unexpected(at_index(std::move(refused.why), refused.step_index));
  }
  made.reserve(done->outcomes.size());
  for (auto& outcome : done->outcomes) made.push_back(std::get<job_enqueued>(std::move(outcome)));
  co_return made;
}

awaitable<result<job_changed>> queues::ack(engine::ack_job step) {
  return engine::commit_step<job_changed>(store_, std::move(step), store_.traits().strongest);
}

awaitable<result<job_changed>> queues::fail(engine::fail_job step) {
  return engine::commit_step<job_changed>(store_, std::move(step), store_.traits().strongest);
}

// A crash that shortens a lease or forgets a progress harms nobody: neither waits for the disk.
awaitable<result<engine::lease_extended>> queues::extend(engine::extend_lease step) {
  return engine::commit_step<engine::lease_extended>(store_, std::move(step),
                                                     engine::durability::async);
}

awaitable<result<job_changed>> queues::report(engine::report_progress step) {
  return engine::commit_step<job_changed>(store_, std::move(step), engine::durability::async);
}

awaitable<result<job_changed>> queues::snooze(engine::snooze_job step) {
  return engine::commit_step<job_changed>(store_, std::move(step), store_.traits().strongest);
}

awaitable<result<job_changed>> queues::cancel(engine::job_id id) {
  return engine::commit_step<job_changed>(store_, engine::cancel_job{std::move(id)},
                                          store_.traits().strongest);
}

awaitable<result<job_changed>> queues::remove(engine::job_id id) {
  return engine::commit_step<job_changed>(store_, engine::delete_job{std::move(id)},
                                          store_.traits().strongest);
}

awaitable<result<job_changed>> queues::requeue(engine::job_id id) {
  return engine::commit_step<job_changed>(store_, engine::requeue_dead{std::move(id)},
                                          store_.traits().strongest);
}

awaitable<result<bulk_report>> queues::requeue_dead_where(engine::queue_key queue,
                                                          engine::job_filter filter, bool dry_run) {
  // A requeued job that fails at once is a dead letter again, and stands at the end of the list:
  // what failed after the beginning is left alone, else this might never end.
  const auto began = co_await engine::ask(store_, engine::read_clock{});
  if (!began) co_return std::unexpected(began.error());
  filter.status = engine::job_status::dead;
  bulk_report report;
  std::string cursor;
  do {
    auto page = co_await engine::ask(
        store_, engine::list_jobs{
                    .queue = queue, .filter = filter, .limit = requeue_batch, .cursor = cursor});
    if (!page) co_return std::unexpected(std::move(page.error()));
    cursor = std::move(page->cursor);
    std::vector<transaction> batch;
    for (auto& dead : page->items) {
      if (dead.failed_at > *began) continue;
      ++report.matched;
      if (dry_run) continue;
      batch.push_back(single(engine::requeue_dead{std::move(dead.id)}, store_.traits().strongest));
    }
    if (batch.empty()) continue;
    auto done = co_await engine::commit_each(store_, std::move(batch));
    for (auto& one : done) {
      if (one) {
        ++report.changed;
      } else if (!is_the_jobs_own(one.error().why)) {
        co_return std::unexpected(std::move(one.error().why));
      }
    }
  } while (!cursor.empty());
  co_return report;
}

awaitable<result<std::uint64_t>> queues::purge(engine::queue_key queue,
                                               engine::purge_target target) {
  const auto info = co_await engine::ask(store_, engine::find_queue{queue});
  if (!info) co_return std::unexpected(info.error());
  // Of a queue never used the count is zero, and the step says so.
  std::uint64_t left = *info ? count_of(**info, target) : 1;
  std::uint64_t purged = 0;
  while (left > 0) {
    const auto max = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, purge_batch));
    const auto done = co_await engine::commit_step<engine::jobs_purged>(
        store_, engine::purge_jobs{.queue = queue, .target = target, .max = max},
        store_.traits().strongest);
    if (!done) co_return std::unexpected(done.error());
    purged += done->count;
    left -= std::min<std::uint64_t>(left, done->count);
    if (done->count < max) break;
  }
  co_return purged;
}

awaitable<result<void>> queues::configure(engine::configure_queue step) {
  const engine::store_traits traits = store_.traits();
  if (step.settings && step.settings->level.value_or(traits.strongest) > traits.strongest) {
    co_return millrace::fail(
        errc::unsupported, "durability_unavailable",
        fmt::format("this set-up gives {} at most", engine::to_string(traits.strongest)),
        "durability");
  }
  const auto done = co_await engine::commit_step<engine::queue_configured>(store_, std::move(step),
                                                                           traits.strongest);
  if (!done) co_return std::unexpected(done.error());
  co_return result<void>{};
}

}  // namespace millrace
