#include <millrace/worker/exec_runner.hpp>

#include "testing_runs.hpp"

#include <millrace/base/json.hpp>
#include <millrace/worker/limits.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <variant>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

std::unique_ptr<exec_runner> runner_of(exec_options options) {
  auto made = exec_runner::create(std::move(options));
  MILLRACE_ASSERT(made.has_value());
  return std::move(*made);
}

class ExecRunner : public testing::Test {
protected:
  handler_result run_script(const std::string& text, exec_options with = {}) {
    with.command.insert(with.command.begin(), folder_.script("job.sh", text));
    return run_(runner_of(std::move(with))->handler());
  }
  std::string result_of(const std::string& text, exec_options with = {}) {
    const auto outcome = run_script(text, std::move(with));
    const auto* success = std::get_if<job_succeeded>(&outcome);
    return success != nullptr ? success->result : "failed: " + std::get<job_failed>(outcome).error;
  }
  job_failed failure_of(const std::string& text) {
    const auto outcome = run_script(text);
    const auto* failure = std::get_if<job_failed>(&outcome);
    return failure != nullptr ? *failure : job_failed{"it succeeded"};
  }
  // As soon as the script has said that it is ready.
  void stop_when_ready(stop_urgency urgency, stop_reason why) {
    run_.on_report = [urgency, why](worker_detail::run_control& run) { run.stop(urgency, why); };
  }

  temp_folder folder_;
  one_run run_;
};

// --- the contract --------------------------------------------------------------------------------

TEST_F(ExecRunner, GivesTheJobOnStdinAndTakesTheLastLineAsResult) {
  run_.job = test_job("{\"n\":\n1}");
  const auto result = parse_json(result_of("echo first; cat; echo\n"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->at("data").at("n").get_int64(), 1);
  EXPECT_EQ(result->at("token").get_int64(), 17);
  EXPECT_EQ(run_.logged(), "first\n");
}

TEST_F(ExecRunner, GivesOneLineAndThenTheEnd) {
  EXPECT_EQ(result_of("read -r line; read -r more; echo \"$? $(echo \"$line\" | wc -l)\""),
            "\"1 1\"");
}

TEST_F(ExecRunner, GivesTheDataAloneWhenAskedTo) {
  run_.job = test_job("[1,\n2]");
  EXPECT_EQ(result_of("cat", {.input = exec_input::data}), "[1, 2]");
}

TEST_F(ExecRunner, TellsTheJobInTheEnvironment) {
  ::setenv("MILLRACE_TOKEN", "of another job", 1);
  ::setenv("TRACEPARENT", "of another job", 1);
  run_.job.what.spec.traceparent = "00-abc-def-01";
  EXPECT_EQ(result_of("echo $MILLRACE_JOB_ID/$MILLRACE_QUEUE/$MILLRACE_TYPE/$MILLRACE_ATTEMPT/"
                      "$MILLRACE_TOKEN/$MILLRACE_CORRELATION_ID/$TRACEPARENT/$MILLRACE_URL/$MORE",
                      {.server_url = "http://127.0.0.1:7070", .environment = {{"MORE", "more"}}}),
            "\"docs~00000000001/docs/text/1/17/corr-7/00-abc-def-01/http://127.0.0.1:7070/more\"");
  ::unsetenv("MILLRACE_TOKEN");
  ::unsetenv("TRACEPARENT");
}

TEST_F(ExecRunner, PassesArgumentsWithoutAShell) {
  EXPECT_EQ(result_of("printf '%s|' \"$@\"", {.command = {"a b", "$HOME", ";", "*"}}),
            "\"a b|$HOME|;|*|\"");
}

TEST_F(ExecRunner, ReadsProgressLogAndCheckpoint) {
  EXPECT_EQ(result_of("echo '::progress 0.4 page 2'; echo '::log reading'; "
                      "echo '::checkpoint {\"page\":2}'; echo done"),
            "\"done\"");
  EXPECT_EQ(run_.report.value, 0.4);
  EXPECT_EQ(run_.report.message, "page 2");
  EXPECT_EQ(run_.logged(), "reading\n");
  EXPECT_EQ(run_.report.checkpoint, "{\"page\":2}");
}

TEST_F(ExecRunner, FailsForGoodWithExitStatus65) {
  const auto failure = failure_of("echo 'no such file' >&2; exit 65");
  EXPECT_TRUE(failure.permanent);
  EXPECT_EQ(failure.error, "no such file");
}

TEST_F(ExecRunner, RetriesWhenTheProgramSays) {
  const auto failure = failure_of("echo busy >&2; echo 'Retry-In: 30' >&2; exit 75");
  EXPECT_FALSE(failure.permanent);
  EXPECT_EQ(failure.retry_in, 30s);
  EXPECT_EQ(failure.error, "busy");
}

TEST_F(ExecRunner, FailsTransientlyWithAnyOtherStatus) {
  const auto failure = failure_of("echo oops >&2; exit 3");
  EXPECT_FALSE(failure.permanent);
  EXPECT_EQ(failure.error, "oops");
}

TEST_F(ExecRunner, NamesTheSignalThatKilledTheProgram) {
  const auto failure = failure_of("echo deep >&2; kill -SEGV $$");
  EXPECT_EQ(failure.error, "killed by SIGSEGV (11)\ndeep");
  EXPECT_FALSE(failure.permanent);
}

TEST_F(ExecRunner, SucceedsWithoutReadingItsStdin) {
  run_.job = test_job("\"" + std::string(1'000'000, 'x') + "\"");
  EXPECT_EQ(result_of("exec <&-; echo ok"), "\"ok\"");
}

TEST_F(ExecRunner, HandsOverAMebibyteBothWays) {
  run_.job = test_job("\"" + std::string(1'000'000, 'x') + "\"");
  EXPECT_EQ(result_of("cat", {.input = exec_input::data}).size(), 1'000'002U);
}

// --- programs that behave badly ------------------------------------------------------------------

TEST_F(ExecRunner, BoundsWhatAProgramPrints) {
  rusage before{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto failure = failure_of("head -c 100000000 /dev/zero | tr '\\0' x");
  rusage after{};
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_TRUE(failure.permanent);
  EXPECT_TRUE(failure.error.starts_with("result_too_large")) << failure.error;
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 40'000) << "kilobytes";
}

TEST_F(ExecRunner, KeepsTheLastOfVeryManyLines) {
  EXPECT_EQ(result_of("yes 'a line of some length, printed very often' | head -c 10000000; "
                      "echo; echo 42"),
            "42");
}

TEST_F(ExecRunner, BoundsWhatAProgramPrintsToStderr) {
  const auto failure = failure_of("head -c 20000000 /dev/zero | tr '\\0' e >&2; exit 1");
  EXPECT_LE(failure.error.size(), stderr_bytes_kept);
  EXPECT_GT(failure.error.size(), stderr_bytes_kept / 2);
}

TEST_F(ExecRunner, LetsNothingOfAProgramOutliveIt) {
  // One that stays in the group, and one that leaves it and its session, twice removed.
  EXPECT_EQ(
      result_of("sleep 1000 & echo $! >" + (folder_ / "a").string() + "; (setsid sh -c 'echo $$ >" +
                (folder_ / "b").string() + "; exec sleep 1000' &) ; while ! [ -s " +
                (folder_ / "b").string() + " ]; do :; done; echo started"),
      "\"started\"");
  for (const char* name : {"a", "b"}) {
    const pid_t pid = std::stoi(folder_.read(name));
    EXPECT_FALSE(is_alive(pid)) << name;
  }
}

TEST_F(ExecRunner, DoesNotWaitForWhoeverHoldsStdoutOpen) {
  const auto begun = steady_clock::now();
  EXPECT_EQ(result_of("setsid sleep 1000 & echo out"), "\"out\"");
  EXPECT_LT(steady_clock::now() - begun, 5s);
}

TEST_F(ExecRunner, SaysWhatCannotBeExecutedWhenItIsMade) {
  const auto refused = [](std::vector<std::string> command) {
    const auto made = exec_runner::create({.command = std::move(command)});
    return made ? error{} : made.error();
  };
  EXPECT_EQ(refused({"/no/such/program"}).code, "program_not_found");
  EXPECT_EQ(refused({"no-such-program-in-path"}).code, "program_not_found");
  EXPECT_EQ(refused({"/etc/passwd"}).code, "program_not_executable");
  EXPECT_EQ(refused({"/tmp"}).code, "program_not_executable");
  EXPECT_EQ(refused({}).field, "exec");
  EXPECT_EQ(refused({"sh", std::string("a\0b", 3)}).field, "exec");
  EXPECT_TRUE(exec_runner::create({.command = {"sh"}}).has_value());
}

TEST_F(ExecRunner, SaysWhatCannotBeExecutedAnyMore) {
  const std::string script = folder_.script("gone.sh", "echo\n");
  const auto runner = runner_of({.command = {script}});
  std::filesystem::remove(script);
  const auto outcome = run_(runner->handler());
  EXPECT_EQ(std::get<job_failed>(outcome).error,
            "the program cannot be executed: No such file or directory");
}

TEST_F(ExecRunner, LeavesNoDescriptorOpen) {
  const auto count = [] {
    return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {});
  };
  EXPECT_EQ(result_of("ls /proc/self/fd | wc -l"), "4");
  const auto before = count();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(result_of("echo 1"), "1");
  EXPECT_EQ(count(), before);
}

TEST_F(ExecRunner, LeavesNoZombie) {
  EXPECT_EQ(result_of("echo 1"), "1");
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

// --- limits and the worker's end -----------------------------------------------------------------

TEST_F(ExecRunner, AsksTheGroupWithSigterm) {
  stop_when_ready(stop_urgency::asked, stop_reason::soft_limit);
  EXPECT_EQ(result_of("trap 'echo saved; exit 0' TERM; echo '::log ready'; "
                      "while :; do sleep 0.01; done"),
            "\"saved\"");
}

TEST_F(ExecRunner, EndsAProgramThatIgnoresSigterm) {
  run_.on_report = [](worker_detail::run_control& run) {
    const bool first = run.urgency() == stop_urgency::none;
    run.stop(first ? stop_urgency::asked : stop_urgency::at_once, stop_reason::hard_limit);
  };
  const auto failure = failure_of(
      "trap 'echo ::log not now' TERM; echo '::log ready'; "
      "while :; do sleep 0.01; done");
  EXPECT_TRUE(failure.error.starts_with("killed by SIGKILL (9)")) << failure.error;
  EXPECT_EQ(run_.logged(), "ready\nnot now\n");
}

// The first half of this test is the worker: it starts a program that forks away, and is killed.
TEST_F(ExecRunner, LetsNothingOutliveAWorkerThatIsKilled) {
  const std::string script = folder_.script(
      "job.sh", "echo $$ >" + (folder_ / "a").string() + "\n(setsid sh -c 'echo $$ >" +
                    (folder_ / "b").string() + "; exec sleep 1000' &)\nsleep 1000\n");
  const pid_t worker = ::fork();
  if (worker == 0) {
    run_(runner_of({.command = {script}})->handler());
    ::_exit(0);
  }
  const auto has_started = [this] {
    return folder_.read("a").ends_with('\n') && folder_.read("b").ends_with('\n');
  };
  ASSERT_TRUE(eventually(has_started));
  const pid_t program = std::stoi(folder_.read("a"));
  const pid_t escaped = std::stoi(folder_.read("b"));
  ASSERT_TRUE(is_alive(program));
  ASSERT_TRUE(is_alive(escaped));
  ::kill(worker, SIGKILL);
  ::waitpid(worker, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return !is_alive(program) && !is_alive(escaped); }));
}

// --- long-lived programs -------------------------------------------------------------------------

class ResidentProgram : public testing::Test {
protected:
  std::unique_ptr<exec_runner> start(const std::string& text, std::uint32_t recycle_after = 1000) {
    return runner_of({.command = {folder_.script("job.sh", text)},
                      .mode = exec_mode::long_lived,
                      .recycle_after = recycle_after});
  }
  std::string run(exec_runner& runner) {
    const auto outcome = run_(runner.handler());
    const auto* success = std::get_if<job_succeeded>(&outcome);
    return success != nullptr ? success->result : "failed: " + std::get<job_failed>(outcome).error;
  }

  temp_folder folder_;
  one_run run_;
};

TEST_F(ResidentProgram, TakesOneJobAfterTheOther) {
  const auto runner = start(
      "n=0; while read -r line; do n=$((n+1)); echo \"::log job $n\"; "
      "echo \"::done {\\\"pid\\\":$$,\\\"n\\\":$n}\"; done");
  const auto first = parse_json(run(*runner));
  const auto second = parse_json(run(*runner));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->at("pid"), second->at("pid"));
  EXPECT_EQ(second->at("n").get_int64(), 2);
  EXPECT_EQ(run_.logged(), "job 1\njob 2\n");
  run_coro(run_.context, runner->close());
}

TEST_F(ResidentProgram, GetsTheWholeJobOnEachLine) {
  const auto runner = start("while read -r line; do printf '::done %s\\n' \"$line\"; done");
  run_.job = test_job("\"second\\nline\"");
  const auto result = parse_json(run(*runner));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->at("data").get_string(), "second\nline");
}

TEST_F(ResidentProgram, FailsAJobAndGoesOn) {
  const auto runner = start(
      "while read -r line; do echo "
      "'::fail {\"error\":\"bad page\",\"permanent\":true}'; done");
  const auto outcome = run_(runner->handler());
  EXPECT_EQ(std::get<job_failed>(outcome).error, "bad page");
  EXPECT_TRUE(std::get<job_failed>(outcome).permanent);
  EXPECT_EQ(run(*runner), "failed: bad page");
}

TEST_F(ResidentProgram, IsReplacedAfterItsNumberOfJobs) {
  const auto runner = start(
      "while read -r line; do echo \"::done $$\"; done; echo end >>" + (folder_ / "ends").string(),
      2);
  const std::string first = run(*runner);
  EXPECT_EQ(run(*runner), first);
  const std::string third = run(*runner);
  EXPECT_NE(third, first);
  // The first was let come to its end.
  EXPECT_EQ(folder_.read("ends"), "end\n");
  EXPECT_EQ(run(*runner), third);
}

TEST_F(ResidentProgram, FailsTheRunningJobTransientlyWhenItCrashesAndIsStartedAgain) {
  const auto runner = start("read -r line; if mkdir " + (folder_ / "once").string() +
                            " 2>/dev/null; then echo 'out of memory' >&2; kill -KILL $$; fi; "
                            "echo '::done 2'; read -r line");
  const auto outcome = run_(runner->handler());
  const auto* failure = std::get_if<job_failed>(&outcome);
  ASSERT_NE(failure, nullptr);
  EXPECT_FALSE(failure->permanent);
  EXPECT_EQ(failure->error,
            "the program ended before it answered: killed by SIGKILL (9)\nout of memory");
  EXPECT_EQ(run(*runner), "2");
}

TEST_F(ResidentProgram, IsStartedAgainWhenItEndedBetweenTwoJobs) {
  const auto runner =
      start("read -r line; echo \"::done $$\"; echo $$ >" + (folder_ / "pid").string());
  const std::string first = run(*runner);
  ASSERT_TRUE(eventually([this] { return folder_.read("pid").ends_with('\n'); }));
  const pid_t ended = std::stoi(folder_.read("pid"));
  ASSERT_TRUE(eventually([ended] { return !is_alive(ended); }));
  const std::string second = run(*runner);
  EXPECT_NE(second, first);
  EXPECT_FALSE(second.starts_with("failed"));
}

// A second answer would else be taken for that of the next job.
TEST_F(ResidentProgram, IsReplacedWhenItAnswersTwice) {
  const auto runner = start("while read -r line; do printf '::done %s\\n::done 666\\n' $$; done");
  const std::string first = run(*runner);
  const std::string second = run(*runner);
  EXPECT_NE(second, "666");
  EXPECT_NE(second, first);
}

TEST_F(ResidentProgram, IsToldWhatToDoWhenItEndsWithoutAnAnswer) {
  const auto runner = start("read -r line; exit 0");
  EXPECT_NE(run(*runner).find("::done or ::fail"), std::string::npos);
}

TEST_F(ResidentProgram, IsKilledAtTheHardLimitAndStartedAgain) {
  const auto runner =
      start("trap '' TERM; while read -r line; do mkdir " + (folder_ / "once").string() +
            " 2>/dev/null && echo '::log ready' && while :; do sleep 0.01; done; "
            "echo \"::done $$\"; done");
  run_.on_report = [](worker_detail::run_control& control) {
    control.stop(stop_urgency::at_once, stop_reason::hard_limit);
  };
  EXPECT_EQ(run(*runner), "failed: the program ended before it answered: killed by SIGKILL (9)");
  run_.on_report = nullptr;
  EXPECT_FALSE(run(*runner).starts_with("failed"));
}

TEST_F(ResidentProgram, HasAProcessForEachRunAtATime) {
  using namespace asio::experimental::awaitable_operators;
  // Each answers only once both have been started.
  const auto runner = start("while read -r line; do echo >" + (folder_ / "up").string() +
                            ".$$; "
                            "while [ $(ls " +
                            (folder_ / "").string() +
                            " | grep -c '^up') -lt 2 ]; do sleep 0.01; done; echo ::done; done");
  one_run second;
  const auto context = [this](std::uint64_t token) {
    engine::leased_job job = test_job();
    job.token = token;
    return job_context{std::make_shared<worker_detail::run_control>(
        worker_detail::run_control::setup{.leased = job, .strand = run_.context.get_executor()})};
  };
  const async_handler handler = runner->handler();
  const auto both = run_coro(run_.context, handler(context(1)) && handler(context(2)));
  EXPECT_TRUE(std::holds_alternative<job_succeeded>(std::get<0>(both)));
  EXPECT_TRUE(std::holds_alternative<job_succeeded>(std::get<1>(both)));
}

TEST_F(ResidentProgram, IsEndedByClosing) {
  const auto runner = start("while read -r line; do echo \"::done $$\"; done; echo end >" +
                            (folder_ / "ends").string());
  const pid_t pid = std::stoi(run(*runner));
  EXPECT_TRUE(is_alive(pid));
  run_coro(run_.context, runner->close());
  EXPECT_FALSE(is_alive(pid));
  EXPECT_EQ(folder_.read("ends"), "end\n");
}

TEST_F(ResidentProgram, GoesWithItsRunner) {
  auto runner = start("trap '' TERM; while read -r line; do echo \"::done $$\"; done; sleep 1000");
  const pid_t pid = std::stoi(run(*runner));
  runner.reset();
  EXPECT_FALSE(is_alive(pid));
}

}  // namespace
}  // namespace millrace
