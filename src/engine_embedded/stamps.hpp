#pragma once

#include <millrace/base/assert.hpp>
#include <millrace/base/clock.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace millrace::embedded {

/// The one source of ids, tokens and versions: max(last + 1, clock in µs). Nothing it gives is ever
/// given again, whatever happens to the process or to the clock: it stays below a ceiling that is
/// on disk, and continues above that ceiling when it is not known where it stopped.
class stamp_source final {
public:
  /// How far ahead of the last stamp the ceiling is set, and when it is set anew.
  static constexpr std::uint64_t ahead_us = 10'000'000;
  static constexpr std::uint64_t margin_us = 5'000'000;

  /// `last` is greater than or equal to everything that was ever given.
  explicit stamp_source(std::uint64_t last = 0) noexcept : last_(last) {}

  /// What `next` would give.
  [[nodiscard]] std::uint64_t following(timestamp now) const noexcept {
    return std::max(last_ + 1, static_cast<std::uint64_t>(to_micros(now)));
  }
  [[nodiscard]] std::uint64_t next(timestamp now) {
    last_ = following(now);
    MILLRACE_ASSERT(last_ < (std::uint64_t{1} << 53U));
    return last_;
  }
  [[nodiscard]] std::uint64_t last() const noexcept { return last_; }

  /// The ceiling to write with the present group; 0 when the one on disk will do.
  [[nodiscard]] std::uint64_t wanted_ceiling() const noexcept {
    return last_ + margin_us > ceiling_ ? last_ + ahead_us : 0;
  }
  void ceiling_written(std::uint64_t ceiling) noexcept { ceiling_ = ceiling; }

private:
  std::uint64_t last_;
  std::uint64_t ceiling_{0};
};

}  // namespace millrace::embedded
