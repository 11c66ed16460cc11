#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/task_group.hpp>
#include <millrace/engine/store.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace millrace {

/// Checks a recurring job as somebody wrote it, and finds its first slot after `now`, for the
/// `put_cron` step.
///
/// Errors: those of the engine's checks and of `cron_schedule::parse`; the field is named as the
///         HTTP API names it (`queue`, `schedule`, `time_zone`, `job.priority`, …). A line without
///         a slot before the year 2200: invalid_argument (cron_never_fires).
[[nodiscard]] result<engine::cron_entry> prepare_cron(engine::cron_entry entry, timestamp now);

struct cron_scheduler_options {
  /// A slot seen later than this counts as missed: the entry's catch-up policy decides. Zero makes
  /// every delay a miss. Default 10 s, which a restart within that time does not notice.
  std::chrono::milliseconds missed_after{10'000};
  /// Looks at least this often, whatever hints are lost. Default 30 s.
  std::chrono::milliseconds safety_tick{30'000};
  /// The pause after a failed look; doubled with each further one up to `retry_max`.
  std::chrono::milliseconds retry_base{100};
  std::chrono::milliseconds retry_max{10'000};
  /// Told of what kept entries from firing, on the scheduler's executor. For logs; must not throw.
  std::function<void(const error&)> on_trouble{};
  /// Told of each slot this scheduler settled, on its executor. For logs; must not throw.
  std::function<void(const engine::cron_fired&)> on_slot{};
};

/// Fires recurring jobs at their slots.
///
/// Any number of schedulers may run on one store: the store compares the slot and the version of
/// the entry, so that each slot is settled by exactly one of them. A store that cannot serve is
/// asked again and again, ever more slowly; what was missed meanwhile is a matter of the catch-up
/// policy.
///
/// An entry whose line or zone can no longer be read (a zone that left the machine's database) is
/// reported, keeps its place, and is tried again an hour later.
///
/// Threading:    every member on the executor given, a strand where its context has several
/// threads. Lifetime:     the store must outlive this; `stop` has to be awaited before the
/// destructor. Cost:         two queries a slot's time, and one commit for all entries due at it.
class cron_scheduler final {
public:
  cron_scheduler(asio::any_io_executor executor, engine::store& store,
                 cron_scheduler_options options);

  /// Once; after `stop` nothing starts any more.
  void start();
  [[nodiscard]] awaitable<void> stop();

private:
  [[nodiscard]] awaitable<void> run();
  [[nodiscard]] awaitable<result<std::chrono::steady_clock::duration>> look();
  [[nodiscard]] engine::transaction settle(const engine::cron_entry& entry, timestamp now) const;
  [[nodiscard]] result<void> take_in(std::vector<engine::commit_result> settled) const;
  void report(const error& why) const;

  engine::store& store_;
  const cron_scheduler_options options_;
  task_group tasks_;
};

}  // namespace millrace
