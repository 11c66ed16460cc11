#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace millrace {

/// All durations inside millrace are microseconds: the resolution of tokens, ids and due times.
using duration = std::chrono::microseconds;

/// A moment on the store's clock: microseconds since 1970-01-01T00:00:00Z, always below 2^53.
using timestamp = std::chrono::time_point<std::chrono::system_clock, duration>;

[[nodiscard]] constexpr std::int64_t to_micros(timestamp at) noexcept {
  return at.time_since_epoch().count();
}
[[nodiscard]] constexpr timestamp from_micros(std::int64_t micros) noexcept {
  return timestamp{duration{micros}};
}

/// Where a store reads the time from. A store makes it monotonic for itself; a clock need not be.
///
/// Threading: `now` is called from any thread.
class clock_source {
public:
  virtual ~clock_source() = default;
  [[nodiscard]] virtual timestamp now() const noexcept = 0;
  /// True where time passes by itself. A store on a clock that stands still arms no timers.
  [[nodiscard]] virtual bool ticks() const noexcept = 0;
};

/// The machine's wall clock.
class system_clock_source final : public clock_source {
public:
  [[nodiscard]] timestamp now() const noexcept override;
  [[nodiscard]] bool ticks() const noexcept override { return true; }
};

/// A clock that moves only when told to. For tests.
class manual_clock final : public clock_source {
public:
  explicit manual_clock(timestamp start = default_start()) noexcept;

  [[nodiscard]] timestamp now() const noexcept override;
  [[nodiscard]] bool ticks() const noexcept override { return false; }

  void advance(duration by) noexcept;
  /// May also go back: stores have to survive that.
  void set(timestamp at) noexcept;

  /// 2026-01-01T00:00:00Z.
  [[nodiscard]] static timestamp default_start() noexcept;

private:
  std::atomic<std::int64_t> micros_;
};

}  // namespace millrace
