#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/limit_steps.hpp>
#include <millrace/limiter/limiter.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace {

/// What this process has charged of one limit ahead of time, to decide on by itself.
struct limit_share {
  /// Whose it is, and what the store needs to be told about it.
  std::string project;
  engine::limit_check check;
  /// How long what was charged may be used, and the most that is charged at once.
  duration life{0};
  std::uint64_t most{0};

  std::atomic<std::int64_t> left{0};
  /// On the clock of the table, in microseconds: from then on nothing of it may be used.
  std::atomic<std::int64_t> ends{0};
  /// What was asked of it since the last look.
  std::atomic<std::uint64_t> asked{0};

  /// Takes the cost if so much is left and still good. Lock-free, from any thread.
  [[nodiscard]] bool take(std::uint64_t cost, std::int64_t now) noexcept;

  // Guarded by the table's mutex.
  std::uint64_t asked_before{0};
  std::int64_t look{0};
  /// When the store has charged what is left, by its clock.
  timestamp charged_at{};
  /// Charged and not to be used any more: to be given back; and when the first of it was charged.
  std::uint64_t spare{0};
  timestamp spare_at{};
  /// The limit as the store last told it, and when, on the clock of the table.
  engine::limit_state known;
  std::int64_t known_since{0};

  void put_aside() noexcept;
};

/// The shares of a process.
///
/// Guarantees: a unit of a share is used at most once, and not after the share's end.
/// Threading:  every member from any thread.
/// Limits:     `shares_max`; a limit beyond them has no share.
class limit_shares final {
public:
  /// The clock must not be set back for long: while it is behind, shares last longer.
  explicit limit_shares(const clock_source& clock) : clock_(&clock) {}

  [[nodiscard]] std::int64_t now() const noexcept { return to_micros(clock_->now()); }

  /// The share of a limit, made if need be; null beyond the bound, and where it would be nothing.
  [[nodiscard]] std::shared_ptr<limit_share> find(const std::string& project,
                                                  const engine::limit_check& check, duration life);

  /// How much to charge ahead with a call that has to ask the store: as much as was asked for
  /// lately, less where little remains, nothing of what nobody asks for twice.
  [[nodiscard]] std::uint64_t wanted(limit_share& of, std::uint64_t cost);

  /// Puts what the store has charged ahead, at `told_at` of its clock; `asked_at` is `now` before
  /// it was asked.
  void put(limit_share& into, std::uint64_t extra, std::int64_t asked_at,
           const engine::limit_state& told, timestamp told_at);
  /// Back to the share it was taken from, where that is still the same one.
  void take_back(limit_share& into, std::uint64_t cost, std::int64_t its_end);
  /// The limit as far as it is known, of a call that the share has decided.
  [[nodiscard]] engine::limit_state state_of(limit_share& of);

  /// Forgets what is left of it: the count was reset.
  void drop(const std::string& project, const engine::limit_check& check);

  struct unused {
    std::string project;
    engine::limit_check check;
    timestamp taken_at{};
  };
  /// What may not be used any more, at most so many: to be given back to the store.
  [[nodiscard]] std::vector<unused> take_unused(std::size_t most);

private:
  [[nodiscard]] bool make_room();

  const clock_source* clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<limit_share>> shares_;
};

/// The shares that one call uses: of each leased limit, what it holds, or what it asks for beyond
/// its cost.
class share_use final {
public:
  /// Takes from the shares that hold enough. Lifetime: `shares` outlives it.
  share_use(limit_shares& shares, const std::string& project, std::vector<wanted_limit> limits);

  /// What the store has to be asked for, with what is charged ahead in the costs.
  [[nodiscard]] std::vector<wanted_limit> not_held() const;
  [[nodiscard]] bool asks_ahead() const noexcept;
  /// Of what `not_held` gave.
  void ask_for_the_cost_alone(std::vector<wanted_limit>& asked);

  /// The call is not allowed: what was taken from shares goes back to them.
  void give_back();
  /// The call is allowed: what was charged ahead goes to the shares.
  void keep(const engine::limits_checked& done, std::int64_t asked_at);
  /// The states of all limits, in their order, from those of what was asked.
  [[nodiscard]] engine::limits_checked whole(engine::limits_checked done);

private:
  struct of_limit {
    std::shared_ptr<limit_share> share;
    bool held{false};
    std::int64_t ends{0};
    std::uint64_t extra{0};
  };

  limit_shares& shares_;
  std::vector<wanted_limit> limits_;
  std::vector<of_limit> uses_;
};

/// Shares that a process has at one time.
inline constexpr std::size_t shares_max = 10'000;

}  // namespace millrace
