#pragma once

#include "text_hash.hpp"

#include <millrace/base/clock.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace::cache {

/// How long loading each key took last, of as many as there are places. Two keys of one place
/// overwrite each other, which makes a renewal too early or too late and nothing else.
///
/// Threading: every member from any thread.
class load_times final {
public:
  void note(std::string_view key, duration took) noexcept {
    const std::uint64_t hash = text_hash(key, 3);
    const auto span =
        static_cast<std::uint64_t>(std::clamp<std::int64_t>(took.count(), 1, longest));
    sum_.fetch_add(span, std::memory_order_relaxed);
    count_.fetch_add(1, std::memory_order_relaxed);
    // The upper half says whose it is.
    places_[hash % places].store((hash & ~std::uint64_t{longest}) | span,
                                 std::memory_order_relaxed);
  }
  /// Of a key that is not known: the average of all; zero where there is none.
  [[nodiscard]] duration of(std::string_view key) const noexcept {
    const std::uint64_t hash = text_hash(key, 3);
    const std::uint64_t there = places_[hash % places].load(std::memory_order_relaxed);
    const bool its_own = there != 0 && ((there ^ hash) & ~std::uint64_t{longest}) == 0;
    if (its_own) return duration{static_cast<std::int64_t>(there & longest)};
    const std::uint64_t count = std::max<std::uint64_t>(1, count_.load(std::memory_order_relaxed));
    return duration{static_cast<std::int64_t>(sum_.load(std::memory_order_relaxed) / count)};
  }

private:
  static constexpr std::size_t places = 4096;
  // An hour and more, in microseconds.
  static constexpr std::int64_t longest = 0xffff'ffff;
  std::array<std::atomic<std::uint64_t>, places> places_{};
  std::atomic<std::uint64_t> sum_{0};
  std::atomic<std::uint64_t> count_{0};
};

}  // namespace millrace::cache
