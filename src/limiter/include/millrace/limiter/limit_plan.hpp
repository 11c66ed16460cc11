#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/limit_steps.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/limiter/limiter.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// Limits as one step of a transaction with others: a job is enqueued only if its user's budget has
/// room, and what is charged is charged only if the job is there.
namespace millrace {

/// What is to become of limits in a transaction.
struct limit_plan {
  /// What is committed, at most one a transaction. Of calendar budgets the periods are those of the
  /// last `limit_planner::ready`.
  engine::step step;
  std::string project;
  std::string policy;
  std::vector<wanted_limit> limits;
  engine::take_mode mode{engine::take_mode::all};
  /// A list of the policy lets it through: the step only keeps its place.
  bool listed{false};
};

/// Makes steps of what a limiter knows.
///
/// Guarantees: a take that the limits do not allow refuses its transaction (limit_reached,
///             limit_blocked); what is committed with it happens exactly if it is charged. Shares
///             (`lease`) are not used, and `when_down` says nothing: without the store nothing of
///             a transaction happens. A refusal counts for no penalty.
/// Threading:  every member from any thread.
/// Lifetime:   the limiter outlives it.
class limit_planner final {
public:
  explicit limit_planner(limiter& of) noexcept : of_(of) {}

  /// Errors: those of `limiter::take` that hang on no store; forbidden (limit_denied).
  [[nodiscard]] result<limit_plan> take(limit_request what, engine::take_mode mode);
  /// Errors, here and below: those of the limiter's members of the same name.
  [[nodiscard]] result<limit_plan> refund(limit_request what, std::optional<timestamp> taken_at);
  [[nodiscard]] result<limit_plan> settle(limit_request what, std::uint64_t used,
                                          std::optional<timestamp> taken_at);
  [[nodiscard]] result<limit_plan> renew(limit_request what, std::uint64_t permit);
  [[nodiscard]] result<limit_plan> release(limit_request what, std::uint64_t permit);
  [[nodiscard]] static limit_plan block(std::string project, std::string scope, std::string id,
                                        duration length);

  /// Before it is committed. Errors: those of a calendar budget without a sound zone.
  [[nodiscard]] result<void> ready(limit_plan& plan) const;
  /// After limit_period_moved: it is to be readied and committed once more.
  [[nodiscard]] awaitable<result<void>> follow_clock();

  /// It was committed, and has come to this. `replayed`: by an earlier request with its idempotency
  /// key, and is not counted again.
  [[nodiscard]] limit_answer done(const limit_plan& plan, const engine::limits_checked& came_to,
                                  bool replayed);
  /// The transaction was refused for its limits: how they are now, `allowed` false.
  [[nodiscard]] awaitable<result<limit_answer>> refused(limit_plan plan);

private:
  void keep(const limit_plan& plan, const engine::limits_checked& came_to);
  template <class Step>
  [[nodiscard]] result<limit_plan> of_permit(limit_request what, std::uint64_t permit);

  limiter& of_;
};

}  // namespace millrace
