#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/heavy_hitters.hpp>
#include <millrace/engine/limit_table.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/limiter/limit_policy.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// A limit that is asked for. Of calendar budgets the period's bounds are filled in here.
struct wanted_limit {
  engine::limit_check check;
  std::string time_zone{"UTC"};
  when_down on_failure{when_down::local};
  /// How long this process may use what it has charged ahead; zero: it charges nothing ahead. The
  /// window of a sliding limit is longer by this.
  duration lease{0};

  /// The window as people set it.
  [[nodiscard]] duration window() const noexcept {
    const bool longer = check.algorithm == engine::limit_algorithm::sliding;
    return check.window - (longer ? lease : duration{0});
  }
};

/// What is asked of the limiter: limits that the caller names, or those of a policy.
struct limit_request {
  std::string project{"default"};
  /// Empty: of the policy.
  std::vector<wanted_limit> limits;
  std::string policy;
  /// What the request says about itself: `user` → `42`, `ip` → `10.0.0.1`, `plan` → `free`.
  std::map<std::string, std::string, std::less<>> parts;
  /// Of a policy's limits; those that the caller names have their own.
  std::uint64_t cost{1};
};

enum class limit_verdict : std::uint8_t {
  /// The limits have decided.
  counted,
  /// A list of the policy has; nothing was counted.
  listed,
  /// The store could not say: what each limit says without it has decided.
  degraded,
};

struct limited {
  std::string scope;
  std::string id;
  /// The window of it, in time; zero for calendar budgets. Of permits how long they last.
  duration window{0};
  engine::limit_algorithm algorithm{engine::limit_algorithm::sliding};
  /// What was wanted of it.
  std::uint64_t cost{1};
  bool dry_run{false};
  engine::limit_state state;
};

struct limit_answer {
  bool allowed{true};
  limit_verdict verdict{limit_verdict::counted};
  std::uint64_t granted{0};
  timestamp at{};
  /// In the order of the request, or of the policy.
  std::vector<limited> limits;
  /// The one that decides: of those that refuse the one that does so longest; else the one that has
  /// least left of its size. Empty where nothing was counted.
  std::optional<std::size_t> binding;
  /// What names the permits that were taken or renewed (`concurrency`), and when the first of them
  /// ends if it is not renewed. Zero: there are none.
  std::uint64_t permit{0};
  timestamp permit_ends{};

  [[nodiscard]] duration retry_after() const noexcept {
    return binding ? limits[*binding].state.retry_after : duration{0};
  }
};

/// How often each policy said what; by name, those named by the caller under `-`.
struct limit_numbers {
  std::uint64_t allowed{0};
  std::uint64_t refused{0};
  /// Allowed with at most a fifth of the binding limit left.
  std::uint64_t near{0};
  std::uint64_t degraded{0};
  /// Refused because an id was blocked.
  std::uint64_t blocked{0};
};

/// Whether somebody is shut out.
struct limit_block {
  /// The store's clock.
  timestamp at{};
  /// Empty: not blocked.
  std::optional<timestamp> until;
};

/// Who takes most of the limits, or is refused most often.
struct limit_consumer {
  /// `-` for limits that callers named.
  std::string policy;
  std::string scope;
  std::string id;
  /// What was charged, or how often it was refused; at most `error` too many.
  std::uint64_t count{0};
  std::uint64_t error{0};
};
struct limit_consumers {
  std::vector<limit_consumer> used;
  std::vector<limit_consumer> refused;
};

class limit_shares;
class outage_ledger;

/// The machine's clock that is never set; its moments mean nothing to others.
[[nodiscard]] const clock_source& steady_clock_source() noexcept;

/// A request that is made again and again, whose limits this process may hold shares of.
///
/// Threading: from any thread, also several at once.
/// Lifetime:  the limiter outlives it.
class prepared_limits final {
public:
  prepared_limits(prepared_limits&&) noexcept;
  prepared_limits& operator=(prepared_limits&&) noexcept;
  ~prepared_limits();

  /// True: allowed, and charged to shares that are there; without a lock or a round trip. False:
  /// nothing is decided, and `limiter::take` has to be asked, which also takes new shares. Always
  /// false where the policy has a limit without `lease`, and once the policies have changed.
  [[nodiscard]] bool try_take() noexcept;

private:
  friend class limiter;
  struct state;
  explicit prepared_limits(std::unique_ptr<state> of) noexcept;
  std::unique_ptr<state> state_;
};

/// Limits and budgets.
///
/// Guarantees: several limits are charged together or not at all, by the store's clock, in one
///             round trip; in none where this process holds shares of all of them (`lease`). While
///             the store cannot serve, each limit decides as it was told to (`when_down`), from
///             counts of this process that are kept warm; what was allowed meanwhile is charged
///             afterwards, as far as the limits go.
/// Threading:  every member from any thread.
/// Lifetime:   the store outlives it.
class limiter final {
public:
  /// `own_clock` measures how long shares are good.
  limiter(engine::store& store, limit_settings settings,
          const clock_source& own_clock = steady_clock_source());
  ~limiter();
  limiter(const limiter&) = delete;
  limiter& operator=(const limiter&) = delete;

  /// Takes what `mode` says. That it is refused is no error.
  ///
  /// Errors: those of the engine's checks (`checks[0].window`, …); not_found (unknown_policy);
  ///         invalid_argument (missing_part), with the part's name as the field; unavailable where
  ///         the store cannot serve and a limit is then closed.
  /// Cancellation: none: it always ends soon.
  [[nodiscard]] awaitable<result<limit_answer>> take(limit_request what, engine::take_mode mode);

  /// Readies a request of a policy for `prepared_limits::try_take`.
  ///
  /// Errors: those of `take` that hang on no store.
  [[nodiscard]] result<prepared_limits> prepare(const limit_request& what);

  /// The permit is good for the time of its limits again, from now on. Limits without permits are
  /// left out of account, here and in `release`.
  ///
  /// Errors: those of `take`; conflict (permit_lost) when it has ended; invalid_argument
  ///         (no_permits) where no limit has permits; unavailable: it lasts as long as it did.
  [[nodiscard]] awaitable<result<limit_answer>> renew(limit_request what, std::uint64_t permit);

  /// Gives a permit back. Errors: those of `renew`; after `unavailable` it ends by itself.
  [[nodiscard]] awaitable<result<limit_answer>> release(limit_request what, std::uint64_t permit);

  /// Shuts an id out of all limits of it for a time, in place of a block that there is; zero: lets
  /// it in again. What a process holds in shares (`lease`) may be used up still.
  ///
  /// Errors: those of the engine's checks (`scope`, `id`, `for`); unavailable.
  [[nodiscard]] awaitable<result<limit_block>> block(std::string project, std::string scope,
                                                     std::string id, duration length);

  /// As `release`, without waiting for the answer. From any thread; does not block.
  void let_go(const limit_request& what, std::uint64_t permit);

  /// Who is shut out, by scope and id; empty: of every scope. Errors: bad_cursor; unavailable.
  [[nodiscard]] awaitable<result<engine::limit_block_page>> blocks(
      engine::list_limit_blocks what) const;

  /// Gives back what was taken, at `taken_at` where that is known. Permits are not: they are
  /// released. Errors: those of `take`; invalid_argument (only_permits).
  [[nodiscard]] awaitable<result<limit_answer>> refund(limit_request what,
                                                       std::optional<timestamp> taken_at);

  /// Ends a reservation: of `what.cost` that was taken of each limit, `used` is kept. More than was
  /// reserved is taken as far as the limits go; `granted` says how much of the rest.
  [[nodiscard]] awaitable<result<limit_answer>> settle(limit_request what, std::uint64_t used,
                                                       std::optional<timestamp> taken_at);

  /// Forgets the counts, permits and refusals, and lets in again whose they are.
  [[nodiscard]] awaitable<result<limit_answer>> reset(limit_request what);

  /// Gives back the shares that nobody has used in time, and charges what was allowed while the
  /// store was away. To be awaited now and then, once a second, say; nothing is wrong where it is
  /// not, but unused shares count until their window has passed, and so much of an outage is
  /// forgotten.
  [[nodiscard]] awaitable<void> settle_accounts();

  /// Other policies from now on. Errors: those of `check_limit_settings`; nothing has changed then.
  [[nodiscard]] result<void> change_settings(limit_settings to);
  [[nodiscard]] std::shared_ptr<const limit_settings> settings() const;

  /// Whether any policy is bound to routes. Costs next to nothing.
  [[nodiscard]] bool binds_routes() const noexcept {
    return binds_routes_.load(std::memory_order_relaxed);
  }

  [[nodiscard]] std::map<std::string, limit_numbers> numbers() const;
  /// Since the start, most first, at most so many each (`limit_consumers_max`), without what is
  /// everybody's (`global`, `server`) and without `try_take`.
  [[nodiscard]] limit_consumers top(std::size_t count) const;

private:
  friend class limit_planner;
  // borrows: awaited in place; so does the next one.
  [[nodiscard]] awaitable<result<engine::limits_checked>> commit(const std::string& project,
                                                                 std::vector<wanted_limit>& limits,
                                                                 engine::step step);
  [[nodiscard]] awaitable<result<limit_answer>> take_resolved(const limit_request& what,
                                                              std::vector<wanted_limit> limits,
                                                              engine::take_mode mode);
  [[nodiscard]] awaitable<result<limit_answer>> take_with_shares(const limit_request& what,
                                                                 std::vector<wanted_limit> limits);
  [[nodiscard]] result<limit_answer> decide_alone(const std::string& project,
                                                  const std::vector<wanted_limit>& limits,
                                                  engine::take_mode mode);
  void keep_warm(const std::string& project, const std::vector<wanted_limit>& limits,
                 std::optional<std::uint64_t> granted, std::uint64_t permit);
  void keep_blocks(const std::string& project, const std::vector<wanted_limit>& limits,
                   const engine::limits_checked& done);
  void keep_block(const engine::block_limit& step);
  template <class Step>
  [[nodiscard]] awaitable<result<limit_answer>> change_permit(limit_request what,
                                                              std::uint64_t permit);
  template <class Step>
  [[nodiscard]] result<engine::limits_checked> change_own_permit(const Step& step);
  [[nodiscard]] timestamp now() const;
  void note_clock(timestamp at);
  void count(const std::string& policy, const limit_answer& answer);
  void count_consumers(const std::string& policy, const limit_answer& answer);

  engine::store& store_;
  mutable std::mutex mutex_;
  /// Guarded by `mutex_`, as are the next four.
  std::shared_ptr<const limit_settings> settings_;
  engine::limit_table local_{
      engine::limit_table::bounds{.records = local_counts_max, .charges = local_charges_max}};
  /// The last number of a permit that was given without the store.
  std::uint64_t own_permit_{0};
  std::map<std::string, limit_numbers> numbers_;
  /// What was allowed by `try_take`, by policy. Guarded as well; the counts are not.
  std::map<std::string, std::shared_ptr<std::atomic<std::uint64_t>>> tried_;
  std::atomic<bool> binds_routes_;
  /// How often the policies have changed.
  std::atomic<std::uint64_t> changes_{0};
  std::unique_ptr<limit_shares> shares_;
  std::unique_ptr<outage_ledger> ledger_;
  heavy_hitters used_{10 * limit_consumers_max};
  heavy_hitters refused_{10 * limit_consumers_max};
  /// How far the store's clock is ahead of this machine's, as far as is known.
  std::atomic<std::int64_t> ahead_us_{0};
};

/// What a state of each limit comes to.
[[nodiscard]] std::optional<std::size_t> binding_of(const std::vector<limited>& limits,
                                                    bool allowed);

}  // namespace millrace
