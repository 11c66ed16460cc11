#pragma once

#include <millrace/base/clock.hpp>

#include <chrono>
#include <cstdint>

namespace millrace {

enum class backoff_strategy : std::uint8_t { exponential, linear, fixed, polynomial };

/// How a computed delay is spread, so that jobs that failed together do not return together.
enum class backoff_jitter : std::uint8_t {
  /// Lengthens by up to 10 %, never shortens: the default of exponential backoff.
  lengthen,
  none,
  /// Uniform in [0, delay].
  full,
  /// Uniform in [delay / 2, delay].
  equal,
};

/// The delay before the next run of something that failed.
struct backoff_spec {
  backoff_strategy strategy{backoff_strategy::exponential};
  /// The delay after the first failure. Zero means at once, for every failure.
  std::chrono::milliseconds base{60'000};
  /// The longest delay before jitter. Default one hour; at most 30 days.
  std::chrono::milliseconds max{3'600'000};
  backoff_jitter jitter{backoff_jitter::lengthen};

  friend bool operator==(const backoff_spec&, const backoff_spec&) = default;
};

/// The delay before the run that follows failed run number `failures` (1 is the first).
///
/// exponential: base · 2^(n-1); linear: base · n; fixed: base; polynomial: base · n⁴ (Sidekiq's
/// curve scaled by base). Cut at `max`, then jittered. `entropy` decides the jitter alone, so that
/// equal inputs give equal delays on every engine.
/// With the defaults and no jitter: 60, 120, 240 s.
[[nodiscard]] duration backoff_delay(const backoff_spec& spec, std::uint32_t failures,
                                     std::uint64_t entropy) noexcept;

}  // namespace millrace
