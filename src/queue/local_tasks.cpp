#include <millrace/queue/local_tasks.hpp>

#include <millrace/base/assert.hpp>
#include <millrace/queue/limits.hpp>

#include <exception>
#include <utility>

namespace millrace {
namespace {

// Whose worker this thread is; empty on any other thread.
thread_local const local_tasks* working_for = nullptr;

std::string cut(std::string text) {
  if (text.size() > local_task_error_bytes_max) text.resize(local_task_error_bytes_max);
  return text;
}

}  // namespace

local_tasks::local_tasks(local_tasks_options options, const clock_source& clock)
    : options_(std::move(options)), clock_(clock) {
  MILLRACE_ASSERT(options_.waiting_max > 0 && options_.workers > 0);
  workers_.reserve(options_.workers);
  for (std::size_t i = 0; i < options_.workers; ++i) {
    workers_.emplace_back([this] { work_until_stopped(); });
  }
}

local_tasks::~local_tasks() { stop(stop_mode::drop_waiting); }

result<std::uint64_t> local_tasks::submit(std::string name, std::move_only_function<void()> work) {
  std::unique_lock lock(mutex_);
  const bool may_wait = options_.full == when_full::block && working_for != this;
  if (may_wait) {
    has_room_.wait(lock, [this] { return stopping_ || waiting_.size() < options_.waiting_max; });
  }
  if (stopping_) {
    return fail(errc::unavailable, "tasks_stopped", "in-process tasks are being stopped");
  }
  if (waiting_.size() >= options_.waiting_max) {
    return fail(errc::exhausted, "tasks_full",
                "as many in-process tasks wait as may; try again later");
  }
  const std::uint64_t id = ++last_id_;
  known_.emplace(id, local_task_info{.id = id,
                                     .name = std::move(name),
                                     .status = local_task_status::queued,
                                     .error = {},
                                     .queued_at = clock_.now(),
                                     .started_at = {},
                                     .finished_at = {}});
  waiting_.push_back({id, std::move(work)});
  lock.unlock();
  has_work_.notify_one();
  return id;
}

std::optional<local_task_info> local_tasks::find(std::uint64_t id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = known_.find(id);
  if (found == known_.end()) return std::nullopt;
  return found->second;
}

std::size_t local_tasks::waiting() const {
  const std::scoped_lock lock(mutex_);
  return waiting_.size();
}

std::size_t local_tasks::running() const {
  const std::scoped_lock lock(mutex_);
  return running_;
}

void local_tasks::stop(stop_mode mode) {
  MILLRACE_ASSERT(working_for != this);
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    if (mode == stop_mode::drop_waiting) drop_waiting_tasks();
  }
  has_work_.notify_all();
  has_room_.notify_all();
  const std::scoped_lock lock(joining_);
  workers_.clear();
}

void local_tasks::work_until_stopped() {
  working_for = this;
  std::unique_lock lock(mutex_);
  while (true) {
    has_work_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    waiting_task task = std::move(waiting_.front());
    waiting_.pop_front();
    auto& info = known_.at(task.id);
    info.status = local_task_status::running;
    info.started_at = clock_.now();
    ++running_;
    lock.unlock();
    has_room_.notify_one();
    run(std::move(task));
    lock.lock();
  }
}

void local_tasks::run(waiting_task task) {
  auto status = local_task_status::completed;
  std::string error;
  try {
    task.work();
  } catch (const std::exception& thrown) {
    status = local_task_status::failed;
    error = cut(thrown.what());
  } catch (...) {
    status = local_task_status::failed;
    error = "threw something that is no std::exception";
  }
  // What the callable holds goes before the task counts as ended.
  task.work = nullptr;

  std::optional<local_task_info> failure;
  {
    const std::scoped_lock lock(mutex_);
    --running_;
    end(task.id, status, std::move(error));
    const auto ended = known_.find(task.id);
    if (status == local_task_status::failed && ended != known_.end()) failure = ended->second;
  }
  if (failure && options_.on_failure) options_.on_failure(*failure);
}

void local_tasks::end(std::uint64_t id, local_task_status status, std::string error) {
  auto& info = known_.at(id);
  info.status = status;
  info.error = std::move(error);
  info.finished_at = clock_.now();
  ended_.push_back(id);
  while (ended_.size() > options_.finished_kept) {
    known_.erase(ended_.front());
    ended_.pop_front();
  }
}

void local_tasks::drop_waiting_tasks() {
  for (const auto& task : waiting_) end(task.id, local_task_status::dropped, {});
  waiting_.clear();
}

}  // namespace millrace
