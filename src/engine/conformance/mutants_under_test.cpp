#include <millrace/base/assert.hpp>
#include <millrace/conformance/conformance.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <algorithm>
#include <functional>
#include <utility>

/// Engines that are broken on purpose, each in one way: a suite that passes on them proves nothing.
/// CMakeLists.txt lists which tests have to fail on which.
namespace millrace::conformance {
namespace {

using namespace engine;

/// The model with one defect, put into what it is asked or into what it answers.
class mutant_store final : public engine::store {
public:
  struct defect {
    std::function<void(transaction&, engine::store& model)> in_question = [](auto&, auto&) {};
    std::function<void(commit_result&)> in_answer = [](auto&) {};
    /// Each step is committed by itself.
    bool tears_transactions{false};
  };

  mutant_store(const clock_source& clock, defect what)
      : model_({.clock = &clock, .cache_bytes_max = cache_bytes_under_test}),
        what_(std::move(what)) {}

  void submit(std::vector<transaction> batch, commit_handler done) override {
    std::vector<commit_result> results;
    for (transaction& one : batch) {
      what_.in_question(one, model_);
      results.push_back(commit(std::move(one)));
      what_.in_answer(results.back());
    }
    done(std::move(results));
  }
  void ask(query what, answer_handler done) override {
    model_.ask(std::move(what), std::move(done));
  }
  wakeups& hints() noexcept override { return model_.hints(); }
  store_traits traits() const noexcept override { return model_.traits(); }

private:
  commit_result commit(transaction what) {
    if (!what_.tears_transactions) return blocking::commit(model_, std::move(what));
    committed all{.level = durability::memory};
    for (std::size_t i = 0; i < what.steps.size(); ++i) {
      transaction one{.level = what.level};
      one.steps.push_back(std::move(what.steps[i]));
      commit_result done = blocking::commit(model_, std::move(one));
      if (!done) return std::unexpected(refusal{std::move(done.error().why), i});
      all.outcomes.push_back(std::move(done->outcomes.front()));
    }
    return all;
  }

  model::model_store model_;
  defect what_;
};

// Every worker counts as the current one.
void accept_stale_tokens(transaction& one, engine::store& model) {
  for (step& each : one.steps) {
    std::visit(
        [&](auto& what) {
          if constexpr (requires { what.token, what.id; }) {
            const auto found = blocking::ask(model, find_job{what.id});
            const bool runs = found && *found && (*found)->status == job_status::running;
            if (runs) what.token = (*found)->token;
          }
        },
        each);
  }
}

void forget_unique_keys(transaction& one, engine::store&) {
  for (step& each : one.steps) {
    if (auto* what = std::get_if<enqueue_job>(&each)) what->spec.unique.reset();
  }
}

void run_a_microsecond_early(transaction& one, engine::store&) {
  for (step& each : one.steps) {
    auto* what = std::get_if<enqueue_job>(&each);
    if (what != nullptr && what->spec.delay > std::chrono::seconds{1}) {
      what->spec.delay -= std::chrono::microseconds{1};
    }
  }
}

void hand_out_backwards(commit_result& done) {
  if (!done) return;
  for (outcome& each : done->outcomes) {
    if (auto* leased = std::get_if<jobs_leased>(&each)) std::ranges::reverse(leased->jobs);
  }
}

class opened_mutant final : public opened_engine {
public:
  opened_mutant(const clock_source& clock, mutant_store::defect what)
      : store_(clock, std::move(what)) {}
  engine::store& store() override { return store_; }
  void end(ending) override { MILLRACE_ASSERT(false); }
  void open_again() override { MILLRACE_ASSERT(false); }

private:
  mutant_store store_;
};

engine_case mutant(std::string name, mutant_store::defect what) {
  return {std::move(name), [what = std::move(what)](manual_clock& clock) {
            return std::make_unique<opened_mutant>(clock, what);
          }};
}

}  // namespace

std::vector<engine_case> engines_under_test() {
  return {mutant("AcceptsStaleTokens", {.in_question = accept_stale_tokens}),
          mutant("ForgetsUniqueKeys", {.in_question = forget_unique_keys}),
          mutant("IsEarly", {.in_question = run_a_microsecond_early}),
          mutant("HandsOutBackwards", {.in_answer = hand_out_backwards}),
          mutant("TearsTransactions", {.tears_transactions = true})};
}

std::vector<engine_case> reopenable_engines_under_test() { return {}; }

}  // namespace millrace::conformance
