#pragma once

#include <millrace/engine/store.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace millrace::embedded {

/// Drives a store with random work and writes down what it was answered, apart from the store; then
/// compares. For tests of what survives.
///
/// A job whose last step was answered with `outcome_unknown` may be in either state.
class ledger_run final {
public:
  explicit ledger_run(std::uint64_t seed) : chance_(seed) {}

  /// One random step of work. `durable` false: only at level async.
  void step(engine::store& on, engine::durability level = engine::durability::durable);

  /// After a loss of leases: takes from the store which jobs run still.
  void forget_leases(engine::store& with);

  /// What the store holds against what it said; empty when all is well. With `leases_kept` every
  /// lease must be live too; without, a job that ran may also be available again.
  [[nodiscard]] std::optional<std::string> compare(engine::store& with, bool leases_kept) const;

  /// Answers of each kind so far.
  [[nodiscard]] std::uint64_t done() const noexcept { return done_; }
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }
  [[nodiscard]] std::uint64_t unknown() const noexcept { return unknown_; }
  /// A refusal that no fault explains.
  [[nodiscard]] const std::optional<std::string>& surprise() const noexcept { return surprise_; }

private:
  enum class state : std::uint8_t { waiting, running, completed, dead, cancelled, gone };
  struct record {
    state now{state::waiting};
    /// The last step may or may not have happened: then it would be this.
    std::optional<state> perhaps;
    std::uint64_t token{0};
    std::string data;
    std::string result;
  };

  void enqueue(engine::store& on, engine::durability level);
  void lease(engine::store& on, engine::durability level);
  void end_run(engine::store& on, engine::durability level);
  void end_and_lease(engine::store& on);
  void cancel_or_delete(engine::store& on, engine::durability level);
  void note_leased(const engine::jobs_leased& leased);
  /// Counts the answer; true when the step happened. Of an unknown one `perhaps` is noted.
  bool take(const engine::commit_result& answer, const engine::job_id& id,
            std::optional<state> perhaps);
  [[nodiscard]] std::optional<engine::job_id> any(state in);
  [[nodiscard]] std::optional<std::string> compare_job(engine::store& with,
                                                       const engine::job_id& id,
                                                       const record& expected,
                                                       bool leases_kept) const;

  std::mt19937_64 chance_;
  std::map<engine::job_id, record> jobs_;
  std::uint64_t made_{0};
  std::uint64_t done_{0};
  std::uint64_t refused_{0};
  std::uint64_t unknown_{0};
  /// Some transaction that may have leased was answered so: whatever waits may also run.
  bool lease_unknown_{false};
  std::optional<std::string> surprise_;
};

}  // namespace millrace::embedded
