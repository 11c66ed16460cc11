#pragma once

#include <millrace/base/error.hpp>

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace millrace::embedded {

/// Syncs the log on a thread of its own, so that the next group is built meanwhile, and gives the
/// answers of a group once it is on disk. Groups are answered in the order in which they came.
/// Where nothing is to be built meanwhile, the thread that adds a group may settle it itself, which
/// saves waking another; or it hands its processor over as well, when it has more to do.
///
/// Errors:    once a sync has failed nothing is synced any more: it is not known what is on disk.
/// Threading: `add`, `idle`, `wait_for_room` and `drain` from one thread at a time (the writer).
class log_syncer final {
public:
  /// Gives the answers; with an error, that instead of them.
  using answers = std::move_only_function<void(const error* instead)>;
  using sync_call = std::function<result<void>()>;

  /// `failed` is called after the group of the failed sync was answered; `settled` after every
  /// group that was settled on the syncer's own thread.
  log_syncer(sync_call sync, std::function<void(const error&)> failed,
             std::function<void()> settled);
  /// Answers everything.
  ~log_syncer();
  log_syncer(const log_syncer&) = delete;
  log_syncer& operator=(const log_syncer&) = delete;

  enum class when { synced, behind_others };
  /// `here`: on the calling thread, unless another group comes before it. `apart_at_once`: as
  /// `apart`, and the sync begins before this returns, as a rule. A thread that is woken is often
  /// put where the one that wakes it runs, and would begin when that one has nothing left to do.
  enum class where { apart, apart_at_once, here };
  void add(when condition, where place, answers give);
  /// No group is being settled, or waits for it.
  [[nodiscard]] bool idle();
  /// Until one more group would not have to wait for more than the sync that runs, if one does:
  /// whether one does.
  bool wait_for_room();
  /// Until everything that was added has been answered. False when a sync has failed.
  bool drain();

private:
  struct group {
    when condition;
    answers give;
  };

  void run();
  /// Syncs if one of them needs it, and answers them. Requires: `busy_` is this thread's doing.
  void settle(std::vector<group>& groups);

  const sync_call sync_;
  const std::function<void(const error&)> failed_;
  const std::function<void()> settled_;
  std::mutex mutex_;
  std::condition_variable added_;
  std::condition_variable taken_;
  std::condition_variable done_;
  /// Guarded by `mutex_`, as is what follows.
  std::vector<group> waiting_;
  /// A thread settles groups.
  bool busy_{false};
  bool closing_{false};
  /// Touched by the thread that is busy alone: why a sync failed, and groups being settled here.
  std::optional<error> broken_;
  std::vector<group> here_;
  std::thread thread_;
};

}  // namespace millrace::embedded
