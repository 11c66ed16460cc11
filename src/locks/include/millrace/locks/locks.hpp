#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <chrono>
#include <string>

namespace millrace {

/// Longest wait for a lock.
inline constexpr std::chrono::seconds lock_wait_max{60};

/// 128 random bits, URL-safe.
[[nodiscard]] std::string make_lock_token();

/// Locks with a lease, on any engine: see `engine::acquire_lock`.
///
/// Guarantees: at no moment of the store's clock do two tokens hold one lock that either wants
///             alone; the fence grows with every grant; waiters are served in the order of their
///             arrival, on whatever server they wait. Whoever holds one may still be late: let what
///             it writes to look at the fence (`engine::pass_fence`, `fence_guard`), or commit the
///             write together with `extend_lock`.
/// Threading:  safe from any executor; holds no state of its own.
/// Lifetime:   the store must outlive this object and every call.
/// Cost:       one round trip to the store a call, and two more a look while waiting; looks are
///             when it is one's turn and every ten seconds.
class locks final {
public:
  explicit locks(engine::store& store) noexcept : store_(store) {}

  /// Takes the lock, alone or shared, waiting up to `wait` (0 to 60 s) for its turn.
  /// `step.queue` is how long the place in the queue is kept when the wait has ended: who goes on
  /// waiting with the same token then stands where it stood.
  ///
  /// Returns:      the grant, or who holds it when the wait ended.
  /// Errors:       invalid_argument; too_many_locks; those of the store.
  /// Cancellation: terminal, ends the wait with `cancelled`. A lock that was granted meanwhile is
  ///               released, and the place in the queue is given up.
  [[nodiscard]] awaitable<result<engine::lock_answer>> acquire(engine::acquire_lock step,
                                                               duration wait);
  /// Errors: conflict (lock_lost).
  [[nodiscard]] awaitable<result<engine::lock_answer>> extend(engine::extend_lock step);
  [[nodiscard]] awaitable<result<engine::lock_answer>> release(engine::release_lock step);

private:
  engine::store& store_;
};

}  // namespace millrace
