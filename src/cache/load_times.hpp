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
    const auto span = static_cast<std::uint64_t>(std::clamp<std::int64_t>(took.count(), 1, longest));
    // The upper half says whose it is.
    places_[hash % places].store((hash & ~std::uint64_t{longest}) | span,
                                 std::memory_order_relaxed);
  }
  /// Of a key that is not known: `otherwise`.
  [[nodiscard]] duration of(std::string_view key, duration otherwise) const noexcept {
    const std::uint64_t hash = text_hash(key, 3);
    const std::uint64_t there = places_[hash % places].load(std::memory_order_relaxed);
    const bool its_own = there != 0 && ((there ^ hash) & ~std::uint64_t{longest}) == 0;
    return its_own ? duration{static_cast<std::int64_t>(there & longest)} : otherwise;
  }

private:
  static constexpr std::size_t places = 4096;
  // An hour and more, in microseconds.
  static constexpr std::int64_t longest = 0xffff'ffff;
  std::array<std::atomic<std::uint64_t>, places> places_{};
};

}  // namespace millrace::cache
