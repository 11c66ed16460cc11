#pragma once

#include <millrace/base/error.hpp>

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace millrace::embedded {

/// Syncs the log on a thread of its own, so that the next group is built meanwhile, and gives the
/// answers of a group once it is on disk. Groups are answered in the order in which they came.
///
/// Errors:    once a sync has failed nothing is synced any more: it is not known what is on disk.
/// Threading: `add`, `wait_for_room` and `idle` from one thread (the writer's).
class log_syncer final {
public:
  /// Gives the answers; with an error, that instead of them.
  using answers = std::move_only_function<void(const error* instead)>;
  using sync_call = std::function<result<void>()>;

  /// `failed` is called on the syncer's thread, after the group of the failed sync was answered.
  log_syncer(sync_call sync, std::function<void(const error&)> failed);
  /// Answers everything.
  ~log_syncer();
  log_syncer(const log_syncer&) = delete;
  log_syncer& operator=(const log_syncer&) = delete;

  enum class when { synced, behind_others };
  void add(when condition, answers give);
  /// Until one more group would not have to wait for more than the sync that runs.
  void wait_for_room();
  /// Until everything that was added has been answered. False when a sync has failed.
  bool drain();
  /// Nothing waits, and everything that was added has been answered.
  [[nodiscard]] bool idle();

private:
  struct group {
    when condition;
    answers give;
  };

  void run();

  const sync_call sync_;
  const std::function<void(const error&)> failed_;
  std::mutex mutex_;
  std::condition_variable added_;
  std::condition_variable taken_;
  std::condition_variable done_;
  /// Guarded by `mutex_`, as is what follows.
  std::vector<group> waiting_;
  bool busy_{false};
  bool broken_{false};
  bool closing_{false};
  std::thread thread_;
};

}  // namespace millrace::embedded
