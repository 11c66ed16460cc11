#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/limit_steps.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

/// What the limiter counts with: the arithmetic of one count each, for engines that keep it in
/// memory and for shares of a limit in a process. The time is always handed in and does not go
/// back.
namespace millrace::engine {

/// The charges of a sliding window, by the moment at which they count no more.
///
/// Cost: 16 bytes a moment; amortised O(1) but for `fits_at`, O(log n).
class sliding_count final {
public:
  [[nodiscard]] std::uint64_t count(timestamp now) const noexcept;
  /// When nothing counts any more; empty where that is so already.
  [[nodiscard]] std::optional<timestamp> ends() const noexcept;
  /// When at most `most` still count.
  [[nodiscard]] timestamp fits_at(std::uint64_t most, timestamp now) const noexcept;
  /// Says how many moments more (or fewer) are remembered.
  std::ptrdiff_t add(std::uint64_t cost, timestamp until, timestamp now);
  std::ptrdiff_t give_back(std::uint64_t cost, timestamp now);
  [[nodiscard]] std::size_t moments() const noexcept { return moments_.size() - first_; }

private:
  struct moment {
    timestamp until;
    /// Everything charged up to here, since the first of all.
    std::uint64_t total;
  };
  [[nodiscard]] std::size_t first_live(timestamp now) const noexcept;
  /// Forgets what counts no more.
  void drop_old(timestamp now);

  // Those from `first_` on count; those before it are dropped when they are most of all.
  std::vector<moment> moments_;
  std::size_t first_{0};
  /// The total of what has gone.
  std::uint64_t gone_{0};
};

/// What was charged in one window or period.
struct period_count {
  timestamp start{};
  timestamp end{};
  std::uint64_t count{0};
};

/// What is missing in a token bucket, in units (see `bucket_rate`).
struct bucket_count {
  timestamp at{};
  std::int64_t unit{1};
  std::int64_t missing{0};
  std::int64_t drain{1};
};

/// The permits of a limit on what happens at once.
///
/// Cost: O(permits), of which there are at most `limit_permits_max`.
class permit_count final {
public:
  [[nodiscard]] std::uint64_t count(timestamp now) const noexcept;
  /// When the last of them ends; empty where there are none.
  [[nodiscard]] std::optional<timestamp> ends() const noexcept;
  /// When at most `most` are still held, if none is renewed.
  [[nodiscard]] timestamp fits_at(std::uint64_t most, timestamp now) const;
  [[nodiscard]] bool holds(std::uint64_t permit, timestamp now) const noexcept;
  /// Says how many more (or fewer) are kept.
  std::ptrdiff_t add(std::uint64_t permit, std::uint64_t cost, timestamp until, timestamp now);
  void renew(std::uint64_t permit, timestamp until) noexcept;
  std::ptrdiff_t release(std::uint64_t permit);
  [[nodiscard]] std::size_t kept() const noexcept { return held_.size(); }

private:
  struct one {
    std::uint64_t permit;
    std::uint64_t cost;
    timestamp until;
  };
  std::vector<one> held_;
};

/// One count, whatever its algorithm, which is always the same.
class limit_count final {
public:
  explicit limit_count(limit_algorithm how);

  /// What the check would come to. `wanted`: of how much.
  [[nodiscard]] limit_state look(const limit_check& what, std::uint64_t wanted,
                                 timestamp now) const;
  /// Says how many moments more are remembered. `coarse`: by sub-windows.
  std::ptrdiff_t charge(const limit_check& what, std::uint64_t cost, timestamp now,
                        bool coarse = false);
  std::ptrdiff_t give_back(const limit_check& what, std::optional<timestamp> taken_at,
                           timestamp now);
  /// When nothing counts any more; empty: nothing does.
  [[nodiscard]] std::optional<timestamp> ends() const;
  [[nodiscard]] std::size_t moments() const noexcept;
  /// Of a limit on what happens at once; null of any other.
  [[nodiscard]] permit_count* permits() noexcept { return std::get_if<permit_count>(&count_); }
  /// Of a calendar budget.
  [[nodiscard]] const period_count* period() const noexcept {
    return std::get_if<period_count>(&count_);
  }
  void set_period(const period_count& to) { count_ = to; }

private:
  std::variant<sliding_count, period_count, bucket_count, permit_count> count_;
};

/// The window of a fixed limit, or the period of a calendar budget.
[[nodiscard]] period_count present_period(const limit_check& what, timestamp now) noexcept;

}  // namespace millrace::engine
