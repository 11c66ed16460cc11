#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/job.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace millrace::engine {

/// An exact sliding window: at most `limit` starts in any span of `per`.
///
/// Keeps the times of the last `limit` starts. A start exactly `per` after another is outside its
/// window.
///
/// Threading: none of its own.
/// Cost:      O(1) a call; 8 bytes a remembered start, grown as needed and never beyond `limit`.
class rate_window final {
public:
  explicit rate_window(rate_bound bound = {}) noexcept : bound_(bound) {}

  /// Takes another bound; starts that still count under it stay. Where the limit or the span is
  /// raised, starts forgotten before count no more.
  void rebind(rate_bound bound);
  [[nodiscard]] const rate_bound& bound() const noexcept { return bound_; }

  [[nodiscard]] bool allows(timestamp now) const noexcept;

  /// Notes a start. Times must not go back. A start beyond the bound displaces the oldest.
  void record(timestamp now);

  /// When `allows` becomes true if nothing starts before; `now` where it is already.
  [[nodiscard]] timestamp next_at(timestamp now) const noexcept;

  /// No remembered start counts any more: the window may be dropped.
  [[nodiscard]] bool idle(timestamp now) const noexcept;

private:
  [[nodiscard]] timestamp nth(std::size_t i) const noexcept;
  void drop_outdated(timestamp now) noexcept;
  void relocate(std::size_t capacity);

  rate_bound bound_;
  // The last `count_` starts, oldest at `first_`, wrapping around.
  std::vector<timestamp> ring_;
  std::size_t first_{0};
  std::size_t count_{0};
};

}  // namespace millrace::engine
