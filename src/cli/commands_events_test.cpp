#include "at_a_server.hpp"
#include "json_view.hpp"

#include <millrace/base/json.hpp>

#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <unistd.h>

namespace millrace::cli {
namespace {

using words = std::vector<std::string>;

class EventCommands : public AtAServer {};

TEST_F(EventCommands, PublishedEventsAreShownInOrder) {
  ASSERT_EQ(run({"events", "publish", "f", "first", R"({"n":1})", "--source", "me"}),
            exit_code::done)
      << err();
  EXPECT_FALSE(out().empty());
  ASSERT_EQ(run({"events", "publish", "f", "second"}), exit_code::done);
  ASSERT_EQ(run({"events", "tail", "f", "--no-follow"}), exit_code::done) << err();
  EXPECT_TRUE(holds(out(), "first (me)  {\"n\":1}")) << out();
  EXPECT_LT(out().find("first"), out().find("second"));
  ASSERT_EQ(run({"events", "tail", "f", "--lines", "1", "--no-follow", "--json"}), exit_code::done);
  EXPECT_EQ(text_at(parse_json(out()).value(), "type"), "second");
}

TEST_F(EventCommands, TailFollowsFromAPlace) {
  for (const char* each : {"a", "b", "c"}) {
    ASSERT_EQ(run({"events", "publish", "f", each}), exit_code::done);
  }
  ASSERT_EQ(run({"events", "tail", "f", "--from", "earliest", "--count", "3"}), exit_code::done)
      << err();
  EXPECT_TRUE(holds(out(), "  c  null")) << out();
  EXPECT_EQ(run({"events", "tail", "f", "--from", "nowhere"}), exit_code::usage);
}

TEST_F(EventCommands, PublishSaysWhatIsWrong) {
  EXPECT_EQ(run({"events", "publish", "f", "t", "{"}), exit_code::usage);
  EXPECT_TRUE(holds(err(), "JSON")) << err();
  EXPECT_EQ(run({"events", "publish", "f", "gap"}), exit_code::usage);
  ASSERT_EQ(run({"events", "publish", "f", "t", "--id", "x"}), exit_code::done);
  ASSERT_EQ(run({"events", "publish", "f", "t", "--id", "x"}), exit_code::done);
  EXPECT_TRUE(holds(err(), "already")) << err();
}

TEST_F(EventCommands, LocksAreTakenShownAndReleased) {
  ASSERT_EQ(run({"lock", "acquire", "r", "--ttl", "5m", "--owner", "me"}), exit_code::done)
      << err();
  std::string token = out();
  token.pop_back();
  EXPECT_EQ(run({"lock", "acquire", "r"}), exit_code::failed);
  ASSERT_EQ(run({"lock", "show", "r"}), exit_code::done);
  EXPECT_TRUE(holds(out(), "held by me")) << out();
  ASSERT_EQ(run({"lock", "extend", "r", token, "--ttl", "10m"}), exit_code::done) << err();
  ASSERT_EQ(run({"lock", "release", "r", token}), exit_code::done) << err();
  EXPECT_EQ(run({"lock", "release", "r", token}), exit_code::failed);
  ASSERT_EQ(run({"lock", "show", "r"}), exit_code::done);
  EXPECT_EQ(out(), "free\n");
}

TEST_F(EventCommands, AProgramRunsUnderALock) {
  const std::string told = testing::TempDir() + "lock_run_" + std::to_string(::getpid());
  const std::string script = "echo \"$MILLRACE_LOCK_FENCE\" > " + told + "; exit 7";
  EXPECT_EQ(run({"lock", "run", "r", "--", "sh", "-c", script}), static_cast<exit_code>(7))
      << err();
  std::ifstream file(told);
  std::uint64_t fence = 0;
  file >> fence;
  EXPECT_GT(fence, 0U);
  ::unlink(told.c_str());
  ASSERT_EQ(run({"lock", "show", "r"}), exit_code::done);
  EXPECT_EQ(out(), "free\n");
  EXPECT_NE(run({"lock", "run", "r", "--", "/no/such/program"}), exit_code::done);
  ASSERT_EQ(run({"lock", "show", "r"}), exit_code::done);
  EXPECT_EQ(out(), "free\n");
}

TEST_F(EventCommands, AProgramThatLostItsLockIsEnded) {
  // The program takes its own lock away, which the next renewal finds out.
  const std::string url = server_.world.variables["MILLRACE_URL"];
  const std::string script =
      "curl -s -X DELETE \"" + url + "/v1/locks/r?token=$MILLRACE_LOCK_TOKEN\"; exec sleep 60";
  EXPECT_EQ(run({"lock", "run", "r", "--ttl", "500ms", "--", "sh", "-c", script}),
            exit_code::failed);
  EXPECT_TRUE(holds(err(), "is lost")) << err();
}

TEST_F(EventCommands, ProgressIsWatchedToItsEnd) {
  const auto put = [this](engine::put_progress step) {
    (void)server_.commit<engine::progress_changed>(std::move(step));
  };
  put({.correlation_id = "a", .total_steps = 2, .step = 1, .message = "half"});
  put({.correlation_id = "a", .status = engine::progress_status::completed});
  put({.correlation_id = "b",
       .total_steps = 2,
       .message = "it broke",
       .status = engine::progress_status::failed});
  EXPECT_EQ(run({"progress", "watch", "a"}), exit_code::done) << err();
  EXPECT_TRUE(holds(out(), "a completed: half")) << out();
  EXPECT_EQ(run({"progress", "watch", "a", "b"}), exit_code::failed);
  EXPECT_TRUE(holds(out(), "b failed: it broke")) << out();
}

}  // namespace
}  // namespace millrace::cli
