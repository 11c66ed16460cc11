#include <millrace/base/backoff.hpp>

#include <algorithm>

namespace millrace {
namespace {

// Saturates instead of overflowing: a job may fail any number of times.
std::int64_t unjittered_ms(const backoff_spec& spec, std::uint32_t failures) {
  const std::int64_t base = spec.base.count();
  const std::int64_t max = spec.max.count();
  const std::int64_t n = std::max<std::uint32_t>(failures, 1);
  if (base <= 0) return 0;
  if (base >= max) return max;
  switch (spec.strategy) {
    case backoff_strategy::fixed: return base;
    case backoff_strategy::linear: return n > max / base ? max : std::min(max, base * n);
    case backoff_strategy::exponential: {
      std::int64_t delay = base;
      for (std::int64_t i = 1; i < n && delay < max; ++i) delay *= 2;
      return std::min(delay, max);
    }
    case backoff_strategy::polynomial: {
      std::int64_t delay = base;
      for (int i = 0; i < 4; ++i) {
        if (n > max / delay) return max;
        delay *= n;
      }
      return std::min(delay, max);
    }
  }
  return base;
}

// splitmix64 (Steele, Lea, Flood 2014): spreads neighbouring seeds.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

}  // namespace

duration backoff_delay(const backoff_spec& spec, std::uint32_t failures,
                       std::uint64_t entropy) noexcept {
  const std::int64_t micros = unjittered_ms(spec, failures) * 1000;
  const auto share = static_cast<std::int64_t>(mix(entropy) % 1'000'001);
  const auto part_of = [share](std::int64_t whole) {
    return static_cast<std::int64_t>(static_cast<double>(whole) *
                                     (static_cast<double>(share) / 1'000'000.0));
  };
  switch (spec.jitter) {
    case backoff_jitter::none: return duration{micros};
    case backoff_jitter::lengthen: return duration{micros + part_of(micros / 10)};
    case backoff_jitter::full: return duration{part_of(micros)};
    case backoff_jitter::equal: return duration{micros / 2 + part_of(micros / 2)};
  }
  return duration{micros};
}

}  // namespace millrace
