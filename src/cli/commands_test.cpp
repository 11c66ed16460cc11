#include "json_view.hpp"
#include "served.hpp"

#include <millrace/base/json.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

namespace millrace::cli {
namespace {

using namespace std::chrono_literals;
using words = std::vector<std::string>;

class Commands : public ::testing::Test {
protected:
  exit_code run(words args) { return server_.world.run(std::move(args)); }
  [[nodiscard]] std::string out() const { return server_.world.out.str(); }
  [[nodiscard]] std::string err() const { return server_.world.err.str(); }

  // Makes a job and gives its id.
  std::string enqueue(words args) {
    args.insert(args.begin(), "enqueue");
    EXPECT_EQ(run(std::move(args)), exit_code::done) << err();
    std::string id = out();
    id.pop_back();
    return id;
  }

  // What `--json` printed.
  [[nodiscard]] json::value printed() const { return parse_json(out()).value(); }

  [[nodiscard]] static bool holds(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }

  served server_;
};

TEST_F(Commands, EnqueuePrintsTheIdThatJobShows) {
  const std::string id = enqueue(
      {"mail", R"({"to":"ann"})", "--type", "welcome", "--priority", "9", "--label", "team=ops"});
  EXPECT_TRUE(id.starts_with("mail~"));
  ASSERT_EQ(run({"job", id}), exit_code::done) << err();
  for (const std::string_view part :
       {"mail", "welcome", "queued", "9", "team=ops", R"({"to":"ann"})"}) {
    EXPECT_TRUE(holds(out(), part)) << part << " in " << out();
  }
  ASSERT_EQ(run({"job", id, "--json"}), exit_code::done);
  EXPECT_EQ(text_at(printed(), "id"), id);
}

TEST_F(Commands, EnqueueSaysThatAUniqueJobIsThere) {
  const std::string first = enqueue({"mail", "--unique", "k"});
  EXPECT_EQ(run({"enqueue", "mail", "--unique", "k"}), exit_code::done);
  EXPECT_EQ(out(), first + "\n");
  EXPECT_TRUE(holds(err(), "is there already"));
}

TEST_F(Commands, EnqueueWithAnIdempotencyKeyMakesOneJob) {
  const std::string first = enqueue({"mail", "1", "--idempotency-key", "a"});
  EXPECT_EQ(enqueue({"mail", "1", "--idempotency-key", "a"}), first);
}

TEST_F(Commands, MistakesEndWithTwoAndNameTheOption) {
  EXPECT_EQ(run({"enqueue", "mail", "--priority", "11"}), exit_code::usage);
  EXPECT_TRUE(err().starts_with("millrace: --priority: '11' is not")) << err();
  EXPECT_EQ(run({"enqueue", "a/b"}), exit_code::usage);
  EXPECT_TRUE(holds(err(), "'/'")) << err();
  EXPECT_EQ(run({"enqueue", "mail", "{"}), exit_code::usage);
  EXPECT_EQ(run({"enqueue", "mail", std::string(1'100'000, '1')}), exit_code::usage);
  EXPECT_EQ(run({"queue", "ls", "--limit", "0"}), exit_code::usage);
  EXPECT_EQ(run({"queue", "ls", "--url", "nowhere"}), exit_code::usage);
  EXPECT_TRUE(holds(err(), "--url")) << err();
}

TEST_F(Commands, WhatIsNotThereEndsWithThree) {
  for (const words& args :
       {words{"job", "mail~00000000001"}, words{"job", "no-id"}, words{"queue", "show", "never"},
        words{"queue", "purge", "never"}, words{"cron", "show", "never"},
        words{"cron", "rm", "never"}, words{"dlq", "show", "never", "0"}}) {
    EXPECT_EQ(run(args), exit_code::not_found) << args[0] << ' ' << args[1] << ": " << err();
    EXPECT_TRUE(err().starts_with("millrace: ")) << err();
  }
}

TEST_F(Commands, WithoutAServerTheyEndWithFourAndSayHowToStartOne) {
  std::string nobody;
  {
    asio::io_context io;
    const asio::ip::tcp::acceptor gone{io, {asio::ip::address_v4::loopback(), 0}};
    nobody = "http://127.0.0.1:" + std::to_string(gone.local_endpoint().port());
  }
  for (const words& args : {words{"queue", "ls"}, words{"enqueue", "mail"}, words{"job", "x"},
                            words{"worker", "--queue", "mail", "--exec", "/bin/true"}}) {
    words with_url = args;
    with_url.insert(with_url.end(), {"--url", nobody});
    EXPECT_EQ(run(with_url), exit_code::unavailable) << args[0];
    EXPECT_TRUE(holds(err(), nobody)) << err();
    EXPECT_TRUE(holds(err(), "millrace serve")) << err();
  }
}

TEST_F(Commands, QueueLsShowsATableAndJson) {
  EXPECT_EQ(run({"queue", "ls"}), exit_code::done);
  EXPECT_EQ(out(), "");
  EXPECT_TRUE(holds(err(), "No queue yet"));
  enqueue({"mail"});
  enqueue({"mail", "--delay", "1h"});
  EXPECT_EQ(run({"queue", "ls"}), exit_code::done);
  EXPECT_TRUE(out().starts_with("QUEUE  WAITING  SCHEDULED  RUNNING  RETRYING  DEAD"));
  EXPECT_TRUE(holds(out(), "\nmail         1          1        0         0     0")) << out();
  EXPECT_EQ(run({"queue", "ls", "--names"}), exit_code::done);
  EXPECT_EQ(out(), "mail\n");
  EXPECT_EQ(run({"queue", "ls", "--json"}), exit_code::done);
  EXPECT_EQ(count_at(items_at(printed(), "queues")[0], "waiting"), 1U);
}

TEST_F(Commands, ListsPageByPage) {
  for (const char* name : {"a", "b", "c"}) enqueue({name});
  EXPECT_EQ(run({"queue", "ls", "--names", "--limit", "2"}), exit_code::done);
  EXPECT_EQ(out(), "a\nb\n");
  const std::string told = err();
  const std::size_t at = told.find("--cursor ");
  ASSERT_NE(at, std::string::npos) << told;
  const std::string cursor = told.substr(at + 9, told.size() - at - 10);
  EXPECT_EQ(run({"queue", "ls", "--names", "--cursor", cursor}), exit_code::done);
  EXPECT_EQ(out(), "c\n");
}

TEST_F(Commands, QueueJobsFilters) {
  const std::string one = enqueue({"mail", "--label", "team=ops", "--type", "x"});
  enqueue({"mail", "--delay", "1h"});
  EXPECT_EQ(run({"queue", "jobs", "mail", "--label", "team=ops", "--json"}), exit_code::done);
  ASSERT_EQ(items_at(printed(), "jobs").size(), 1U) << out();
  EXPECT_EQ(text_at(items_at(printed(), "jobs")[0], "id"), one);
  EXPECT_EQ(run({"queue", "jobs", "mail", "--status", "scheduled"}), exit_code::done);
  EXPECT_TRUE(holds(out(), "scheduled")) << out();
  EXPECT_FALSE(holds(out(), one)) << out();
  EXPECT_EQ(run({"queue", "jobs", "mail", "--label", "nothing"}), exit_code::usage);
}

TEST_F(Commands, QueueSetChangesWhatIsNamedAndNothingElse) {
  ASSERT_EQ(run({"queue", "set", "mail", "--rate", "100/m", "--concurrency", "8"}), exit_code::done)
      << err();
  ASSERT_EQ(run({"queue", "set", "mail", "--backoff", "fixed", "--keep-dead", "1d"}),
            exit_code::done)
      << err();
  ASSERT_EQ(run({"queue", "set", "mail", "--backoff-base", "5s", "--json"}), exit_code::done)
      << err();
  const json::value queue = printed();
  EXPECT_EQ(count_at(queue, "settings.rate.limit"), 100U);
  EXPECT_EQ(count_at(queue, "settings.rate.per"), 60U);
  EXPECT_EQ(count_at(queue, "settings.concurrency"), 8U);
  EXPECT_EQ(count_at(queue, "settings.keep_dead"), 86'400U);
  EXPECT_EQ(text_at(queue, "settings.backoff.strategy"), "fixed");
  EXPECT_EQ(count_at(queue, "settings.backoff.base"), 5U);
  ASSERT_EQ(run({"queue", "set", "mail", "--rate", "default", "--backoff", "default"}),
            exit_code::done);
  ASSERT_EQ(run({"queue", "show", "mail", "--json"}), exit_code::done);
  EXPECT_EQ(member(printed(), "settings.rate"), nullptr);
  EXPECT_EQ(member(printed(), "settings.backoff"), nullptr);
  EXPECT_EQ(count_at(printed(), "settings.concurrency"), 8U);
  EXPECT_EQ(run({"queue", "set", "mail"}), exit_code::usage);
  EXPECT_EQ(run({"queue", "set", "mail", "--rate", "fast"}), exit_code::usage);
  EXPECT_TRUE(holds(err(), "--rate: 'fast' is not a rate")) << err();
}

TEST_F(Commands, QueuePauseResumeDrainAndPurge) {
  enqueue({"mail"});
  ASSERT_EQ(run({"queue", "pause", "mail"}), exit_code::done) << err();
  run({"queue", "show", "mail"});
  EXPECT_TRUE(holds(out(), "state                paused")) << out();
  ASSERT_EQ(run({"queue", "resume", "mail"}), exit_code::done);
  ASSERT_EQ(run({"queue", "drain", "mail"}), exit_code::done);
  EXPECT_EQ(run({"enqueue", "mail"}), exit_code::failed);
  EXPECT_TRUE(err().starts_with("millrace: ")) << err();
  ASSERT_EQ(run({"queue", "resume", "mail"}), exit_code::done);
  EXPECT_EQ(run({"queue", "purge", "mail"}), exit_code::done);
  EXPECT_EQ(out(), "1 deleted\n");
}

TEST_F(Commands, DeadLettersAreShownRequeuedAndPurged) {
  const std::string id = enqueue({"mail", "7", "--type", "x"});
  server_.kill_one("mail", "no such address 17");
  EXPECT_EQ(run({"dlq", "ls", "mail"}), exit_code::done) << err();
  EXPECT_TRUE(holds(out(), id)) << out();
  EXPECT_TRUE(holds(out(), "no such address 17")) << out();
  EXPECT_EQ(run({"dlq", "stats"}), exit_code::done);
  EXPECT_TRUE(holds(out(), "1× no such address 17")) << out();
  EXPECT_EQ(run({"dlq", "show", "mail", "0"}), exit_code::done) << err();
  EXPECT_TRUE(holds(out(), "no such address 17"));
  EXPECT_EQ(run({"dlq", "show", "mail", "1"}), exit_code::not_found);
  EXPECT_EQ(run({"dlq", "requeue", "mail"}), exit_code::usage);
  EXPECT_EQ(run({"dlq", "requeue", "mail", "--type", "x", "--dry-run"}), exit_code::done) << err();
  EXPECT_EQ(out(), "1 would be requeued\n");
  EXPECT_EQ(run({"dlq", "requeue", "mail", id}), exit_code::done) << err();
  EXPECT_EQ(out(), "1 requeued\n");
  EXPECT_EQ(run({"dlq", "requeue", "mail", id}), exit_code::failed);
  server_.kill_one("mail", "again");
  EXPECT_EQ(run({"dlq", "requeue", "mail", "0"}), exit_code::done) << err();
  EXPECT_EQ(out(), id + " is back in the queue\n");
  server_.kill_one("mail", "again");
  EXPECT_EQ(run({"dlq", "purge", "mail"}), exit_code::done);
  EXPECT_EQ(out(), "1 deleted\n");
}

TEST_F(Commands, RecurringJobsAreMadeShownAndRemoved) {
  ASSERT_EQ(run({"cron", "add", "nightly", "0 3 * * *", "report", R"({"deep":true})", "--time-zone",
                 "Europe/Rome", "--overlap", "skip", "--priority", "7"}),
            exit_code::done)
      << err();
  EXPECT_TRUE(holds(out(), "0 3 * * * (Europe/Rome)")) << out();
  ASSERT_EQ(run({"cron", "show", "nightly", "--json"}), exit_code::done);
  EXPECT_EQ(text_at(printed(), "overlap"), "skip");
  EXPECT_EQ(count_at(printed(), "job.priority"), 7U);
  EXPECT_TRUE(flag_at(printed(), "job.data.deep"));
  EXPECT_EQ(run({"cron", "ls"}), exit_code::done);
  EXPECT_TRUE(holds(out(), "nightly")) << out();
  EXPECT_EQ(run({"cron", "add", "never", "0 0 31 2 *", "report"}), exit_code::usage);
  EXPECT_TRUE(holds(err(), "schedule")) << err();
  EXPECT_EQ(run({"cron", "rm", "nightly"}), exit_code::done);
  EXPECT_EQ(run({"cron", "show", "nightly"}), exit_code::not_found);
}

TEST_F(Commands, JobIsCancelledAndDeleted) {
  const std::string id = enqueue({"mail"});
  EXPECT_EQ(run({"job", id, "--cancel"}), exit_code::done) << err();
  EXPECT_EQ(out(), "cancelled\n");
  EXPECT_EQ(run({"job", id, "--cancel"}), exit_code::failed);
  EXPECT_EQ(run({"job", id, "--delete"}), exit_code::done) << err();
  EXPECT_EQ(run({"job", id}), exit_code::not_found);
  EXPECT_EQ(run({"job", id, "--watch", "--delete"}), exit_code::usage);
}

TEST_F(Commands, WatchFollowsAJobToItsEnd) {
  const std::string id = enqueue({"mail"});
  std::jthread worker{[this] {
    const auto job = server_.lease("mail");
    (void)server_.commit<engine::job_changed>(engine::report_progress{
        .id = job.what.id, .token = job.token, .value = 0.5, .message = "half", .log = {"a line"}});
    (void)server_.commit<engine::job_changed>(
        engine::ack_job{.id = job.what.id, .token = job.token, .result = R"({"ok":1})"});
  }};
  EXPECT_EQ(run({"job", id, "--watch"}), exit_code::done) << err();
  EXPECT_TRUE(holds(err(), "log: a line\n")) << out();
  EXPECT_TRUE(out().ends_with("{\"ok\":1}\n")) << out();
}

TEST_F(Commands, WatchOfADeadJobEndsWithOne) {
  const std::string id = enqueue({"mail"});
  server_.kill_one("mail", "broken");
  EXPECT_EQ(run({"job", id, "--watch"}), exit_code::failed);
  EXPECT_EQ(err(), "millrace: " + id + " is dead: broken\n");
  EXPECT_EQ(run({"job", id, "--watch", "--json"}), exit_code::failed);
  EXPECT_TRUE(holds(out(), R"("status":"dead")")) << out();
  EXPECT_EQ(run({"job", "mail~00000000001", "--watch"}), exit_code::not_found);
}

TEST_F(Commands, WatchDrawsABarOnATerminal) {
  const std::string id = enqueue({"mail"});
  const auto job = server_.lease("mail");
  (void)server_.commit<engine::job_changed>(engine::report_progress{
      .id = job.what.id, .token = job.token, .value = 0.5, .message = "half\x1b[2J"});
  std::jthread worker{[this, &job] {
    (void)server_.commit<engine::job_changed>(
        engine::ack_job{.id = job.what.id, .token = job.token, .result = "7"});
  }};
  server_.world.terminal = true;
  EXPECT_EQ(run({"job", id, "--watch"}), exit_code::done);
  EXPECT_TRUE(out().ends_with("7\n")) << out();
  // A message is foreign text.
  EXPECT_FALSE(holds(out(), "\x1b[2J"));
}

TEST_F(Commands, ColoursAreForTerminalsWithoutNoColor) {
  const std::string id = enqueue({"mail"});
  server_.kill_one("mail", "broken");
  const auto coloured = [&] {
    run({"job", id});
    return holds(out(), "\x1b[31mdead");
  };
  EXPECT_FALSE(coloured());
  server_.world.terminal = true;
  EXPECT_TRUE(coloured());
  server_.world.variables["NO_COLOR"] = "1";
  EXPECT_FALSE(coloured());
}

}  // namespace
}  // namespace millrace::cli
