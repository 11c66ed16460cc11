#pragma once

#include <chrono>
#include <cstdint>

namespace millrace {

/// How many runs at a time a worker may have, when that follows the backlog.
struct concurrency_range {
  std::uint32_t min{1};
  /// Equal to `min`: it stays there.
  std::uint32_t max{1};
  /// How long the backlog has to be gone before the number is lowered by one step; raising is
  /// prompt, lowering is slow, so that it does not swing.
  std::chrono::seconds calm{10};
};

/// What one look at the source told.
struct backlog_sign {
  std::uint32_t asked{0};
  std::uint32_t got{0};
  /// The source had nothing at once: it was waited for.
  bool waited{false};
};

/// Follows the backlog between a minimum and a maximum. The source itself shows it: as many jobs as
/// were asked for, at once, means that more are there; a wait means that there are none.
///
/// Threading: none of its own; a pure value.
class concurrency_policy final {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Begins at the minimum. Requires: 1 <= min <= max.
  explicit concurrency_policy(concurrency_range range) noexcept;

  /// The number from now on. Doubles with a full answer that came at once; halves for each `calm`
  /// without one.
  std::uint32_t observe(backlog_sign sign, time_point now) noexcept;
  [[nodiscard]] std::uint32_t current() const noexcept { return current_; }

private:
  concurrency_range range_;
  std::uint32_t current_;
  time_point busy_at_{};
};

}  // namespace millrace
