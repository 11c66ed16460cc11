#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/limit_blocks.hpp>
#include <millrace/engine/limit_steps.hpp>
#include <millrace/engine/limit_window.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace::engine {

/// All counts of one place: those of an engine in memory, or the share of a process.
///
/// Guarantees: as the steps say. A count is forgotten when it is empty, and no sooner.
/// Threading:  none of its own.
/// Cost:       a look-up a check; beside the charges of sliding windows, some 200 bytes a count.
/// Limits:     `bounds`.
class limit_table final {
public:
  struct bounds {
    std::size_t records{limit_records_max};
    std::size_t charges{limit_charges_max};
    std::size_t permits{held_permits_max};
  };

  limit_table() = default;
  explicit limit_table(bounds within) noexcept : bounds_(within) {}

  /// Why the step is refused, if it is. `now`, here and below, does not go back.
  [[nodiscard]] std::optional<error> check(const take_limits& step, timestamp now);
  [[nodiscard]] static std::optional<error> check(const refund_limits& step, timestamp now);
  [[nodiscard]] std::optional<error> check(const block_limit& step, timestamp now);
  [[nodiscard]] std::optional<error> check(const renew_limit_permit& step, timestamp now);
  [[nodiscard]] std::optional<error> check(const release_limit_permit& step, timestamp now);

  /// Requires: `check` of the same step at the same time had no objection. `permit`: what names the
  /// permits that it takes, if it may take any; greater than any before it.
  limits_checked take(const take_limits& step, timestamp now, std::uint64_t permit = 0);
  limits_checked refund(const refund_limits& step, timestamp now);
  limits_checked reset(const reset_limits& step, timestamp now);
  limits_checked block(const block_limit& step, timestamp now);
  limits_checked renew(const renew_limit_permit& step, timestamp now);
  limits_checked release(const release_limit_permit& step, timestamp now);

  /// Blocks and the refusals of penalties included.
  [[nodiscard]] std::size_t size() const noexcept { return counts_.size() + blocks_.size(); }
  /// Charges that sliding windows remember one by one.
  [[nodiscard]] std::size_t charges() const noexcept { return charges_; }

  /// The calendar budget that a check names; null: nothing is charged to it.
  [[nodiscard]] const period_count* budget(const std::string& project, const limit_check& what);
  /// Takes over a calendar budget that was kept elsewhere.
  void put_budget(const std::string& project, const limit_check& what, const period_count& count);
  void drop_budgets();

  /// The beginning of time: it is not blocked.
  [[nodiscard]] timestamp blocked_until(const std::string& project, const std::string& scope,
                                        const std::string& id, timestamp now) {
    return blocks_.until(project, scope, id, now);
  }
  /// Takes over a block that was kept elsewhere.
  void put_block(const std::string& project, const std::string& scope, const std::string& id,
                 timestamp until, timestamp now) {
    blocks_.set(project, scope, id, until, now);
  }
  [[nodiscard]] result<limit_block_page> blocks(const list_limit_blocks& what,
                                                timestamp now) const {
    return blocks_.page(what, now);
  }
  void drop_blocks() { blocks_.drop_blocks(); }
  /// How often a penalty has blocked somebody.
  [[nodiscard]] std::uint64_t blocks_made() const noexcept { return blocks_made_; }

private:
  struct kept {
    limit_count count;
    /// Tells this one from another of the same name that came before.
    std::uint64_t number;
    bool is_budget;
  };
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  using count_map = std::unordered_map<std::string, kept, text_hash, std::equal_to<>>;
  struct ending {
    timestamp at;
    std::uint64_t number;
    std::string name;
    friend bool operator>(const ending& a, const ending& b) { return a.at > b.at; }
  };

  struct taking;
  void look(const take_limits& step, timestamp now, taking& by);
  [[nodiscard]] std::optional<error> refuse_unless_allowed(const take_limits& step, timestamp now);
  void charge_all(const take_limits& step, timestamp now, taking& by);
  void forget_empty(timestamp now);
  [[nodiscard]] bool has_room(std::size_t further) const noexcept;
  [[nodiscard]] permit_count* permits_of(const std::string& project, const limit_check& what);
  [[nodiscard]] count_map::iterator find(const std::string& project, const limit_check& what);
  void charge(kept& one, const limit_check& what, std::uint64_t cost, timestamp now);
  void drop(count_map::iterator at);

  bounds bounds_;
  count_map counts_;
  /// When each is to be looked at: it may then count on, and stand here anew.
  std::priority_queue<ending, std::vector<ending>, std::greater<>> endings_;
  std::uint64_t last_number_{0};
  /// Room for the names of one step, kept from step to step.
  std::array<std::string, limit_checks_max> names_;
  std::size_t charges_{0};
  std::size_t permits_{0};
  limit_blocks blocks_;
  std::uint64_t blocks_made_{0};
};

/// The clock is outside a calendar period that the checks name.
[[nodiscard]] std::optional<error> refuse_moved_period(const std::vector<limit_check>& checks,
                                                       timestamp now);

}  // namespace millrace::engine
