#include "work_settings.hpp"

#include "captured.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::cli {
namespace {

using namespace std::chrono_literals;

result<work_settings> read(std::vector<std::string> args, const std::string& secrets = {}) {
  args.insert(args.begin(), "worker");
  captured world;
  world.variables = {{"MILLRACE_WEBHOOK_SECRET", secrets}};
  const surroundings around = world.around();
  return read_work_settings(parsed(std::move(args)).in, around);
}

std::string wrong_field(std::vector<std::string> args) {
  const auto settings = read(std::move(args));
  return settings ? "none" : settings.error().field;
}

TEST(WorkSettings, HasTheDefaultsOfTheWorker) {
  const auto settings = read({"--queue", "mail", "--exec", "./send"});
  ASSERT_TRUE(settings) << settings.error().detail;
  EXPECT_EQ(settings->work.lease, duration{5s});
  EXPECT_EQ(settings->work.soft_limit, duration{25min});
  EXPECT_EQ(settings->work.hard_limit, duration{30min});
  EXPECT_EQ(settings->work.prefetch, 0U);
  ASSERT_TRUE(settings->program);
  EXPECT_EQ(settings->program->command, std::vector<std::string>{"./send"});
  EXPECT_EQ(settings->program->mode, exec_mode::one_shot);
  EXPECT_EQ(settings->program->recycle_after, 1000U);
  EXPECT_FALSE(settings->url);
}

TEST(WorkSettings, ReadsWhatIsGiven) {
  const auto settings =
      read({"--queue", "a:3", "--queue", "b", "--exec", "py", "--concurrency", "2-16", "--lease",
            "10s", "--long-lived", "--recycle", "5", "--prefetch", "4", "--", "-u", "x.py"});
  ASSERT_TRUE(settings) << settings.error().detail;
  ASSERT_EQ(settings->work.queues.size(), 2U);
  EXPECT_EQ(settings->work.queues[0].queue.name, "a");
  EXPECT_EQ(settings->work.queues[0].weight, 3U);
  EXPECT_EQ(settings->work.queues[1].weight, 1U);
  ASSERT_TRUE(settings->work.scale);
  EXPECT_EQ(settings->work.scale->min, 2U);
  EXPECT_EQ(settings->work.scale->max, 16U);
  EXPECT_EQ(settings->work.lease, duration{10s});
  EXPECT_EQ(settings->work.prefetch, 4U);
  EXPECT_EQ(settings->program->command, (std::vector<std::string>{"py", "-u", "x.py"}));
  EXPECT_EQ(settings->program->mode, exec_mode::long_lived);
  EXPECT_EQ(settings->program->recycle_after, 5U);
}

TEST(WorkSettings, ReadsAUrlAndItsSecrets) {
  const auto settings =
      read({"--queue", "a", "--http", "http://h/x", "--concurrency", "7"}, "whsec_a, whsec_b");
  ASSERT_TRUE(settings) << settings.error().detail;
  ASSERT_TRUE(settings->url);
  EXPECT_EQ(settings->url->url, "http://h/x");
  EXPECT_EQ(settings->url->secrets, (std::vector<std::string>{"whsec_a", "whsec_b"}));
  EXPECT_EQ(settings->url->connections_max, 7U);
}

TEST(WorkSettings, NamesTheOptionThatIsWrong) {
  EXPECT_EQ(wrong_field({"--exec", "x"}), "--queue");
  EXPECT_EQ(wrong_field({"--queue", "a:0", "--exec", "x"}), "--queue");
  EXPECT_EQ(wrong_field({"--queue", "a:1001", "--exec", "x"}), "--queue");
  EXPECT_EQ(wrong_field({"--queue", "a/b", "--exec", "x"}), "--queue");
  for (const char* bad : {"0", "1001", "x", "3-2", "2-", "-2"}) {
    EXPECT_EQ(wrong_field({"--queue", "a", "--exec", "x", "--concurrency", bad}), "--concurrency")
        << bad;
  }
  EXPECT_EQ(wrong_field({"--queue", "a", "--exec", "x", "--lease", "soon"}), "--lease");
  EXPECT_EQ(wrong_field({"--queue", "a", "--exec", "x", "--recycle", "5"}), "--recycle");
  EXPECT_EQ(wrong_field({"--queue", "a", "--http", "http://h", "--long-lived"}), "--long-lived");
  EXPECT_EQ(wrong_field({"--queue", "a", "--http", "http://h", "--", "x"}), "ARG");
}

TEST(WorkSettings, NeedsExactlyOneThatRunsTheJobs) {
  EXPECT_FALSE(read({"--queue", "a"}));
  EXPECT_FALSE(read({"--queue", "a", "--exec", "x", "--http", "http://h"}));
}

}  // namespace
}  // namespace millrace::cli
