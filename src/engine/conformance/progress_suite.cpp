#include "fixture.hpp"

namespace millrace::conformance {
namespace {

class progress_test : public engine_test {
protected:
  job_changed report(const leased_job& run_of, report_progress what) {
    what.id = run_of.what.id;
    what.token = run_of.token;
    return run(std::move(what));
  }
  [[nodiscard]] std::vector<std::string> texts(const job_id& id, std::uint64_t after = 0) {
    std::vector<std::string> out;
    for (const job_log_line& line : ask(read_job_log{.id = id, .after = after})) {
      out.push_back(line.text);
    }
    return out;
  }
};

class Progress : public progress_test {};
INSTANTIATE_TEST_SUITE_P(Engine, Progress, testing::ValuesIn(engines_under_test()), case_name);

TEST_P(Progress, IsShownWithTheJob) {
  const leased_job run_of = begin_run();
  EXPECT_FALSE(look(run_of.what.id).progress);
  advance(1s);
  const job_changed told = report(run_of, {.value = 0.25, .message = "page 1 of 4"});
  EXPECT_EQ(told.status, job_status::running);
  const auto seen = look(run_of.what.id).progress;
  ASSERT_TRUE(seen);
  EXPECT_DOUBLE_EQ(seen->value, 0.25);
  EXPECT_EQ(seen->message, "page 1 of 4");
  EXPECT_EQ(seen->updated_at, now());
}

TEST_P(Progress, KeepsWhatAReportLeavesOut) {
  const leased_job run_of = begin_run();
  report(run_of, {.value = 0.5, .message = "half"});
  report(run_of, {.value = 0.75});
  EXPECT_EQ(look(run_of.what.id).progress->message, "half");
  report(run_of, {.message = "nearly"});
  EXPECT_DOUBLE_EQ(look(run_of.what.id).progress->value, 0.75);
  report(run_of, {.log = {"a line is no progress"}});
  EXPECT_EQ(look(run_of.what.id).progress->message, "nearly");
}

TEST_P(Progress, StaysWhenTheJobEnds) {
  const leased_job run_of = begin_run();
  report(run_of, {.value = 0.5, .message = "half"});
  ack(run_of);
  EXPECT_DOUBLE_EQ(look(run_of.what.id).progress->value, 0.5);
}

TEST_P(Progress, DoesNotExtendTheLease) {
  enqueue();
  const leased_job run_of = lease_one({.queues = {work}, .lease = 5s});
  advance(4s);
  report(run_of, {.value = 0.5});
  EXPECT_EQ(look(run_of.what.id).leased_until, now() + 1s);
}

TEST_P(Progress, IsRefusedOutsideItsRange) {
  const leased_job run_of = begin_run();
  const job_id id = run_of.what.id;
  EXPECT_EQ(refusal_of(report_progress{.id = id, .token = run_of.token, .value = 1.01}),
            "invalid_value");
  EXPECT_NE(
      refusal_of(report_progress{
          .id = id, .token = run_of.token, .message = std::string(message_bytes_max + 1, 'x')}),
      "done");
  EXPECT_FALSE(look(id).progress);
}

class JobLog : public progress_test {};
INSTANTIATE_TEST_SUITE_P(Engine, JobLog, testing::ValuesIn(engines_under_test()), case_name);

TEST_P(JobLog, KeepsLinesInOrderWithStampsThatGrow) {
  const leased_job run_of = begin_run();
  const timestamp first_at = now();
  report(run_of, {.log = {"one", "two"}});
  advance(2s);
  report(run_of, {.log = {"three"}});
  const auto lines = ask(read_job_log{.id = run_of.what.id});
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].text, "one");
  EXPECT_EQ(lines[1].text, "two");
  EXPECT_EQ(lines[2].text, "three");
  EXPECT_EQ(lines[0].at, first_at);
  EXPECT_EQ(lines[2].at, now());
  EXPECT_LT(lines[0].stamp, lines[1].stamp);
  EXPECT_LT(lines[1].stamp, lines[2].stamp);
}

TEST_P(JobLog, GoesOnAfterAStamp) {
  const leased_job run_of = begin_run();
  report(run_of, {.log = {"one", "two"}});
  const std::uint64_t seen = ask(read_job_log{.id = run_of.what.id}).back().stamp;
  EXPECT_TRUE(texts(run_of.what.id, seen).empty());
  report(run_of, {.log = {"three"}});
  EXPECT_EQ(texts(run_of.what.id, seen), (std::vector<std::string>{"three"}));
}

TEST_P(JobLog, KeepsTheLastLines) {
  const leased_job run_of = begin_run();
  for (std::size_t i = 0; i < log_lines_max + 30; i += 10) {
    std::vector<std::string> ten;
    for (std::size_t j = i; j < i + 10; ++j) ten.push_back(std::to_string(j));
    report(run_of, {.log = std::move(ten)});
  }
  const auto kept = texts(run_of.what.id);
  ASSERT_EQ(kept.size(), log_lines_max);
  EXPECT_EQ(kept.front(), "30");
  EXPECT_EQ(kept.back(), std::to_string(log_lines_max + 29));
}

TEST_P(JobLog, IsKeptFromAttemptToAttemptAndAfterTheEnd) {
  const leased_job first = begin_run({.backoff = {.base = 0s}});
  report(first, {.log = {"first"}});
  fail(first);
  const leased_job second = lease_one();
  report(second, {.log = {"second"}});
  ack(second);
  EXPECT_EQ(texts(first.what.id), (std::vector<std::string>{"first", "second"}));
}

TEST_P(JobLog, IsOfOneJob) {
  const leased_job a = begin_run();
  const leased_job b = begin_run();
  report(a, {.log = {"of a"}});
  report(b, {.log = {"of b"}});
  EXPECT_EQ(texts(a.what.id), (std::vector<std::string>{"of a"}));
  EXPECT_EQ(texts(b.what.id), (std::vector<std::string>{"of b"}));
}

}  // namespace
}  // namespace millrace::conformance
