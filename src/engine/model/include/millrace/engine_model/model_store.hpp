#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/engine/store.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace millrace::model {

class model_state;

struct options {
  /// Not owned; empty: the system's. A clock that stands still (`manual_clock`) makes every test of
  /// due times and leases exact: nothing happens until it is moved and the store is called.
  const clock_source* clock{nullptr};
  /// Bounds that a test may want to reach.
  std::size_t idempotency_keys_max{engine::idempotency_keys_max};
  std::size_t queues_max{engine::queues_max};
  std::size_t crons_max{engine::crons_max};
  std::uint64_t cache_bytes_max{engine::cache_bytes_default};
  /// What holds where a queue has not set it itself.
  engine::queue_settings defaults;
};

/// The reference engine: every step and query of the port in its simplest correct form, in memory.
///
/// It is what the other engines are compared with, step by step, and an engine for tests of what is
/// built on the port: no file, no server, its own clock.
///
/// Guarantees: as `engine::store`, with durability `memory`: everything ends with the object.
/// Threading:  as `engine::store`; handlers run inside `submit` and `ask`, on the caller's thread,
///             with no lock held. One mutex: calls wait for each other.
/// Lifetime:   the clock must outlive the store. No call may be running when it is destroyed.
/// Cost:       O(jobs) for many steps; made for thousands of jobs, not for millions.
class model_store final : public engine::store {
public:
  explicit model_store(options with = options());
  ~model_store() override;
  model_store(const model_store&) = delete;
  model_store& operator=(const model_store&) = delete;

  void submit(std::vector<engine::transaction> batch, commit_handler done) override;
  void ask(engine::query what, answer_handler done) override;
  [[nodiscard]] engine::wakeups& hints() noexcept override { return hints_; }
  [[nodiscard]] engine::store_traits traits() const noexcept override;

  /// What an engine that keeps everything shows after it was ended and opened again: each lease
  /// that had not ended has one full interval from now; what is counted since the opening begins
  /// anew. For comparing such engines with. `defaults`: those it is opened with; empty: the same.
  void restart(const std::optional<engine::queue_settings>& defaults = std::nullopt);

private:
  /// Hints for what becomes due while nobody calls. Runs only where the clock ticks.
  void watch_due_times();
  /// Tells what the state collected. Called without the lock.
  void tell_hints(std::unique_lock<std::mutex> held);

  system_clock_source system_clock_;
  const clock_source& clock_;
  engine::wakeups hints_;

  std::mutex mutex_;
  /// Guarded by `mutex_`, as is everything below.
  std::unique_ptr<model_state> state_;
  std::condition_variable changed_;
  bool closing_{false};
  std::thread timer_;
};

}  // namespace millrace::model
