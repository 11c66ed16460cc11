#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/wakeups.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Locks with a lease. Whoever holds one may still be slow: what it writes to has to look at the
/// fence, a number that grows with every grant of the resource, and refuse a smaller one than it
/// has seen (`pass_fence` does so within the store). Within the store a transaction that extends or
/// releases the lock is that look as well: it happens only while the lock is held.
///
/// A resource is held by one, or shared by several: by as many as each of them bears beside itself.
/// Who cannot have it may stand in its queue. Turns are in the order of arrival: nobody passes a
/// place in front of it, so that readers that keep coming do not keep a writer out, and those next
/// to each other who can share go together. Whose turn it is is told by a hint to nobody else
/// (`lock_turn_topic`) and has `lock_turn` to ask again; then the turn is the next one's, for half as
/// long, down to `lock_turn_min`.
///
/// A lock ends at `expires_at` on the store's clock, also while the store is closed.
namespace millrace::engine {

struct lock_key {
  std::string project{"default"};
  /// 1 to 512 bytes.
  std::string resource;

  friend bool operator==(const lock_key&, const lock_key&) = default;
  friend auto operator<=>(const lock_key&, const lock_key&) = default;
};

enum class lock_mode : std::uint8_t { exclusive = 0, shared = 1 };
[[nodiscard]] std::string_view to_string(lock_mode mode) noexcept;
[[nodiscard]] std::optional<lock_mode> parse_lock_mode(std::string_view text) noexcept;

struct lock_info {
  lock_key key;
  /// Who holds it, for people.
  std::string owner;
  /// < 2^53; grows with every grant of this resource.
  std::uint64_t fence{0};
  timestamp acquired_at{};
  timestamp expires_at{};
  lock_mode mode{lock_mode::exclusive};
  /// How many hold the resource, and how many stand in its queue.
  std::uint32_t holders{1};
  std::uint32_t waiters{0};

  friend bool operator==(const lock_info&, const lock_info&) = default;
};

/// Takes the lock if it is free and nobody stands before the token in its queue; one that is not
/// free is an answer, no refusal. Asked again with a token that holds it, it answers the grant
/// there is, so that a repeated request is harmless.
/// Refused: too_many_locks, too_many_waiters (exhausted).
struct acquire_lock {
  lock_key key;
  /// Made by the caller, and known to nobody else: 1 to 128 bytes.
  std::string token;
  duration ttl{std::chrono::seconds{30}};
  /// At most 128 bytes.
  std::string owner;
  lock_mode mode{lock_mode::exclusive};
  /// Shared: at most so many hold it together, this one included; zero: `lock_holders_max`. The
  /// number is the asker's: who asks with a smaller one waits longer.
  std::uint32_t permits{0};
  /// The token stands in the queue if it cannot have the lock: its place is kept for so long, and
  /// is kept again when it asks again. Zero: it has none, nor keeps one it had.
  duration queue{0};
};
struct lock_answer {
  bool granted{false};
  /// The grant; without one, of the holder whose lease ends first. Where nobody holds the lock it
  /// is somebody else's turn: then there is no owner and no fence.
  lock_info lock;
  /// The token stands in the queue, behind so many.
  bool queued{false};
  std::uint32_t ahead{0};
};

/// The lock ends `ttl` from now, be that sooner than before. Refused: lock_lost (conflict) unless
/// the token holds it.
struct extend_lock {
  lock_key key;
  std::string token;
  /// Zero: its end stays where it is. What is committed together then happens under the lock.
  duration ttl{0};
};
/// A token that stands in the queue leaves it. Refused: lock_lost (conflict). Answers the lock as
/// it was, `granted` false.
struct release_lock {
  lock_key key;
  std::string token;
};

/// What is committed together happens only if no newer holder has been heard of: neither by another
/// `pass_fence` of the resource nor because it holds it now. The fence is remembered, for
/// `fence_kept` after it was last seen; without memory of the resource one that is older than that
/// is refused. For those who hold a resource alone.
///
/// Refused: stale_fence (conflict), too_many_records (exhausted).
struct pass_fence {
  lock_key key;
  std::uint64_t fence{0};
};
struct fence_passed {
  /// The one that was seen before; 0: none.
  std::uint64_t before{0};
};

/// The holder whose lease ends first; empty where nobody holds it.
struct find_lock {
  using answer = std::optional<lock_info>;
  lock_key key;
};

/// All holders, in the order of their fences.
struct list_lock_holders {
  using answer = std::vector<lock_info>;
  lock_key key;
};

/// It is the turn of this token.
[[nodiscard]] topic lock_turn_topic(const lock_key& key, std::string_view token);

}  // namespace millrace::engine
