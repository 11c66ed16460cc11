#pragma once

#include <millrace/base/clock.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The steps of the limiter capability: how often something may happen, and how much of a budget is
/// left. They read and change counts alone, never a job.
///
/// A transaction has at most one of them (duplicate_target), so that what it decides is decided on
/// the state before the transaction. Counts expire by themselves. Those of windows are of the class
/// `memory`, whatever level is asked for: an engine may forget them when it is opened. Calendar
/// budgets are as durable as their transaction.
namespace millrace::engine {

enum class limit_algorithm : std::uint8_t {
  /// At most `limit` in any span of `window`. Exact while the limit is at most
  /// `exact_sliding_max`; above it charges are counted by sub-windows, `sliding_parts` a window,
  /// and the oldest is counted as a whole: never more than the limit, at most 1/32 less.
  sliding,
  /// At most `limit` in each window; windows follow each other from 1970 on.
  fixed,
  /// A bucket of `burst` that is refilled with `limit` a window, evenly.
  token_bucket,
  /// At most `limit` in the period that the caller names; the same in every process that computes
  /// it from the same rules.
  calendar,
};

/// What a calendar budget is called: it and the limit's name are its identity.
enum class limit_period : std::uint8_t { none, daily, weekly, monthly };

/// One limit and what is wanted of it. Project, scope, id, algorithm and window (or period) name
/// the count; limit, burst and cost are the caller's each time.
struct limit_check {
  /// What is limited: `user`, `ip`, `bot`, …: a name.
  std::string scope;
  /// Whose count it is: a key.
  std::string id;
  limit_algorithm algorithm{limit_algorithm::sliding};
  std::uint64_t limit{0};
  /// Of all but calendar budgets.
  duration window{0};
  std::uint64_t cost{1};
  /// Of token buckets: how much they hold; zero: `limit`.
  std::uint64_t burst{0};
  /// Of calendar budgets: the present one, `period_start` included.
  limit_period period{limit_period::none};
  timestamp period_start{};
  timestamp period_end{};
  /// Its refusal refuses nothing. It is charged when the others allow and it would allow as well.
  bool dry_run{false};
};

enum class take_mode : std::uint8_t {
  /// Everything or nothing.
  all,
  /// As much as all limits allow, up to the cost, which is the same in all checks.
  part,
  /// Only look: what `all` would say.
  peek,
};

/// Checks limits and charges them, all or none: a refused call charges nothing. That it is refused
/// is an outcome.
///
/// Refused: limit_period_moved (conflict) when the store's clock is outside a calendar period: read
/// the clock and compute it anew; too_many_limits (exhausted) where an engine holds as many counts
/// as it may.
struct take_limits {
  std::string project{"default"};
  std::vector<limit_check> checks;
  take_mode mode{take_mode::all};
};

/// One limit as it is after the step.
struct limit_state {
  /// What has been charged and still counts; of a token bucket what is missing, rounded up.
  std::uint64_t count{0};
  /// The most that `count` may be: of a token bucket its size.
  std::uint64_t limit{0};
  std::uint64_t remaining{0};
  /// Sliding: a window ago. Fixed, calendar: where the present one began. Token bucket: now.
  timestamp window_start{};
  /// When nothing counts any more, if nothing is charged meanwhile.
  timestamp reset_time{};
  /// It alone would have allowed the cost (in mode `part`: anything).
  bool allowed{true};
  /// When it alone would allow it, if nothing is charged meanwhile; zero where it does.
  duration retry_after{0};
};

/// What became of the limits a step named; of take, refund and reset.
struct limits_checked {
  bool allowed{true};
  /// In mode `part`: what was charged.
  std::uint64_t granted{0};
  /// The store's clock.
  timestamp at{};
  /// One a check, in order.
  std::vector<limit_state> limits;
};

/// Gives back what was taken: the cost of each check, never more than still counts. Of sliding
/// windows the oldest charges go first, so that what remains counts at least as long as it should.
/// Refused: limit_period_moved.
struct refund_limits {
  std::string project{"default"};
  std::vector<limit_check> checks;
  /// When it was taken (`limits_checked::at`): what has left its window since is not given back.
  std::optional<timestamp> taken_at;
};

/// Forgets the counts. Never refused.
struct reset_limits {
  std::string project{"default"};
  std::vector<limit_check> checks;
};

/// Limits of one step.
inline constexpr std::size_t limit_checks_max = 8;
/// The largest limit, burst and cost.
inline constexpr std::uint64_t limit_value_max = 1'000'000'000'000;
inline constexpr std::chrono::milliseconds limit_window_min{1};
inline constexpr std::chrono::hours limit_window_max{24 * 366};
/// Up to this limit a sliding window remembers each charge.
inline constexpr std::uint64_t exact_sliding_max = 1000;
/// Sub-windows of a larger one: twice as many as 1/32 needs, so that rounding them up costs
/// nothing.
inline constexpr std::int64_t sliding_parts = 64;
/// Counts that an engine in memory holds; a further one is refused (too_many_limits), none is
/// forgotten before it is empty.
inline constexpr std::size_t limit_records_max = 1'000'000;
/// Charges that all sliding windows of an engine in memory remember one by one; further ones are
/// counted by sub-windows, whatever the limit.
inline constexpr std::size_t limit_charges_max = 8'000'000;

/// When a charge made at `now` counts no more in a sliding window.
[[nodiscard]] timestamp sliding_end(duration window, std::uint64_t limit, timestamp now) noexcept;
/// The same, by sub-windows.
[[nodiscard]] timestamp sliding_part_end(duration window, timestamp now) noexcept;

/// A token bucket in whole numbers: one token is `unit`, and `drain` comes back a microsecond.
struct bucket_rate {
  std::int64_t unit{1};
  std::int64_t drain{1};
  /// In units.
  std::int64_t capacity{1};
};
/// Requires: a token bucket. Empty: its numbers are too large to be exact (2^53).
[[nodiscard]] std::optional<bucket_rate> bucket_rate_of(const limit_check& what) noexcept;

/// The most that `limit_state::count` may be.
[[nodiscard]] std::uint64_t size_of(const limit_check& what) noexcept;

[[nodiscard]] std::string_view to_string(limit_algorithm what) noexcept;
[[nodiscard]] std::string_view to_string(limit_period what) noexcept;
[[nodiscard]] std::optional<limit_algorithm> parse_limit_algorithm(std::string_view word) noexcept;
[[nodiscard]] std::optional<limit_period> parse_limit_period(std::string_view word) noexcept;

/// Whose count a check names, as one text: `user:42:60`, `user:42:60:fixed`, `user:42:daily`. Two
/// checks of a project have the same one exactly if they mean the same count.
[[nodiscard]] std::string limit_name(const limit_check& what);

}  // namespace millrace::engine
