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
/// Guarantees: at no moment of the store's clock do two tokens hold one lock; the fence grows with
///             every grant. Whoever holds one may still be late: let what it writes to look at the
///             fence, or commit the write together with `extend_lock`.
/// Threading:  safe from any executor; holds no state of its own.
/// Lifetime:   the store must outlive this object and every call.
/// Cost:       one round trip to the store a call, and one more a look while waiting.
class locks final {
public:
  explicit locks(engine::store& store) noexcept : store_(store) {}

  /// Takes the lock, waiting up to `wait` (0 to 60 s) for its holder.
  ///
  /// Returns:      the grant, or who holds it when the wait ended.
  /// Errors:       invalid_argument; too_many_locks; those of the store.
  /// Cancellation: terminal, ends the wait with `cancelled`. A lock that was granted meanwhile is
  ///               released.
  [[nodiscard]] awaitable<result<engine::lock_answer>> acquire(engine::acquire_lock step,
                                                               duration wait);
  /// Errors: conflict (lock_lost).
  [[nodiscard]] awaitable<result<engine::lock_answer>> extend(engine::extend_lock step);
  [[nodiscard]] awaitable<result<engine::lock_answer>> release(engine::release_lock step);

private:
  engine::store& store_;
};

}  // namespace millrace
