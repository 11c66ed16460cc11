#include <millrace/worker/queue_source.hpp>

#include <millrace/engine/async.hpp>

#include <utility>
#include <variant>

namespace millrace {
namespace {

template <class Outcome>
result<Outcome> only_outcome(engine::commit_result& done) {
  if (!done) return std::unexpected(std::move(done.error().why));
  return std::get<Outcome>(std::move(done->outcomes.front()));
}

// Each step by itself, all in one round trip.
template <class Outcome>
awaitable<std::vector<result<Outcome>>> commit_alone(engine::store& where,
                                                     std::vector<engine::transaction> batch) {
  auto done = co_await engine::commit_each(where, std::move(batch));
  std::vector<result<Outcome>> outcomes;
  outcomes.reserve(done.size());
  for (engine::commit_result& one : done) outcomes.push_back(only_outcome<Outcome>(one));
  co_return outcomes;
}

engine::transaction alone(engine::step what, engine::durability level) {
  engine::transaction one{.steps = {}, .level = level, .idempotency = {}};
  one.steps.push_back(std::move(what));
  return one;
}

}  // namespace

queue_source::queue_source(queues& from) noexcept : from_(from) {}

awaitable<result<std::vector<engine::leased_job>>> queue_source::reserve(reserve_request request) {
  auto jobs = co_await from_.reserve(std::move(request));
  if (!jobs) co_return jobs;
  // As over HTTP, so that a handler sees the same wherever it runs.
  for (engine::leased_job& job : *jobs) job.what.spec.correlation_id = correlation_of(job.what);
  co_return jobs;
}

awaitable<std::vector<result<engine::job_changed>>> queue_source::settle(
    std::vector<settle_step> steps) {
  std::vector<engine::transaction> batch;
  batch.reserve(steps.size());
  for (settle_step& step : steps) {
    batch.push_back(std::visit(
        [this](auto& what) { return alone(std::move(what), from_.store().traits().strongest); },
        step));
  }
  return commit_alone<engine::job_changed>(from_.store(), std::move(batch));
}

awaitable<std::vector<result<engine::lease_extended>>> queue_source::extend(
    std::vector<engine::extend_lease> steps) {
  std::vector<engine::transaction> batch;
  batch.reserve(steps.size());
  for (engine::extend_lease& step : steps) {
    // A renewal need not survive a crash; a checkpoint must.
    const auto level =
        step.checkpoint ? from_.store().traits().strongest : engine::durability::async;
    batch.push_back(alone(std::move(step), level));
  }
  return commit_alone<engine::lease_extended>(from_.store(), std::move(batch));
}

awaitable<std::vector<result<engine::job_changed>>> queue_source::report(
    std::vector<engine::report_progress> steps) {
  std::vector<engine::transaction> batch;
  batch.reserve(steps.size());
  for (engine::report_progress& step : steps) {
    batch.push_back(alone(std::move(step), engine::durability::async));
  }
  return commit_alone<engine::job_changed>(from_.store(), std::move(batch));
}

awaitable<std::vector<result<std::uint32_t>>> queue_source::tell(
    std::vector<engine::put_progress> steps) {
  std::vector<engine::transaction> batch;
  batch.reserve(steps.size());
  for (engine::put_progress& step : steps) {
    batch.push_back(alone(std::move(step), engine::durability::async));
  }
  const auto done =
      co_await commit_alone<engine::progress_changed>(from_.store(), std::move(batch));
  std::vector<result<std::uint32_t>> totals;
  totals.reserve(done.size());
  for (const result<engine::progress_changed>& one : done) {
    if (one) {
      totals.emplace_back(one->entry.total_steps);
    } else {
      totals.emplace_back(std::unexpected(one.error()));
    }
  }
  co_return totals;
}

}  // namespace millrace
