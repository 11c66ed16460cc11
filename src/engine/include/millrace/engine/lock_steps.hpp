#pragma once

#include <millrace/base/clock.hpp>

#include <cstdint>
#include <optional>
#include <string>

/// Locks with a lease. Whoever holds one may still be slow: what it writes to has to look at the
/// fence, a number that grows with every grant of the resource, and refuse a smaller one than it
/// has seen. Within the store a transaction that extends or releases the lock is that look: it
/// happens only while the lock is held.
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

struct lock_info {
  lock_key key;
  /// Who holds it, for people.
  std::string owner;
  /// < 2^53; grows with every grant of this resource.
  std::uint64_t fence{0};
  timestamp acquired_at{};
  timestamp expires_at{};
};

/// Takes the lock if nobody holds it; a lock that is held is an answer, no refusal. Asked again
/// with the token that holds it, it answers the grant there is, so that a repeated request is
/// harmless. Refused: too_many_locks (exhausted).
struct acquire_lock {
  lock_key key;
  /// Made by the caller, and known to nobody else: 1 to 128 bytes.
  std::string token;
  duration ttl{std::chrono::seconds{30}};
  /// At most 128 bytes.
  std::string owner;
};
struct lock_answer {
  bool granted{false};
  /// Of the holder, whoever that is.
  lock_info lock;
};

/// The lock ends `ttl` from now, be that sooner than before. Refused: lock_lost (conflict) unless
/// the token holds it.
struct extend_lock {
  lock_key key;
  std::string token;
  /// Zero: its end stays where it is. What is committed together then happens under the lock.
  duration ttl{0};
};
/// Refused: lock_lost (conflict). Answers the lock as it was, `granted` false.
struct release_lock {
  lock_key key;
  std::string token;
};

struct find_lock {
  using answer = std::optional<lock_info>;
  lock_key key;
};

}  // namespace millrace::engine
