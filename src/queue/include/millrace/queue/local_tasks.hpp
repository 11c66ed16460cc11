#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace millrace {

enum class local_task_status : std::uint8_t {
  queued,
  running,
  completed,
  /// The callable threw; `error` says what.
  failed,
  /// Never begun: still waiting when the tasks were stopped.
  dropped,
};

struct local_task_info {
  /// Grows from task to task, from 1.
  std::uint64_t id{0};
  std::string name;
  local_task_status status{local_task_status::queued};
  /// Empty unless failed.
  std::string error;
  timestamp queued_at{};
  std::optional<timestamp> started_at;
  std::optional<timestamp> finished_at;
};

/// What `submit` does while as many tasks wait as may.
enum class when_full : std::uint8_t {
  /// Waits for room: the producer goes at the workers' speed. Never from an event loop's thread.
  block,
  /// Answers `exhausted` (tasks_full) at once.
  refuse,
};

enum class stop_mode : std::uint8_t {
  /// What waits is still run.
  finish_waiting,
  /// What waits is dropped; what runs is finished.
  drop_waiting,
};

struct local_tasks_options {
  /// Tasks that may wait, those that run not counted. At least 1.
  std::size_t waiting_max{100};
  /// Threads, each running one task at a time. At least 1.
  std::size_t workers{2};
  when_full full{when_full::block};
  /// How many ended tasks `find` still knows; older ones are forgotten.
  std::size_t finished_kept{1000};
  /// Told of every task that threw, on the worker's thread, after it was recorded. For logs; must
  /// not throw.
  std::function<void(const local_task_info&)> on_failure{};
};

/// Small background work inside this process: a bounded queue and a few threads; no store, nothing
/// survives the process. For work that must not be lost there are `queues`.
///
/// Guarantees: tasks begin in the order of `submit`. A task that throws is recorded and reported;
///             neither its worker nor the process ends.
/// Threading:  every member from any thread; `stop` from none of its own tasks.
/// Lifetime:   the destructor drops what waits and awaits what runs. The clock must outlive this.
/// Limits:     `waiting_max` waiting, `workers` running, `finished_kept` remembered.
class local_tasks final {
public:
  local_tasks(local_tasks_options options, const clock_source& clock);
  ~local_tasks();
  local_tasks(const local_tasks&) = delete;
  local_tasks& operator=(const local_tasks&) = delete;

  /// Queues `work`; `name` is for people. Answers the task's id.
  ///
  /// Errors: exhausted (tasks_full) when full and told to refuse, or when one of its own tasks asks
  ///         (it could wait for itself otherwise); unavailable (tasks_stopped) after `stop`, also
  ///         for those who are waiting for room.
  [[nodiscard]] result<std::uint64_t> submit(std::string name,
                                             std::move_only_function<void()> work);

  /// Empty for an id never given, or ended too long ago (`finished_kept`).
  [[nodiscard]] std::optional<local_task_info> find(std::uint64_t id) const;

  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] std::size_t running() const;

  /// Refuses new tasks, then waits for the last to end. Safe to call again; `drop_waiting` also
  /// shortens a `finish_waiting` that is under way.
  void stop(stop_mode mode);

private:
  struct waiting_task {
    std::uint64_t id{0};
    std::move_only_function<void()> work;
  };

  void work_until_stopped();
  void run(waiting_task task);
  void end(std::uint64_t id, local_task_status status, std::string error);
  void drop_waiting_tasks();

  const local_tasks_options options_;
  const clock_source& clock_;

  mutable std::mutex mutex_;
  std::condition_variable has_work_;
  std::condition_variable has_room_;
  // Guarded by `mutex_`. `known_` holds every task that waits, runs, or is one of the last that
  // ended; `ended_` names the latter, oldest first.
  std::deque<waiting_task> waiting_;
  std::unordered_map<std::uint64_t, local_task_info> known_;
  std::deque<std::uint64_t> ended_;
  std::size_t running_{0};
  std::uint64_t last_id_{0};
  bool stopping_{false};

  // Held while joining, so that a second `stop` returns only when all have ended too.
  std::mutex joining_;
  std::vector<std::jthread> workers_;
};

}  // namespace millrace
