#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/lock_steps.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the engines that keep a lock's state in memory decide alike about it.
namespace millrace::engine {

struct lock_holder {
  std::string token;
  std::string owner;
  lock_mode mode{lock_mode::exclusive};
  std::uint64_t fence{0};
  timestamp acquired_at{};
  timestamp expires_at{};
};

struct lock_waiter {
  std::string token;
  lock_mode mode{lock_mode::exclusive};
  std::uint32_t permits{0};
  /// Until when its place is kept.
  timestamp until{};
  /// It is its turn: its place among the holders is kept for it. How many turns have been given in a
  /// row with this one, all but it missed; 0: it is not its turn.
  std::uint32_t turn{0};
};

/// One resource: who holds it, in the order of the fences, and who waits, in the order of arrival.
struct lock_state {
  std::vector<lock_holder> holders;
  std::vector<lock_waiter> waiters;
  /// Turns in a row that were missed until now, for those who are called next.
  std::uint32_t missed{0};

  [[nodiscard]] bool empty() const noexcept { return holders.empty() && waiters.empty(); }
  [[nodiscard]] const lock_holder* holder(std::string_view token) const;
  [[nodiscard]] const lock_waiter* waiter(std::string_view token) const;
  /// The fence of who holds it alone; 0: nobody does.
  [[nodiscard]] std::uint64_t exclusive_fence() const noexcept;
  /// When something of it is over. Requires: not empty.
  [[nodiscard]] timestamp next_end() const;
  /// The holder whose lease ends first; where there is none, the turn that is somebody's.
  [[nodiscard]] lock_info describe(const lock_key& key) const;
  [[nodiscard]] lock_info describe(const lock_key& key, const lock_holder& one) const;
};

/// Nothing of a lock that has no state.
[[nodiscard]] const lock_state& free_lock() noexcept;

/// Whether the step would be granted now.
[[nodiscard]] bool may_have(const lock_state& of, const acquire_lock& step);
/// The step takes a place in the queue that is one too many.
[[nodiscard]] bool queue_is_full(const lock_state& of, const acquire_lock& step);

/// Applies the step; `fence` is for a grant.
lock_answer take_lock(lock_state& of, const acquire_lock& step, std::uint64_t fence, timestamp now);
/// The holder or the place in the queue goes. Requires: there is one.
lock_answer drop_lock(lock_state& of, const lock_key& key, std::string_view token);
/// Requires: the token holds it.
lock_answer prolong_lock(lock_state& of, const extend_lock& step, timestamp now);

/// What is over goes. True: something was.
bool expire_lock(lock_state& of, timestamp now);
/// Calls those whose turn it has become, and tells who they are. To be done after every change.
[[nodiscard]] std::vector<std::string> call_waiters(lock_state& of, timestamp now);

/// Whether the fence is older than `seen` (0: nothing is remembered) or the present holder's.
[[nodiscard]] bool is_stale_fence(const pass_fence& step, std::uint64_t seen, const lock_state& of,
                                  timestamp now) noexcept;

[[nodiscard]] error too_many_waiters();
[[nodiscard]] error stale_fence();

}  // namespace millrace::engine
