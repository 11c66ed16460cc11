#include "at_a_server.hpp"
#include "json_view.hpp"

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

class Commands : public AtAServer {
protected:
  // Makes a job and gives its id.
  std::string enqueue(words args) {
    args.insert(args.begin(), "enqueue");
    EXPECT_EQ(run(std::move(args)), exit_code::done) << err();
    std::string id = out();
    id.pop_back();
    return id;
  }
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

// What the server or another room refuses is told by the option that was typed.
TEST_F(Commands, RefusalsNameTheOption) {
  const std::pair<words, std::string_view> cases[] = {
      {{"enqueue", "mail", "--backoff-base", "31d"}, "--backoff-base: backoff.base must be "},
      {{"enqueue", "mail", "--timeout", "31d"}, "--timeout: timeout must be "},
      {{"enqueue", "mail", "--lease", "10ms"}, "--lease: lease must be "},
      {{"enqueue", "mail", "--type", std::string(129, 'x')}, "--type: type has 129 bytes"},
      {{"queue", "set", "mail", "--keep-dead", "4000d"}, "--keep-dead: keep_dead must be "},
      {{"cron", "add", "c", "@daily", "mail", "--timeout", "31d"},
       "--timeout: job.timeout must be "},
      {{"cron", "add", "c", "@daily", "mail", "--time-zone", "Mars"}, "--time-zone: unknown "},
      {{"worker", "--queue", "mail", "--exec", "/bin/true", "--soft-limit", "2h"},
       "--soft-limit: the soft limit is beyond "},
      {{"worker", "--queue", "mail", "--exec", "/bin/true", "--lease", "10ms"},
       "--lease: lease has to be "},
  };
  for (const auto& [args, told] : cases) {
    EXPECT_EQ(run(args), exit_code::usage) << told;
    EXPECT_TRUE(err().starts_with("millrace: " + std::string{told})) << err();
  }
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
  EXPECT_TRUE(err().starts_with("millrace: " + id + ": ")) << err();
  server_.kill_one("mail", "again");
  EXPECT_EQ(run({"dlq", "requeue", "mail", "0"}), exit_code::done) << err();
  EXPECT_EQ(out(), id + " is back in the queue\n");
  server_.kill_one("mail", "again");
  EXPECT_EQ(run({"dlq", "purge", "mail"}), exit_code::done);
  EXPECT_EQ(out(), "1 deleted\n");
}

TEST_F(Commands, RecurringJobsAreMadeShownAndRemoved) {
  ASSERT_EQ(run({"cron", "add", "nightly", "0 3 * * *", "report", R"({"deep":true})", "--time-zone",
                 "Europe/Rome", "--overlap", "skip", "--priority", "7", "--unique", "k",
                 "--correlation-id", "nightly-report"}),
            exit_code::done)
      << err();
  EXPECT_TRUE(holds(out(), "0 3 * * * (Europe/Rome)")) << out();
  ASSERT_EQ(run({"cron", "show", "nightly", "--json"}), exit_code::done);
  EXPECT_EQ(text_at(printed(), "overlap"), "skip");
  EXPECT_EQ(count_at(printed(), "job.priority"), 7U);
  EXPECT_EQ(text_at(printed(), "job.unique.key"), "k");
  EXPECT_EQ(text_at(printed(), "job.correlation_id"), "nightly-report");
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

TEST_F(Commands, QueueJobsTakesTheOlderWordsOfAStatus) {
  const std::string dead = enqueue({"mail"});
  server_.kill_one("mail", "broken");
  enqueue({"mail"});
  ASSERT_EQ(run({"queue", "jobs", "mail", "--status", "failed", "--json"}), exit_code::done)
      << err();
  ASSERT_EQ(items_at(printed(), "jobs").size(), 1U) << out();
  EXPECT_EQ(text_at(items_at(printed(), "jobs")[0], "id"), dead);
  EXPECT_EQ(run({"queue", "jobs", "mail", "--status", "pending"}), exit_code::done) << err();
  EXPECT_EQ(run({"queue", "jobs", "mail", "--status", "lost"}), exit_code::usage);
  EXPECT_TRUE(holds(err(), "pending")) << err();
}

TEST_F(Commands, QueueSetKeepsWhatItDoesNotNameOfTheBackoff) {
  ASSERT_EQ(run({"queue", "set", "mail", "--backoff", "fixed", "--backoff-base", "5s"}),
            exit_code::done);
  ASSERT_EQ(run({"queue", "set", "mail", "--backoff-max", "9s", "--keep-dead", "0"}),
            exit_code::done)
      << err();
  EXPECT_TRUE(holds(out(), "fixed, from 5s up to 9s")) << out();
  EXPECT_TRUE(holds(out(), "keep dead            no bound")) << out();
  EXPECT_EQ(run({"queue", "set", "mail", "--backoff", "default", "--backoff-max", "9s"}),
            exit_code::usage);
  EXPECT_TRUE(holds(err(), "--backoff")) << err();
}

TEST_F(Commands, DeadLettersAreListedByTypeLabelAndError) {
  const std::string welcome = enqueue({"mail", "--type", "welcome", "--label", "team=ops"});
  server_.kill_one("mail", "no such address 17");
  enqueue({"mail", "--type", "bill"});
  server_.kill_one("mail", "smtp is down");
  for (const words& filter : {words{"--type", "welcome"}, words{"--label", "team=ops"},
                              words{"--error", "no such address #"}}) {
    words args{"dlq", "ls", "mail", "--json"};
    args.insert(args.end(), filter.begin(), filter.end());
    ASSERT_EQ(run(args), exit_code::done) << err();
    ASSERT_EQ(items_at(printed(), "items").size(), 1U) << filter[0] << out();
    EXPECT_EQ(text_at(items_at(printed(), "items")[0], "id"), welcome);
  }
  EXPECT_EQ(run({"dlq", "ls", "mail", "--label", "ops"}), exit_code::usage);
  EXPECT_EQ(run({"dlq", "ls", "--type", "bill"}), exit_code::usage);
  EXPECT_TRUE(holds(err(), "QUEUE")) << err();
}

TEST_F(Commands, ARequeueByIndexCanBeTriedOut) {
  const std::string id = enqueue({"mail"});
  server_.kill_one("mail", "broken");
  EXPECT_EQ(run({"dlq", "requeue", "mail", "0", "--dry-run"}), exit_code::done) << err();
  EXPECT_EQ(out(), id + " would be requeued\n");
  EXPECT_EQ(run({"dlq", "requeue", "mail", "0", "--all"}), exit_code::usage);
  EXPECT_TRUE(holds(err(), "--all")) << err();
  EXPECT_EQ(run({"dlq", "requeue", "mail", "0", "1"}), exit_code::usage);
  EXPECT_TRUE(holds(err(), "by their ids")) << err();
  EXPECT_EQ(run({"dlq", "show", "mail", "0"}), exit_code::done) << err();
}

TEST_F(Commands, RecurringJobsArePausedAndResumed) {
  ASSERT_EQ(run({"cron", "add", "nightly", "@hourly", "report"}), exit_code::done) << err();
  EXPECT_EQ(run({"cron", "pause", "nightly"}), exit_code::done) << err();
  EXPECT_EQ(out(), "nightly is paused\n");
  EXPECT_EQ(run({"cron", "show", "nightly"}), exit_code::done);
  EXPECT_TRUE(holds(out(), "state        paused")) << out();
  EXPECT_FALSE(holds(out(), "\nnext")) << out();
  EXPECT_EQ(run({"cron", "resume", "nightly"}), exit_code::done) << err();
  EXPECT_TRUE(out().starts_with("nightly is on, next ")) << out();
  EXPECT_EQ(run({"cron", "pause", "never"}), exit_code::not_found);
}

TEST_F(Commands, AWorkerNamesTheVariableOfABadSecretAndTheFileOfAuthorities) {
  server_.world.variables["MILLRACE_WEBHOOK_SECRET"] = "short";
  EXPECT_EQ(run({"worker", "--queue", "mail", "--http", "http://127.0.0.1:9/"}), exit_code::usage);
  EXPECT_TRUE(err().starts_with("millrace: MILLRACE_WEBHOOK_SECRET: the webhook secret ")) << err();
  server_.world.variables.erase("MILLRACE_WEBHOOK_SECRET");
  EXPECT_EQ(run({"worker", "--queue", "mail", "--http", "https://127.0.0.1:9/", "--ca-file",
                 "/dev/null"}),
            exit_code::usage);
  EXPECT_TRUE(err().starts_with("millrace: --ca-file: '/dev/null' holds no ")) << err();
}

// The engine speaks of its own file; who restores has named another.
TEST_F(Commands, RestoreNamesTheFileAndSaysWhatABackupIs) {
  server_.world.engine.restore = [](const auto&, const auto&) -> result<void> {
    return fail(errc::corrupted, "database_corrupt", "millrace.db is damaged");
  };
  EXPECT_EQ(run({"restore", "/etc/passwd"}), exit_code::failed);
  EXPECT_TRUE(err().starts_with("millrace: FILE: '/etc/passwd' is no backup")) << err();
  EXPECT_TRUE(holds(err(), "`millrace backup`")) << err();
  EXPECT_FALSE(holds(err(), "millrace.db")) << err();
  EXPECT_EQ(run({"restore", "/no/such/file"}), exit_code::not_found);
  EXPECT_TRUE(err().starts_with("millrace: FILE: '/no/such/file' does not exist")) << err();
  EXPECT_EQ(run({"restore", "/tmp"}), exit_code::usage);
  EXPECT_TRUE(holds(err(), "'/tmp' is no regular file")) << err();
  server_.world.engine.restore = [](const auto&, const auto&) -> result<void> {
    return fail(errc::conflict, "target_exists", "x is not empty");
  };
  EXPECT_EQ(run({"restore", "/etc/passwd", "--data", "x"}), exit_code::failed);
  EXPECT_TRUE(err().starts_with("millrace: --data: x is not empty")) << err();
}

TEST_F(Commands, BackupNamesTheFileItCannotWrite) {
  EXPECT_EQ(run({"backup", "/etc/passwd"}), exit_code::usage);
  EXPECT_TRUE(err().starts_with("millrace: FILE: '/etc/passwd' is there already")) << err();
  EXPECT_EQ(run({"backup", "/no/such/directory/x"}), exit_code::usage);
  EXPECT_TRUE(err().starts_with("millrace: FILE: '/no/such/directory/x' is in no directory"))
      << err();
}

}  // namespace
}  // namespace millrace::cli
