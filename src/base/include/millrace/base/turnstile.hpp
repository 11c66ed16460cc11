#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace millrace {

/// Lets in one at a time. Unlike with a mutex, whoever is inside may try to enter again, and is
/// told no: so work can be left to the one inside, whoever that is.
///
/// Threading: every member from any thread; `leave` only from inside.
/// Cost:      one atomic operation each way where nobody waits. Who waits sleeps: on a busy machine
///            spinning would give away more than it gains.
class turnstile final {
public:
  turnstile() = default;
  turnstile(const turnstile&) = delete;
  turnstile& operator=(const turnstile&) = delete;

  [[nodiscard]] bool try_enter() noexcept {
    std::uint32_t nobody = free;
    return state_.compare_exchange_strong(nobody, taken, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  /// Waits. Requires: this thread is not inside.
  void enter() noexcept {
    if (try_enter()) return;
    std::unique_lock lock(mutex_);
    while (state_.exchange(awaited, std::memory_order_acquire) != free) left_.wait(lock);
  }
  void leave() noexcept {
    if (state_.exchange(free, std::memory_order_release) != awaited) return;
    // Whoever has said that it waits is asleep by the time the mutex is free.
    const std::lock_guard lock(mutex_);
    left_.notify_one();
  }

  /// Is inside as long as it exists; with `std::try_to_lock` only where nobody else was.
  class inside final {
  public:
    explicit inside(turnstile& of) noexcept : of_(&of) { of.enter(); }
    inside(turnstile& of, std::try_to_lock_t) noexcept : of_(of.try_enter() ? &of : nullptr) {}
    ~inside() {
      if (of_ != nullptr) of_->leave();
    }
    inside(const inside&) = delete;
    inside& operator=(const inside&) = delete;

    explicit operator bool() const noexcept { return of_ != nullptr; }

  private:
    turnstile* of_;
  };

private:
  static constexpr std::uint32_t free = 0;
  static constexpr std::uint32_t taken = 1;
  // Somebody may wait.
  static constexpr std::uint32_t awaited = 2;

  std::atomic<std::uint32_t> state_{free};
  std::mutex mutex_;
  std::condition_variable left_;
};

}  // namespace millrace
