#pragma once

#include <millrace/base/task_group.hpp>
#include <millrace/locks/locks.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace millrace {

/// How a lock is held.
struct hold_options {
  hold_options() = default;
  /// How often its lease is renewed. Zero: every third of it.
  duration renew_every{0};
  /// Called once, on the keeper's executor, if the lock is lost: why.
  std::function<void(const error&)> on_lost;
};

/// A lock that is held while this object lives: renewed by itself, given back by the destructor.
///
/// Guarantees: `lost` is told at once when the store says that the lock is not held any more, and
///             no later than the lease has run out on this machine's own clock, should the store
///             not answer. From then on whatever happens under the lock has to stop; what was
///             written meanwhile is only safe behind its fence (`proof`, `fence`).
/// Threading:  one thread at a time; it may be destroyed on any thread.
/// Lifetime:   may outlive its keeper, and is lost with it.
class held_lock final {
public:
  held_lock(held_lock&&) noexcept;
  held_lock& operator=(held_lock&&) noexcept;
  ~held_lock();

  /// As it was granted.
  [[nodiscard]] const engine::lock_info& info() const noexcept;
  [[nodiscard]] std::uint64_t fence() const noexcept { return info().fence; }
  [[nodiscard]] const std::string& token() const noexcept;

  /// Requested when the lock is lost, not when it is given back.
  [[nodiscard]] std::stop_token lost() const noexcept;

  /// Put into a transaction, it happens only while the lock is held.
  [[nodiscard]] engine::extend_lock proof() const;
  /// Put into a transaction, it happens only if no newer holder has been heard of.
  [[nodiscard]] engine::pass_fence pass() const;

  /// Gives it back without waiting for the answer, as the destructor does. Idempotent.
  void release() noexcept;

private:
  friend class lock_keeper;
  struct state;
  explicit held_lock(std::shared_ptr<state> s) noexcept;
  std::shared_ptr<state> state_;
};

/// Takes locks and keeps them: those of one owner alone, shared ones and permits of a semaphore.
///
/// Threading:  every member runs on, or is called from, the executor (a strand where the context
///             has several threads).
/// Lifetime:   the store must outlive it; await `stop` before it goes.
class lock_keeper final {
public:
  lock_keeper(engine::store& store, asio::any_io_executor executor);

  /// As `locks::acquire`, and keeps what was granted. Empty: somebody else holds it still. A step
  /// without a token gets one.
  ///
  /// Errors, Cancellation: as `locks::acquire`.
  [[nodiscard]] awaitable<result<std::optional<held_lock>>> hold(engine::acquire_lock step,
                                                                 duration wait = duration{0},
                                                                 hold_options how = {});

  /// Gives back all that is held, which is lost to its holders.
  [[nodiscard]] awaitable<void> stop();

private:
  engine::store& store_;
  locks locks_;
  task_group renewals_;
};

}  // namespace millrace
