#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <chrono>
#include <optional>

namespace millrace {

/// Longest wait for an event.
inline constexpr std::chrono::seconds read_wait_max{60};

/// Groups of consumers, on any engine: see `engine::read_group`.
///
/// Guarantees: each event of a stream goes to one consumer of the group at a time, and comes again
///             until one has settled it, or it is told as missed. Commit what handling it comes to
///             together with `engine::settle_deliveries` (`all`), and it happens once.
/// Threading:  safe from any executor; holds no state of its own.
/// Lifetime:   the store must outlive this object and every call.
/// Cost:       one round trip to the store a call, and one more a look while waiting.
class consumers final {
public:
  explicit consumers(engine::store& store) noexcept : store_(store) {}

  /// Events for a consumer, waiting up to `wait` (0 to 60 s) for the first.
  ///
  /// Returns:      none where the wait ended.
  /// Errors:       invalid_argument; too_many_groups; those of the store.
  /// Cancellation: terminal, ends the wait with `cancelled`. What was delivered meanwhile is given
  ///               back, with its delivery counted.
  [[nodiscard]] awaitable<result<engine::group_read>> read(engine::read_group step, duration wait);

  /// Errors: group_not_found; conflict (delivery_lost).
  [[nodiscard]] awaitable<result<engine::deliveries_settled>> settle(
      engine::settle_deliveries step);

  /// Where a group begins that is to read what was published at a time and later.
  [[nodiscard]] awaitable<result<engine::group_start>> start_at(engine::stream_key stream,
                                                                timestamp time);

private:
  engine::store& store_;
};

}  // namespace millrace
