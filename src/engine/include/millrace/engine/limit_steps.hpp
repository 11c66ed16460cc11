#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The steps of the limiter capability: how often something may happen, how much of a budget is
/// left, how much happens at once, and who is shut out for a time. They read and change counts
/// alone, never a job.
///
/// A transaction has at most one of them (duplicate_target), so that what it decides is decided on
/// the state before the transaction. Counts expire by themselves. Those of windows are of the class
/// `memory`, whatever level is asked for: an engine may forget them when it is opened; so are
/// permits. Calendar budgets and blocks are as durable as their transaction.
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
  /// At most `limit` permits at one time. What is taken is held until it is released, or until its
  /// `window` has passed without being renewed: what counts is derived from the permits there are.
  concurrency,
};

/// What a calendar budget is called: it and the limit's name are its identity.
enum class limit_period : std::uint8_t { none, daily, weekly, monthly };

/// What follows when a limit is asked for too often although it refuses: its id is blocked.
struct limit_penalty {
  /// So many refused calls within a window that begins with the first of them (of calendar budgets:
  /// until the period ends). Zero: there is no penalty.
  std::uint32_t after{0};
  /// How long the id is blocked then.
  duration length{0};

  friend bool operator==(const limit_penalty&, const limit_penalty&) = default;
};

/// One limit and what is wanted of it. Project, scope, id, algorithm and window (or period) name
/// the count, of permits without the window; limit, burst, cost and penalty are the caller's each
/// time.
struct limit_check {
  /// What is limited: `user`, `ip`, `bot`, …: a name.
  std::string scope;
  /// Whose count it is: a key.
  std::string id;
  limit_algorithm algorithm{limit_algorithm::sliding};
  std::uint64_t limit{0};
  /// Of all but calendar budgets. Of concurrency: how long a permit lasts without being renewed.
  duration window{0};
  std::uint64_t cost{1};
  /// Of token buckets: how much they hold; zero: `limit`.
  std::uint64_t burst{0};
  /// Of calendar budgets: the present one, `period_start` included.
  limit_period period{limit_period::none};
  timestamp period_start{};
  timestamp period_end{};
  /// Its refusal refuses nothing, also where its id is blocked, and is not counted for a penalty.
  /// It is charged when the others allow and it would allow as well.
  bool dry_run{false};
  limit_penalty penalty{};
};

enum class take_mode : std::uint8_t {
  /// Everything or nothing.
  all,
  /// As much as all limits allow, up to the cost, which is the same in all checks.
  part,
  /// Only look: what `all` would say.
  peek,
};

/// Checks limits and charges them, all or none: a refused call charges nothing, and is counted by
/// the penalties of those that refuse. That it is refused is an outcome. An id that is blocked is
/// refused by every limit of it, which counts for no penalty.
///
/// Refused: limit_period_moved (conflict) when the store's clock is outside a calendar period: read
/// the clock and compute it anew; too_many_limits (exhausted) where an engine holds as many counts,
/// permits or blocks as it may; limit_reached and limit_blocked (exhausted), as `required` says.
struct take_limits {
  std::string project{"default"};
  std::vector<limit_check> checks;
  take_mode mode{take_mode::all};
  /// Where the limits do not allow it, the transaction is refused: limit_blocked where one of the
  /// ids is blocked, else limit_reached. No penalty counts that. A `peek` tells the rest.
  bool required{false};
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
  /// Its id is blocked until then; the beginning of time: it is not. Also what this step has
  /// blocked.
  timestamp blocked_until{};
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
  /// What names the permits that were taken, the same for all limits of the step; less than 2^53,
  /// and growing with every one. Zero: none was.
  std::uint64_t permit{0};
};

/// Gives back what was taken: the cost of each check, never more than still counts. Of sliding
/// windows the oldest charges go first, so that what remains counts at least as long as it should.
/// Of permits nothing: they are released. Refused: limit_period_moved.
struct refund_limits {
  std::string project{"default"};
  std::vector<limit_check> checks;
  /// When it was taken (`limits_checked::at`): what has left its window since is not given back.
  std::optional<timestamp> taken_at;
};

/// Forgets the counts, permits included, the refusals that were counted for penalties, and the
/// blocks of the ids. Never refused.
struct reset_limits {
  std::string project{"default"};
  std::vector<limit_check> checks;
};

/// Shuts an id out for a time, from now on, in place of a block that it may have: each limit of it
/// refuses. Zero: it is let in again. The outcome's one state has `blocked_until`, and `allowed`
/// when it is not blocked.
/// Refused: too_many_limits.
struct block_limit {
  std::string project{"default"};
  std::string scope;
  /// The id.
  std::string whose;
  duration length{0};
};

/// The permit is good for its limits' windows again, from now on. All checks are of concurrency.
/// Refused: permit_lost (conflict) when one of the limits does not have it (any more).
struct renew_limit_permit {
  std::string project{"default"};
  std::vector<limit_check> checks;
  std::uint64_t permit{0};
};

/// Gives the permit back to its limits. All checks are of concurrency.
/// Refused: permit_lost (conflict) when none of the limits has it (any more).
struct release_limit_permit {
  std::string project{"default"};
  std::vector<limit_check> checks;
  std::uint64_t permit{0};
};

/// An id that is shut out, and until when.
struct blocked_id {
  std::string scope;
  std::string id;
  timestamp until{};

  friend bool operator==(const blocked_id&, const blocked_id&) = default;
};
struct limit_block_page {
  std::vector<blocked_id> items;
  std::string cursor;
};
/// Who is shut out, by a caller or by a penalty: by scope and id, byte by byte. A page may be
/// short, or empty, and still have a cursor.
struct list_limit_blocks {
  using answer = limit_block_page;
  std::string project{"default"};
  /// Empty: of every scope.
  std::string scope;
  std::uint32_t limit{100};
  std::string cursor;
};

/// Behind this one.
[[nodiscard]] std::string block_cursor(const blocked_id& last);
/// None where there is no cursor. Errors: bad_cursor (malformed).
[[nodiscard]] result<std::optional<blocked_id>> parse_block_cursor(std::string_view cursor);

/// Limits of one step.
inline constexpr std::size_t limit_checks_max = 8;
/// The largest limit, burst and cost.
inline constexpr std::uint64_t limit_value_max = 1'000'000'000'000;
inline constexpr std::chrono::milliseconds limit_window_min{1};
inline constexpr std::chrono::hours limit_window_max{24 * 366};
/// Permits of one limit, those of one call, and how long one lasts without being renewed.
inline constexpr std::uint64_t limit_permits_max = 10'000;
inline constexpr std::uint64_t permit_cost_max = 100;
inline constexpr std::chrono::milliseconds permit_ttl_min{100};
inline constexpr std::chrono::hours permit_ttl_max{24};
/// Refused calls after which an id is blocked.
inline constexpr std::uint32_t penalty_after_max = 1'000'000;
/// Up to this limit a sliding window remembers each charge.
inline constexpr std::uint64_t exact_sliding_max = 1000;
/// Sub-windows of a larger one: twice as many as 1/32 needs, so that rounding them up costs
/// nothing.
inline constexpr std::int64_t sliding_parts = 64;
/// Counts that an engine in memory holds; a further one is refused (too_many_limits), none is
/// forgotten before it is empty. Blocks and the refusals of a penalty are counts as well.
inline constexpr std::size_t limit_records_max = 1'000'000;
/// Permits that are held at one time of all limits of an engine in memory; further ones are refused
/// (too_many_limits).
inline constexpr std::size_t held_permits_max = 1'000'000;
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

/// When refusals are counted anew for a penalty, of which the first is at `now`.
[[nodiscard]] timestamp strikes_end(const limit_check& what, timestamp now) noexcept;

/// The most that `limit_state::count` may be.
[[nodiscard]] std::uint64_t size_of(const limit_check& what) noexcept;

[[nodiscard]] std::string_view to_string(limit_algorithm what) noexcept;
[[nodiscard]] std::string_view to_string(limit_period what) noexcept;
[[nodiscard]] std::optional<limit_algorithm> parse_limit_algorithm(std::string_view word) noexcept;
[[nodiscard]] std::optional<limit_period> parse_limit_period(std::string_view word) noexcept;

/// Whose count a check names, as one text: `user:42:60`, `user:42:60:fixed`, `user:42:daily`,
/// `user:42:permits`. Two checks of a project have the same one exactly if they mean the same
/// count.
[[nodiscard]] std::string limit_name(const limit_check& what);

}  // namespace millrace::engine
