#include "exec_outcome.hpp"
#include "http_outcome.hpp"
#include "run_clock.hpp"
#include "run_outcome.hpp"

#include <millrace/worker/concurrency_policy.hpp>
#include <millrace/worker/limits.hpp>

#include <gtest/gtest.h>

#include <csignal>
#include <stdexcept>
#include <string>
#include <variant>

namespace millrace::worker_detail {
namespace {

using namespace std::chrono_literals;
using action = run_clock::action;
const run_clock::time_point start{};

// --- time limits ---------------------------------------------------------------------------------

TEST(RunLimits, AreThoseOfTheWorkerWhereTheJobHasNone) {
  const run_limits limits = run_limits{.soft = 1500s, .hard = 1800s}.cut_to(duration{0});
  EXPECT_EQ(limits.soft, 1500s);
  EXPECT_EQ(limits.hard, 1800s);
}

TEST(RunLimits, EndBeforeTheTimeoutOfTheJob) {
  const run_limits limits = run_limits{.soft = 1500s, .hard = 1800s}.cut_to(60s);
  EXPECT_EQ(limits.hard, 59s);
  EXPECT_EQ(limits.soft, duration{59s} * 5 / 6);
  EXPECT_EQ((run_limits{.soft = 1500s, .hard = 1800s}.cut_to(2s).hard), 1800ms);
}

TEST(RunLimits, StayWhereTheTimeoutIsLonger) {
  EXPECT_EQ((run_limits{.soft = 1s, .hard = 2s}.cut_to(1h).hard), 2s);
  EXPECT_EQ((run_limits{.soft = 0s, .hard = 0s}.cut_to(10s).hard), 9s);
}

TEST(RunClock, AsksAtTheSoftLimitForcesAtTheHardOneAndThenGivesUp) {
  run_clock clock{start, {.soft = 10s, .hard = 20s}};
  EXPECT_EQ(clock.next(), start + 10s);
  EXPECT_EQ(clock.take_due(start + 9s).what, action::none);
  const auto soft = clock.take_due(start + 10s);
  EXPECT_EQ(soft.what, action::ask);
  EXPECT_EQ(soft.why, stop_reason::soft_limit);
  EXPECT_EQ(clock.take_due(start + 11s).what, action::none);
  const auto hard = clock.take_due(start + 20s);
  EXPECT_EQ(hard.what, action::force);
  EXPECT_EQ(hard.why, stop_reason::hard_limit);
  EXPECT_EQ(clock.next(), start + 20s + return_grace);
  EXPECT_EQ(clock.take_due(start + 20s + return_grace).what, action::abandon);
  EXPECT_EQ(clock.next(), run_clock::time_point::max());
}

TEST(RunClock, ForcesWhatDoesNotHeedARequestInItsGrace) {
  run_clock clock{start, {.soft = 100s, .hard = 200s}};
  clock.asked(stop_reason::cancelled, start + 1s, 5s);
  EXPECT_EQ(clock.next(), start + 6s);
  const auto due = clock.take_due(start + 6s);
  EXPECT_EQ(due.what, action::force);
  EXPECT_EQ(due.why, stop_reason::cancelled);
}

TEST(RunClock, DoesNotLengthenAGraceByAskingAgain) {
  run_clock clock{start, {}};
  clock.asked(stop_reason::cancelled, start, 5s);
  clock.asked(stop_reason::shutdown, start + 4s, 5s);
  EXPECT_EQ(clock.next(), start + 5s);
}

// --- what is told to the source ------------------------------------------------------------------

engine::leased_job leased() {
  engine::leased_job one;
  one.what.id = {.tag = "q", .stamp = 7};
  one.token = 99;
  return one;
}

settle_step told(handler_result said, stop_reason why = stop_reason::none) {
  return step_for(
      leased(),
      {.said = std::move(said), .stopped_for = why, .limits = {.soft = 1500s, .hard = 1800s}});
}

TEST(StepFor, AcknowledgesASuccessEvenWhenTheRunWasAskedToStop) {
  for (const auto why : {stop_reason::none, stop_reason::shutdown, stop_reason::cancelled}) {
    const auto step = told(job_succeeded{"{\"a\":1}"}, why);
    ASSERT_TRUE(std::holds_alternative<engine::ack_job>(step));
    const auto& ack = std::get<engine::ack_job>(step);
    EXPECT_EQ(ack.result, "{\"a\":1}");
    EXPECT_EQ(ack.token, 99U);
  }
}

TEST(StepFor, FailsForGoodWhatIsNoResult) {
  for (const auto& result : {std::string{"{oops"}, std::string(1100000, ' ') + "1"}) {
    const auto step = told(job_succeeded{result});
    ASSERT_TRUE(std::holds_alternative<engine::fail_job>(step));
    EXPECT_TRUE(std::get<engine::fail_job>(step).permanent);
  }
}

TEST(StepFor, NamesTheLimitThatEndedTheRun) {
  const auto step = told(job_failed{"killed by SIGKILL (9)"}, stop_reason::hard_limit);
  EXPECT_EQ(std::get<engine::fail_job>(step).error,
            "hard time limit of 30m exceeded: killed by SIGKILL (9)");
}

TEST(StepFor, HandsBackWhatTheStopOfTheWorkerMadeFail) {
  const auto step = told(job_failed{"killed by SIGTERM (15)"}, stop_reason::shutdown);
  ASSERT_TRUE(std::holds_alternative<engine::snooze_job>(step));
  EXPECT_EQ(std::get<engine::snooze_job>(step).delay, duration{0});
}

TEST(StepFor, KeepsAPermanentFailureWhileStopping) {
  const auto step = told(job_failed{.error = "bad file", .permanent = true}, stop_reason::shutdown);
  EXPECT_TRUE(std::holds_alternative<engine::fail_job>(step));
}

TEST(StepFor, SnoozesForAsLongAsTheHandlerSays) {
  const auto step = told(job_snoozed{90s});
  EXPECT_EQ(std::get<engine::snooze_job>(step).delay, 90s);
}

TEST(StepFor, KeepsAnErrorText) {
  const auto step = told(job_failed{std::string("a\0b\xff", 4)});
  EXPECT_EQ(std::get<engine::fail_job>(step).error, "a b\xef\xbf\xbd");
}

TEST(FailureOf, TellsWhatWasThrown) {
  EXPECT_EQ(failure_of(std::make_exception_ptr(std::runtime_error{"no disk"})).error, "no disk");
  EXPECT_FALSE(failure_of(std::make_exception_ptr(7)).error.empty());
}

TEST(Classify, SeparatesLostFromLaterFromWrong) {
  const auto of = [](errc kind) { return classify(error{.kind = kind}); };
  EXPECT_EQ(of(errc::conflict), delivery::lost);
  EXPECT_EQ(of(errc::not_found), delivery::lost);
  EXPECT_EQ(of(errc::unavailable), delivery::again);
  EXPECT_EQ(of(errc::outcome_unknown), delivery::again);
  EXPECT_EQ(of(errc::too_large), delivery::refused);
}

// --- programs ------------------------------------------------------------------------------------

program_end exited(int status) { return {.how = program_end::way::exited, .value = status}; }

stderr_tail saying(std::string_view text) {
  stderr_tail tail;
  tail.feed(text);
  return tail;
}

TEST(ExecOutcome, TakesThePrintedResultOfExitStatusZero) {
  const auto outcome = exec_outcome(exited(0), "{\"n\":1}", saying("a warning"));
  ASSERT_TRUE(std::holds_alternative<job_succeeded>(outcome));
  EXPECT_EQ(std::get<job_succeeded>(outcome).result, "{\"n\":1}");
}

TEST(ExecOutcome, FailsForGoodWhenTheResultIsTooLarge) {
  const auto outcome = exec_outcome(
      exited(0), fail(errc::too_large, "result_too_large", "result_too_large: …"), saying(""));
  EXPECT_TRUE(std::get<job_failed>(outcome).permanent);
}

TEST(ExecOutcome, ReadsTheExitStatus) {
  const auto failure = [](int status) {
    return std::get<job_failed>(
        exec_outcome(exited(status), "null", saying("why\nRetry-In: 30\n")));
  };
  EXPECT_TRUE(failure(65).permanent);
  EXPECT_EQ(failure(65).retry_in, std::nullopt);
  EXPECT_FALSE(failure(75).permanent);
  EXPECT_EQ(failure(75).retry_in, 30s);
  EXPECT_FALSE(failure(1).permanent);
  EXPECT_EQ(failure(1).retry_in, std::nullopt);
  EXPECT_EQ(failure(1).error, "why");
}

TEST(ExecOutcome, SaysTheStatusOfASilentFailure) {
  EXPECT_EQ(std::get<job_failed>(exec_outcome(exited(3), "null", saying(""))).error,
            "exit status 3, and nothing on stderr");
}

TEST(ExecOutcome, NamesTheSignal) {
  const auto outcome = exec_outcome({.how = program_end::way::signalled, .value = SIGSEGV}, "null",
                                    saying("in frame 3"));
  EXPECT_EQ(std::get<job_failed>(outcome).error, "killed by SIGSEGV (11)\nin frame 3");
  EXPECT_FALSE(std::get<job_failed>(outcome).permanent);
}

TEST(ExecOutcome, BoundsTheErrorWithTheLeadKept) {
  const auto outcome = exec_outcome({.how = program_end::way::signalled, .value = SIGKILL}, "null",
                                    saying(std::string(100'000, 'e')));
  const std::string& text = std::get<job_failed>(outcome).error;
  EXPECT_LE(text.size(), 8192U);
  EXPECT_TRUE(text.starts_with("killed by SIGKILL (9)\neee"));
}

// --- webhooks ------------------------------------------------------------------------------------

client::response answer(unsigned status, std::string body = {},
                        std::vector<client::header> headers = {}) {
  return {.status = status, .headers = std::move(headers), .body = std::move(body)};
}

TEST(HttpOutcome, TakesTheBodyOfASuccessAsResult) {
  EXPECT_EQ(std::get<job_succeeded>(http_outcome(answer(200, "{\"a\": 1}\n"))).result,
            "{\"a\": 1}");
  EXPECT_EQ(std::get<job_succeeded>(http_outcome(answer(202, "thanks"))).result, "\"thanks\"");
  EXPECT_EQ(std::get<job_succeeded>(http_outcome(answer(204))).result, "null");
}

TEST(HttpOutcome, TellsPermanentFromTransient) {
  for (const unsigned status : {400U, 401U, 404U, 410U, 422U}) {
    EXPECT_TRUE(std::get<job_failed>(http_outcome(answer(status))).permanent) << status;
  }
  for (const unsigned status : {301U, 307U, 408U, 409U, 425U, 429U, 500U, 503U}) {
    EXPECT_FALSE(std::get<job_failed>(http_outcome(answer(status))).permanent) << status;
  }
}

TEST(HttpOutcome, KeepsToRetryAfter) {
  const auto busy = http_outcome(answer(429, "slow down", {{"retry-after", "120"}}));
  EXPECT_EQ(std::get<job_failed>(busy).retry_in, 120s);
  EXPECT_EQ(std::get<job_failed>(busy).error, "HTTP 429: slow down");
  const auto gone = http_outcome(answer(410, "", {{"Retry-After", "120"}}));
  EXPECT_EQ(std::get<job_failed>(gone).retry_in, std::nullopt);
}

TEST(HttpOutcome, SaysWhereARedirectLeadsAndDoesNotFollow) {
  const auto moved = http_outcome(answer(302, "", {{"Location", "http://other/"}}));
  EXPECT_NE(std::get<job_failed>(moved).error.find("http://other/ is not followed"),
            std::string::npos);
}

// --- concurrency ---------------------------------------------------------------------------------

TEST(ConcurrencyPolicy, DoublesWhileMoreIsThereUpToTheMaximum) {
  concurrency_policy policy{{.min = 1, .max = 6, .calm = 10s}};
  EXPECT_EQ(policy.current(), 1U);
  EXPECT_EQ(policy.observe({.asked = 1, .got = 1, .waited = false}, start), 2U);
  EXPECT_EQ(policy.observe({.asked = 2, .got = 2, .waited = false}, start), 4U);
  EXPECT_EQ(policy.observe({.asked = 4, .got = 4, .waited = false}, start), 6U);
}

TEST(ConcurrencyPolicy, LowersOnlyAfterACalmTime) {
  concurrency_policy policy{{.min = 2, .max = 8, .calm = 10s}};
  policy.observe({.asked = 2, .got = 2, .waited = false}, start + 1s);
  policy.observe({.asked = 2, .got = 2, .waited = false}, start + 1s);
  ASSERT_EQ(policy.current(), 8U);
  EXPECT_EQ(policy.observe({.asked = 4, .got = 0, .waited = true}, start + 10s), 8U);
  EXPECT_EQ(policy.observe({.asked = 4, .got = 1, .waited = false}, start + 11s), 4U);
  EXPECT_EQ(policy.observe({.asked = 4, .got = 1, .waited = true}, start + 20s), 4U);
  EXPECT_EQ(policy.observe({.asked = 4, .got = 1, .waited = true}, start + 21s), 2U);
  EXPECT_EQ(policy.observe({.asked = 4, .got = 1, .waited = true}, start + 60s), 2U);
}

// A job that came after a wait is no sign of more, even when it is all that was asked for.
TEST(ConcurrencyPolicy, DoesNotTakeALateJobForABacklog) {
  concurrency_policy policy{{.min = 1, .max = 4, .calm = 10s}};
  EXPECT_EQ(policy.observe({.asked = 1, .got = 1, .waited = true}, start + 1s), 1U);
}

}  // namespace
}  // namespace millrace::worker_detail
