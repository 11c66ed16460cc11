#include "run_control.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/limits.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>

namespace millrace::worker_detail {
namespace {

class RunControl : public testing::Test {
protected:
  asio::io_context context_{1};
  int told_{0};
  std::shared_ptr<run_control> run_ = std::make_shared<run_control>(run_control::setup{
      .leased = {}, .strand = context_.get_executor(), .reported = [this] { ++told_; }});
};

TEST_F(RunControl, TellsOfTheFirstReportUntilItIsTaken) {
  run_->progress(0.1, "");
  run_->log("line");
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(run_->take_report().value, 0.1);
  run_->log("line");
  EXPECT_EQ(told_, 2);
}

TEST_F(RunControl, KeepsTheLatestProgressAndTheLastMessage) {
  run_->progress(0.1, "reading");
  run_->progress(7, "");
  run_->progress(std::numeric_limits<double>::quiet_NaN(), "nowhere");
  const run_report report = run_->take_report();
  EXPECT_EQ(report.value, 1.0);
  EXPECT_EQ(report.message, "reading");
}

TEST_F(RunControl, KeepsTheLastLinesAndSaysHowManyItLeftOut) {
  for (std::size_t i = 0; i < engine::log_lines_max + 50; ++i) run_->log(std::to_string(i));
  const run_report report = run_->take_report();
  ASSERT_EQ(report.log.size(), engine::log_lines_max);
  EXPECT_EQ(report.log.front(), "[51 lines left out]");
  EXPECT_EQ(report.log[1], "51");
  EXPECT_EQ(report.log.back(), std::to_string(engine::log_lines_max + 49));
}

TEST_F(RunControl, RefusesACheckpointThatCannotBeKept) {
  EXPECT_EQ(run_->save_checkpoint("{").error().kind, errc::malformed);
  const std::string large = "\"" + std::string(engine::item_bytes_max, 'x') + "\"";
  EXPECT_EQ(run_->save_checkpoint(large).error().kind, errc::too_large);
  EXPECT_TRUE(run_->save_checkpoint("[1]"));
  EXPECT_EQ(run_->take_report().checkpoint, "[1]");
}

TEST_F(RunControl, TakesNothingAfterItsEnd) {
  run_->close();
  run_->log("late");
  run_->progress(1, "late");
  EXPECT_TRUE(run_->save_checkpoint("1"));
  EXPECT_EQ(told_, 0);
  const run_report report = run_->take_report();
  EXPECT_FALSE(report.tells_progress());
  EXPECT_FALSE(report.checkpoint);
}

TEST_F(RunControl, OnlyGrowsMoreUrgent) {
  run_->stop(stop_urgency::asked, stop_reason::soft_limit);
  run_->stop(stop_urgency::asked, stop_reason::shutdown);
  EXPECT_EQ(run_->reason(), stop_reason::soft_limit);
  run_->stop(stop_urgency::at_once, stop_reason::lease_lost);
  run_->stop(stop_urgency::asked, stop_reason::cancelled);
  EXPECT_EQ(run_->urgency(), stop_urgency::at_once);
  EXPECT_EQ(run_->reason(), stop_reason::lease_lost);
}

TEST_F(RunControl, WakesWhoeverWaitsForTheNextUrgency) {
  run_->stop(stop_urgency::asked, stop_reason::cancelled);
  EXPECT_EQ(run_coro(context_, run_->stopped(stop_urgency::none)), stop_urgency::asked);
  asio::post(context_, [this] { run_->stop(stop_urgency::at_once, stop_reason::hard_limit); });
  EXPECT_EQ(run_coro(context_, run_->stopped(stop_urgency::asked)), stop_urgency::at_once);
}

}  // namespace
}  // namespace millrace::worker_detail
