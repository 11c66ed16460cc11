#pragma once

#include "describe.hpp"
#include "operation.hpp"

#include <millrace/base/clock.hpp>
#include <millrace/conformance/conformance.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace millrace::conformance {

/// Does the same on the model and on an engine, step by step, and tells where they part.
///
/// Requires: both are empty and read the same clock. Runs with a restart: the engine keeps its
/// data.
class twin_run final {
public:
  twin_run(model::model_store& model, opened_engine& under_test, manual_clock& clock);

  /// What differs, with the operation after which it does; empty when the two behave the same.
  [[nodiscard]] std::optional<std::string> difference(const std::vector<operation>& run);

private:
  struct side {
    engine::store* store;
    describer seen;
  };
  using found = std::optional<std::string>;

  [[nodiscard]] found difference_at(const std::vector<operation>& run, std::size_t& next);
  /// Commits operations as one batch on both sides.
  [[nodiscard]] found commit(const std::vector<std::vector<operation>>& transactions);
  [[nodiscard]] static found compare_hints(const engine::transaction& asked,
                                           const engine::commit_result& model,
                                           const engine::commit_result& under_test);
  [[nodiscard]] found compare_state();
  [[nodiscard]] found compare_listing(const engine::queue_key& queue,
                                      std::optional<engine::job_status> status);
  [[nodiscard]] found compare_job(std::size_t number);
  [[nodiscard]] found compare_correlated(const std::string& id);
  [[nodiscard]] found ask_both(engine::query model, engine::query under_test,
                               const std::string& name);
  [[nodiscard]] found ask_both(const engine::query& what, const std::string& name);
  [[nodiscard]] found offences() const;
  /// Of what engines may forget when they are opened, both begin anew.
  [[nodiscard]] found forget_fleeting();
  void restart(const operation& op);
  /// The step as one side has to be told it: ids, tokens and versions are its own.
  [[nodiscard]] engine::step step_of(const operation& op, const side& on) const;
  [[nodiscard]] engine::step step_of_run(const operation& op, const side& on) const;
  [[nodiscard]] engine::step step_of_cron(const operation& op, const side& on) const;
  // twin_cache.cpp
  [[nodiscard]] static engine::step step_of_cache(const operation& op, const side& on);
  [[nodiscard]] found compare_cache();
  [[nodiscard]] engine::step step_of_limits(const operation& op, const side& on) const;
  [[nodiscard]] engine::transaction transaction_of(const std::vector<operation>& steps,
                                                   const side& on) const;
  template <class Listing>
  [[nodiscard]] static std::string list_all(side& on, Listing what);

  model::model_store& reference_;
  opened_engine& engine_;
  side model_;
  side under_test_;
  manual_clock& clock_;
};

}  // namespace millrace::conformance
