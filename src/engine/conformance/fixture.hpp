#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/conformance/conformance.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine/store.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// What every suite shares: an engine on a manual clock, and short words for one step.
namespace millrace::conformance {

using namespace std::chrono_literals;
using namespace engine;

/// What a step comes to.
template <class Step>
struct outcome_of {
  using type = job_changed;
};
template <>
struct outcome_of<enqueue_job> {
  using type = job_enqueued;
};
template <>
struct outcome_of<lease_jobs> {
  using type = jobs_leased;
};
template <>
struct outcome_of<extend_lease> {
  using type = lease_extended;
};
template <>
struct outcome_of<purge_jobs> {
  using type = jobs_purged;
};
template <>
struct outcome_of<configure_queue> {
  using type = queue_configured;
};
template <>
struct outcome_of<put_cron> {
  using type = cron_fired;
};
template <>
struct outcome_of<delete_cron> {
  using type = cron_fired;
};
template <>
struct outcome_of<fire_cron> {
  using type = cron_fired;
};
template <>
struct outcome_of<publish_event> {
  using type = event_published;
};
template <>
struct outcome_of<configure_stream> {
  using type = stream_configured;
};
template <>
struct outcome_of<acquire_lock> {
  using type = lock_answer;
};
template <>
struct outcome_of<extend_lock> {
  using type = lock_answer;
};
template <>
struct outcome_of<release_lock> {
  using type = lock_answer;
};
template <>
struct outcome_of<put_progress> {
  using type = progress_changed;
};
template <>
struct outcome_of<delete_progress> {
  using type = progress_changed;
};
template <>
struct outcome_of<put_agent> {
  using type = agent_changed;
};
template <>
struct outcome_of<put_connection> {
  using type = connection_changed;
};
template <>
struct outcome_of<drop_connection> {
  using type = connection_changed;
};

template <>
struct outcome_of<put_cache> {
  using type = cache_stored;
};
template <>
struct outcome_of<claim_cache> {
  using type = cache_claimed;
};
template <>
struct outcome_of<renew_claim> {
  using type = cache_claimed;
};
template <>
struct outcome_of<release_claim> {
  using type = cache_dropped;
};
template <>
struct outcome_of<delete_cache> {
  using type = cache_dropped;
};
template <>
struct outcome_of<invalidate_tag> {
  using type = cache_dropped;
};
template <>
struct outcome_of<delete_matching> {
  using type = cache_dropped;
};
template <>
struct outcome_of<clear_cache> {
  using type = cache_dropped;
};

template <>
struct outcome_of<take_limits> {
  using type = limits_checked;
};
template <>
struct outcome_of<refund_limits> {
  using type = limits_checked;
};
template <>
struct outcome_of<reset_limits> {
  using type = limits_checked;
};
template <>
struct outcome_of<block_limit> {
  using type = limits_checked;
};
template <>
struct outcome_of<renew_limit_permit> {
  using type = limits_checked;
};
template <>
struct outcome_of<release_limit_permit> {
  using type = limits_checked;
};

template <>
struct outcome_of<create_session> {
  using type = session_changed;
};
template <>
struct outcome_of<touch_session> {
  using type = session_changed;
};
template <>
struct outcome_of<change_session> {
  using type = session_changed;
};
template <>
struct outcome_of<rotate_session> {
  using type = session_changed;
};
template <>
struct outcome_of<end_session> {
  using type = session_changed;
};
template <>
struct outcome_of<end_user_sessions> {
  using type = sessions_ended;
};

template <>
struct outcome_of<pass_fence> {
  using type = fence_passed;
};
template <>
struct outcome_of<put_group> {
  using type = group_changed;
};
template <>
struct outcome_of<delete_group> {
  using type = group_changed;
};
template <>
struct outcome_of<read_group> {
  using type = group_read;
};
template <>
struct outcome_of<settle_deliveries> {
  using type = deliveries_settled;
};

inline const queue_key work{.name = "work"};
inline const queue_key other{.name = "other"};

class engine_fixture : public testing::Test {
protected:
  explicit engine_fixture(const engine_case& on) : engine_(on.open(clock_)) {}

  [[nodiscard]] engine::store& store() { return engine_->store(); }
  [[nodiscard]] manual_clock& clock() { return clock_; }
  [[nodiscard]] timestamp now() const { return clock_.now(); }
  void advance(duration by) { clock_.advance(by); }
  /// Ends the engine and opens it again after it was `away`.
  void restart(ending how, duration away = 0s) {
    engine_->end(how);
    advance(away);
    engine_->open_again();
  }

  /// Ends the engine and opens it with other defaults for what queues leave to the store.
  void change_defaults(const queue_settings& to) {
    engine_->end(ending::closed);
    engine_->open_again_with(to);
  }

  [[nodiscard]] commit_result commit(transaction what) {
    return engine::blocking::commit(store(), std::move(what));
  }
  /// Several steps as one.
  template <class... Steps>
  [[nodiscard]] commit_result commit_all(Steps... steps) {
    transaction one;
    (one.steps.push_back(std::move(steps)), ...);
    return commit(std::move(one));
  }

  /// One step that must succeed.
  template <class Step>
  typename outcome_of<Step>::type run(Step step) {
    using outcome_type = typename outcome_of<Step>::type;
    const commit_result done = commit_all(std::move(step));
    if (!done) {
      ADD_FAILURE() << "refused: " << done.error().why.code << ": " << done.error().why.detail;
      return outcome_type{};
    }
    const auto* const outcome = std::get_if<outcome_type>(&done->outcomes.at(0));
    if (outcome != nullptr) return *outcome;
    ADD_FAILURE() << "the outcome is of another step";
    return outcome_type{};
  }

  /// The machine word of why a step is refused; "done" when it is not.
  template <class Step>
  [[nodiscard]] std::string refusal_of(Step step) {
    return word(commit_all(std::move(step)));
  }
  [[nodiscard]] static std::string word(const commit_result& done) {
    return done ? std::string("done") : std::string(done.error().why.code);
  }

  template <class Query>
  typename Query::answer ask(Query what) {
    auto answer = engine::blocking::ask(store(), std::move(what));
    if (answer) return std::move(*answer);
    ADD_FAILURE() << "not answered: " << answer.error().code;
    return {};
  }

  /// The machine word of why a query is not answered; "done" when it is.
  template <class Query>
  [[nodiscard]] std::string word_of(Query what) {
    const auto answer = engine::blocking::ask(store(), std::move(what));
    return answer ? std::string("done") : std::string(answer.error().code);
  }

  // The cache.

  /// The entry of a key, if it is fresh; or `read_cache` as it is given.
  [[nodiscard]] std::optional<cache_entry> cached(std::string key) {
    return cached(read_cache{.keys = {std::move(key)}});
  }
  [[nodiscard]] std::optional<cache_entry> cached(read_cache what) {
    return ask(std::move(what)).entries.at(0);
  }

  // Jobs.

  job enqueue(job_spec spec = {}, queue_key queue = work) {
    return run(enqueue_job{.queue = std::move(queue), .spec = std::move(spec)}).made;
  }
  /// Jobs whose `type` tells them apart.
  job enqueue_named(std::string name, queue_key queue = work) {
    return enqueue({.type = std::move(name)}, std::move(queue));
  }
  [[nodiscard]] std::vector<leased_job> lease(std::uint32_t max, queue_key queue = work) {
    return run(lease_jobs{.queues = {std::move(queue)}, .max = max}).jobs;
  }
  /// The next job, which has to be there.
  leased_job lease_one(lease_jobs step = {.queues = {work}}) {
    auto leased = run(std::move(step));
    if (!leased.jobs.empty()) return leased.jobs.front();
    ADD_FAILURE() << "no job was handed out";
    return {};
  }
  /// A new job and its first run.
  leased_job begin_run(job_spec spec = {}) {
    enqueue(std::move(spec));
    return lease_one();
  }
  /// Every job that is available, by type, in the order in which they are handed out.
  [[nodiscard]] std::vector<std::string> drain(queue_key queue = work) {
    std::vector<std::string> types;
    for (const leased_job& one : lease(1000, std::move(queue))) types.push_back(one.what.spec.type);
    return types;
  }
  job_changed ack(const leased_job& run_of, std::string result = "null") {
    return run(ack_job{.id = run_of.what.id, .token = run_of.token, .result = std::move(result)});
  }
  job_changed fail(const leased_job& run_of, std::string error = "it broke") {
    return run(fail_job{.id = run_of.what.id, .token = run_of.token, .error = std::move(error)});
  }
  /// A job that has died of this error.
  job kill_job(std::string error = "it broke", job_spec spec = {}, queue_key queue = work) {
    const job made = enqueue(std::move(spec), queue);
    const leased_job run_of = lease_one({.queues = {queue}});
    run(fail_job{
        .id = run_of.what.id, .token = run_of.token, .error = std::move(error), .permanent = true});
    return made;
  }

  [[nodiscard]] job look(const job_id& id) {
    const std::optional<job> found = ask(find_job{id});
    if (found) return *found;
    ADD_FAILURE() << "there is no job " << id.text();
    return {};
  }
  [[nodiscard]] bool exists(const job_id& id) { return ask(find_job{id}).has_value(); }
  [[nodiscard]] job_status status_of(const job_id& id) { return look(id).status; }
  [[nodiscard]] queue_info info(const queue_key& queue = work) {
    const std::optional<queue_info> found = ask(find_queue{queue});
    if (found) return *found;
    ADD_FAILURE() << "there is no queue " << queue.name;
    return {};
  }
  [[nodiscard]] std::vector<job_id> listed(const queue_key& queue, job_filter filter = {}) {
    std::vector<job_id> ids;
    for (const job& one : ask(list_jobs{.queue = queue, .filter = std::move(filter)}).items) {
      ids.push_back(one.id);
    }
    return ids;
  }
  void configure(const queue_settings& settings, queue_key queue = work) {
    run(configure_queue{.queue = std::move(queue), .settings = settings});
  }
  /// Commits and asks a few times: an engine may sweep what is old in pieces, with later commits.
  void settle() {
    for (int i = 0; i < 50; ++i) {
      run(configure_queue{.queue = {.name = "settle"}, .paused = true});
    }
  }

private:
  manual_clock clock_;
  std::unique_ptr<opened_engine> engine_;
};

/// A test that runs on every engine.
class engine_test : public engine_fixture, public testing::WithParamInterface<engine_case> {
protected:
  engine_test() : engine_fixture(GetParam()) {}
};

/// For the messages of failed tests.
inline void PrintTo(const engine_case& which, std::ostream* out) { *out << which.name; }

[[nodiscard]] inline std::string case_name(const testing::TestParamInfo<engine_case>& info) {
  return info.param.name;
}

}  // namespace millrace::conformance

/// A suite that runs on every engine.
// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): gtest's own macros take names.
#define MILLRACE_CONFORMANCE_SUITE(suite)                                                      \
  class suite : public ::millrace::conformance::engine_test {};                                \
  INSTANTIATE_TEST_SUITE_P(Engine, suite,                                                      \
                           ::testing::ValuesIn(::millrace::conformance::engines_under_test()), \
                           ::millrace::conformance::case_name)
