#include "child_process.hpp"
#include "testing_redis.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace millrace {
namespace {

using testing::child_process;
using words = std::vector<std::string>;

/// What a command that has ended said.
struct ended {
  int code{-1};
  std::string out;
  std::string err;
};

class Program : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "millrace-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static words command(words args) {
    args.insert(args.begin(), MILLRACE_PROGRAM);
    return args;
  }

  ended run(words args, words environment = {}) {
    child_process child{command(std::move(args)), directory_, std::move(environment)};
    const int code = child.wait();
    return {.code = code, .out = child.out(), .err = child.err()};
  }

  // Starts a server and waits until it says that it listens.
  std::unique_ptr<child_process> serve(words more = {}, words environment = {}) {
    words args{"serve", "--listen", "127.0.0.1:0"};
    args.insert(args.end(), more.begin(), more.end());
    auto server = std::make_unique<child_process>(command(std::move(args)), directory_,
                                                  std::move(environment));
    EXPECT_TRUE(server->wait_for("data      ")) << server->err();
    return server;
  }

  static std::string address_of(const child_process& server) {
    const std::string& out = server.out();
    const std::size_t begin = out.find("http://");
    return out.substr(begin, out.find('\n') - begin);
  }

  static int stop(child_process& server) {
    server.signal(SIGTERM);
    return server.wait();
  }

  std::string script(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = directory_ / name;
    std::ofstream{file} << "#!/bin/sh\n" << text;
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return file.string();
  }

  std::filesystem::path directory_;
};

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_F(Program, ServesWithNothingButItsOptionsAndStopsAtSigterm) {
  const auto server = serve();
  EXPECT_TRUE(server->out().starts_with("listening http://127.0.0.1:"));
  EXPECT_TRUE(holds(server->out(), "dashboard " + address_of(*server) + "/\n")) << server->out();
  const auto socket = directory_ / ".millrace" / "millrace.sock";
  struct stat facts{};
  ASSERT_EQ(::stat(socket.c_str(), &facts), 0);
  EXPECT_TRUE(S_ISSOCK(facts.st_mode));
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
  EXPECT_EQ(stop(*server), 0) << server->err();
  EXPECT_TRUE(holds(server->err(), "stopped")) << server->err();
}

TEST_F(Program, KeepsJobsOverARestartAndAKill) {
  auto server = serve();
  const ended made = run({"enqueue", "mail", "7"});
  ASSERT_EQ(made.code, 0) << made.err;
  const std::string id = made.out.substr(0, made.out.size() - 1);
  EXPECT_EQ(stop(*server), 0) << server->err();
  EXPECT_EQ(run({"job", id}).code, 4);
  server = serve();
  EXPECT_EQ(run({"job", id}).code, 0);
  const ended second = run({"enqueue", "mail", "8"});
  server->signal(SIGKILL);
  EXPECT_EQ(server->wait(), 128 + SIGKILL);
  server = serve();
  EXPECT_EQ(run({"job", second.out.substr(0, second.out.size() - 1)}).code, 0);
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, AnswersOverItsAddressToo) {
  const auto server = serve();
  const auto elsewhere = directory_ / "elsewhere";
  std::filesystem::create_directory(elsewhere);
  child_process by_flag{command({"queue", "ls", "--json", "--url", address_of(*server)}),
                        elsewhere};
  EXPECT_EQ(by_flag.wait(), 0) << by_flag.err();
  EXPECT_TRUE(by_flag.out().starts_with(R"({"queues":[)")) << by_flag.out();
  child_process by_variable{
      command({"queue", "ls"}), elsewhere, {"MILLRACE_URL=" + address_of(*server)}};
  EXPECT_EQ(by_variable.wait(), 0) << by_variable.err();
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, RefusesWhatCannotBeServedAndSaysWhy) {
  const auto server = serve();
  const ended same_directory = run({"serve", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(same_directory.code, 1);
  EXPECT_TRUE(holds(same_directory.err, "in use by process")) << same_directory.err;

  const std::string address = address_of(*server).substr(std::string{"http://"}.size());
  const ended same_port = run({"serve", "--listen", address, "--data", "other"});
  EXPECT_EQ(same_port.code, 1);
  EXPECT_TRUE(holds(same_port.err, address)) << same_port.err;

  const ended everywhere = run({"serve", "--listen", "0.0.0.0:0", "--data", "other"});
  EXPECT_EQ(everywhere.code, 2);
  EXPECT_TRUE(holds(everywhere.err, "loopback")) << everywhere.err;

  const ended no_directory = run({"serve", "--listen", "127.0.0.1:0", "--data", "/proc/none"});
  EXPECT_EQ(no_directory.code, 1);
  EXPECT_TRUE(holds(no_directory.err, "/proc/none")) << no_directory.err;

  const ended postgres = run({"serve", "--postgres", "postgres://localhost"});
  EXPECT_EQ(postgres.code, 2);
  EXPECT_TRUE(holds(postgres.err, "PostgreSQL is not part of this version")) << postgres.err;
  // The first one has not suffered.
  EXPECT_EQ(run({"queue", "ls"}).code, 0);
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, RefusesABrokenConfigurationBeforeItOpensAnything) {
  std::ofstream{directory_ / "c.toml"} << "listen = '127.0.0.1:0'\nthread = 2\n";
  const ended refused = run({"serve", "--config", "c.toml"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_TRUE(refused.err.starts_with(
      "millrace: c.toml:2: unknown key 'thread'; did you mean 'threads'?\n"))
      << refused.err;
  EXPECT_FALSE(std::filesystem::exists(directory_ / ".millrace"));
}

TEST_F(Program, AppliesTheConfigurationOfQueuesAndJobs) {
  std::ofstream{directory_ / "c.toml"} << "[jobs]\nbackoff_base = '5s'\n[queues.mail]\n"
                                          "rate = '10/m'\nmax_attempts = 2\n";
  const auto server =
      serve({"--config", "c.toml"}, {"MAX_RETRY_ATTEMPTS=6", "DLQ_RETENTION_DAYS=2"});
  const ended shown = run({"queue", "show", "mail"});
  EXPECT_TRUE(holds(shown.out, "rate                 10/1m")) << shown.out;
  const ended of_queue = run({"enqueue", "mail", "--json"});
  EXPECT_TRUE(holds(of_queue.out, R"("max_attempts":2)")) << of_queue.out;
  const ended of_variable = run({"enqueue", "other", "--json"});
  EXPECT_TRUE(holds(of_variable.out, R"("max_attempts":7)")) << of_variable.out;
  EXPECT_TRUE(holds(run({"queue", "show", "other"}).out, "keep dead            2d"));
  EXPECT_EQ(stop(*server), 0) << server->err();
}

/// The same program, with everything in a Redis.
class ProgramOnRedis : public Program {
protected:
  ended at(const child_process& server, words args) {
    args.insert(args.end(), {"--url", address_of(server)});
    return run(std::move(args));
  }

  redis::testing::redis_server redis_{{"--appendonly", "yes", "--appendfsync", "always"}};
};

TEST_F(ProgramOnRedis, SharesItsJobsAmongServersAndLeavesNothingInTheDirectory) {
  const auto first = serve({"--redis", redis_.url()});
  EXPECT_TRUE(holds(first->out(), "data      " + redis_.url() + "/0 (redis engine, durable)\n"))
      << first->out();
  const auto second = serve({}, {"MILLRACE_REDIS_URL=" + redis_.url()});
  const ended made = at(*first, {"enqueue", "mail", "7"});
  ASSERT_EQ(made.code, 0) << made.err;
  const std::string program = script("work", "read job\necho 42\n");
  child_process worker{
      command({"worker", "--queue", "mail", "--exec", program, "--url", address_of(*second)}),
      directory_};
  const ended done = at(*first, {"job", made.out.substr(0, made.out.size() - 1), "--watch"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(stop(worker), 0) << worker.err();
  EXPECT_EQ(stop(*first), 0) << first->err();
  EXPECT_EQ(stop(*second), 0) << second->err();
  EXPECT_FALSE(std::filesystem::exists(directory_ / ".millrace"));
}

TEST_F(ProgramOnRedis, TellsThatItsRedisIsLostAndThatItIsBack) {
  const auto server = serve({"--redis", redis_.url()});
  redis_.kill();
  EXPECT_TRUE(server->wait_for_error(" warning store_lost code=")) << server->err();
  const ended numbers = at(*server, {"cache", "stats"});
  EXPECT_EQ(numbers.code, 0) << numbers.err;
  EXPECT_TRUE(numbers.out.starts_with("store        away: ")) << numbers.out;
  EXPECT_TRUE(holds(numbers.out, "\nhits         0\n")) << numbers.out;
  child_process scrape{{"/usr/bin/curl", "-fsS", address_of(*server) + "/metrics"}, directory_};
  EXPECT_EQ(scrape.wait(), 0) << scrape.err();
  EXPECT_TRUE(holds(scrape.out(), "\nmillrace_store_up 0\n")) << scrape.out();
  EXPECT_TRUE(holds(scrape.out(), "\nmillrace_cache_hits_total 0\n")) << scrape.out();
  redis_.restart();
  EXPECT_TRUE(server->wait_for_error(" info store_back away_seconds=")) << server->err();
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(ProgramOnRedis, SaysWhatIsWrongWithTheServer) {
  const ended no_url = run({"serve", "--redis", "localhost"});
  EXPECT_EQ(no_url.code, 2);
  EXPECT_TRUE(holds(no_url.err, "--redis")) << no_url.err;
  const ended nobody = run({"serve", "--redis", "redis://127.0.0.1:1"});
  EXPECT_EQ(nobody.code, 4);
  EXPECT_TRUE(holds(nobody.err, "127.0.0.1:1")) << nobody.err;
  const ended stranger =
      run({"serve", "--redis", "redis://nobody:secret@127.0.0.1:" + std::to_string(redis_.port())});
  EXPECT_EQ(stranger.code, 1);
  EXPECT_TRUE(holds(stranger.err, "password")) << stranger.err;
  EXPECT_FALSE(holds(stranger.err, "secret")) << stranger.err;
}

TEST_F(ProgramOnRedis, HasNoBackupOfItsOwn) {
  const auto server = serve({"--redis", redis_.url()});
  const ended refused = at(*server, {"backup", "copy"});
  EXPECT_NE(refused.code, 0);
  EXPECT_TRUE(holds(refused.err, "redis engine has no backup")) << refused.err;
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, WritesItsPidFileAndTakesItAway) {
  const auto server = serve({"--pid-file", "pid", "--log-format", "json"});
  std::ifstream file{directory_ / "pid"};
  pid_t written = 0;
  file >> written;
  EXPECT_EQ(written, server->pid());
  EXPECT_EQ(stop(*server), 0) << server->err();
  EXPECT_FALSE(std::filesystem::exists(directory_ / "pid"));
  EXPECT_TRUE(server->err().starts_with("{\"time\":\"")) << server->err();
}

TEST_F(Program, WorkerRunsJobsAndHandsTheirResultsBack) {
  const auto server = serve();
  const std::string program =
      script("work", "read job\necho \"::progress 0.5 half\"\necho \"arg $1\"\necho 42\n");
  child_process worker{
      command({"worker", "--queue", "mail:2", "--queue", "other", "--exec", program, "--", "--x"}),
      directory_};
  const ended done = run({"enqueue", "mail", "1", "--wait"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.out, "42\n");
  EXPECT_TRUE(holds(done.err, "log: arg --x\n")) << done.err;
  EXPECT_EQ(stop(worker), 0) << worker.err();
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, AJobThatCanNeverBeDoneIsADeadLetter) {
  const auto server = serve();
  const std::string program = script("work", "echo 'no such page' >&2\nexit 65\n");
  child_process worker{command({"worker", "--queue", "mail", "--exec", program}), directory_};
  const ended failed = run({"enqueue", "mail", "1", "--wait"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_TRUE(holds(failed.err, "is dead: no such page")) << failed.err;
  EXPECT_TRUE(holds(run({"dlq", "ls", "mail"}).out, "no such page"));
  EXPECT_EQ(stop(worker), 0);
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, WorkerSaysWhatIsWrongWithItsProgram) {
  const auto server = serve();
  const ended absent = run({"worker", "--queue", "mail", "--exec", "./absent"});
  EXPECT_EQ(absent.code, 2);
  EXPECT_TRUE(holds(absent.err, "absent")) << absent.err;
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, BacksUpWhileItServesAndRestores) {
  auto server = serve();
  const ended made = run({"enqueue", "mail", "7"});
  const ended kept = run({"backup", "copy"});
  EXPECT_EQ(kept.code, 0) << kept.err;
  EXPECT_EQ(run({"backup", "copy"}).code, 2);
  EXPECT_EQ(stop(*server), 0) << server->err();
  const ended restored = run({"restore", "copy", "--data", "restored"});
  EXPECT_EQ(restored.code, 0) << restored.err;
  EXPECT_EQ(run({"restore", "copy", "--data", "restored"}).code, 1);
  server = serve({"--data", "restored"});
  const ended job =
      run({"job", made.out.substr(0, made.out.size() - 1), "--url", address_of(*server)});
  EXPECT_EQ(job.code, 0) << job.err;
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, AStopEndsLongPollsAndStreamsAtOnce) {
  const auto server = serve();
  const ended made = run({"enqueue", "mail", "--delay", "1h"});
  const std::string id = made.out.substr(0, made.out.size() - 1);
  child_process watcher{command({"job", id, "--watch"}), directory_};
  ASSERT_TRUE(watcher.wait_for_error("scheduled")) << watcher.err();
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(stop(*server), 0) << server->err();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds{5});
}

TEST_F(Program, ReadsThePoliciesOfLimitsAnewAtAHangup) {
  const auto write = [this](std::string_view limits) {
    std::ofstream{directory_ / "m.toml"} << "[limits.policies.chat]\nlimits = [" << limits << "]\n";
  };
  write(R"({ scope = "user", limit = 1, window = "1h" })");
  const auto server = serve({"--config", "m.toml"});
  const words check{"limit", "check", "--policy", "chat", "user=42"};
  EXPECT_EQ(run(check).code, 0);
  EXPECT_EQ(run(check).code, 1);
  write(R"({ scope = "user", limit = 0, window = "1h" })");
  server->signal(SIGHUP);
  ASSERT_TRUE(server->wait_for_error("limits_not_reloaded")) << server->err();
  EXPECT_EQ(run(check).code, 1) << "what makes no sense changes nothing";
  write(R"({ scope = "user", limit = 2, window = "1h" })");
  server->signal(SIGHUP);
  ASSERT_TRUE(server->wait_for_error("limits_reloaded")) << server->err();
  EXPECT_EQ(run(check).code, 0) << "what was counted counts on";
  EXPECT_EQ(run(check).code, 1);
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, ReadsTheFamiliesOfTheCacheAnewAtAHangup) {
  const auto write = [this](std::string_view families) {
    std::ofstream{directory_ / "config.toml"} << families;
  };
  write("[cache.families.user]\npattern = 'user:{id}'\nttl = '1h'\n");
  const auto server = serve({"--config", "config.toml"});
  ASSERT_EQ(run({"cache", "set", "user:7", "Ann"}).code, 0);
  EXPECT_EQ(run({"cache", "get", "user:7"}).code, 0);
  write("[cache.families.user]\npattern = 'user:{id}'\nttl = 'soon'\n");
  server->signal(SIGHUP);
  ASSERT_TRUE(server->wait_for_error("families_not_reloaded")) << server->err();
  EXPECT_TRUE(holds(run({"cache", "families"}).out, "user:{id}"));
  write(
      "[cache.families.user]\npattern = 'user:{id}'\nttl = '2h'\n"
      "[cache.families.bot]\npattern = 'bot:{id}'\n");
  server->signal(SIGHUP);
  ASSERT_TRUE(server->wait_for_error("families_reloaded")) << server->err();
  const std::string shown = run({"cache", "families"}).out;
  EXPECT_TRUE(holds(shown, "bot:{id}") && holds(shown, "2h")) << shown;
  EXPECT_EQ(run({"cache", "get", "user:7"}).out, "Ann");
  const std::string counted = run({"cache", "stats", "--family", "user", "--json"}).out;
  EXPECT_TRUE(holds(counted, R"("family":"user","hits":2)")) << counted;
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, KeepsBudgetsOverAKill) {
  auto server = serve();
  const words check{"limit", "check", "user=42", "--limit", "100/monthly", "--cost", "60"};
  EXPECT_EQ(run(check).code, 0);
  server->signal(SIGKILL);
  EXPECT_EQ(server->wait(), 128 + SIGKILL);
  server = serve();
  EXPECT_EQ(run(check).code, 1);
  EXPECT_EQ(stop(*server), 0) << server->err();
}

const std::string first_key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const std::string next_key = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";

TEST_F(Program, KeepsFamiliesAsItsConfigurationSaysAndRefusesOtherKeys) {
  const words keys{"MILLRACE_ENCRYPTION_KEYS=" + first_key, "MILLRACE_CACHE_PROFILE=chatbots",
                   "MILLRACE_SESSIONS_ENCRYPT=true"};
  const ended no_key = run({"serve", "--listen", "127.0.0.1:0"}, {keys[1]});
  EXPECT_EQ(no_key.code, 2);
  EXPECT_TRUE(holds(no_key.err, "MILLRACE_ENCRYPTION_KEYS")) << no_key.err;
  auto server = serve({}, keys);
  ASSERT_EQ(run({"cache", "set", "auth:1", "a secret"}).code, 0);
  EXPECT_EQ(run({"cache", "get", "auth:1"}).out, "a secret");
  const std::string session = run({"session", "begin", "--data", R"({"x":"hidden"})"}).out;
  EXPECT_EQ(stop(*server), 0) << server->err();
  for (const auto& file : std::filesystem::recursive_directory_iterator(directory_)) {
    if (!file.is_regular_file()) continue;
    std::ifstream in{file.path(), std::ios::binary};
    const std::string bytes{std::istreambuf_iterator<char>{in}, {}};
    EXPECT_FALSE(holds(bytes, "a secret")) << file.path();
    EXPECT_FALSE(holds(bytes, "hidden")) << file.path();
  }

  const ended wrong =
      run({"serve", "--listen", "127.0.0.1:0"}, {"MILLRACE_ENCRYPTION_KEYS=" + next_key, keys[1]});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_TRUE(holds(wrong.err, "none of those given")) << wrong.err;
  EXPECT_FALSE(holds(wrong.err, next_key)) << wrong.err;

  server = serve({}, {"MILLRACE_ENCRYPTION_KEYS=" + next_key + "," + first_key, keys[1], keys[2]});
  EXPECT_EQ(run({"cache", "get", "auth:1"}).out, "a secret") << "an old key still reads";
  const std::string id = session.substr(0, session.find_first_of("\n "));
  EXPECT_TRUE(holds(run({"session", "show", id}).out, "hidden")) << session;
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(Program, HasNearAfterAStartWhatWasReadMostBefore) {
  auto server = serve();
  ASSERT_EQ(run({"cache", "set", "k", "v"}).code, 0);
  EXPECT_EQ(run({"cache", "get", "k"}).out, "v");
  EXPECT_EQ(stop(*server), 0) << server->err();
  server = serve();
  // The start does not wait for it.
  bool near = false;
  for (int i = 0; i < 200 && !near; ++i) {
    near = holds(run({"cache", "stats", "--json"}).out, R"("near":{"entries":1)");
  }
  EXPECT_TRUE(near);
  EXPECT_EQ(run({"cache", "get", "k"}).out, "v");
  EXPECT_TRUE(holds(run({"cache", "stats", "--json"}).out, R"("near_hits":1)"));
  EXPECT_EQ(stop(*server), 0) << server->err();
}

TEST_F(ProgramOnRedis, KeepsFamiliesSealedForAllServers) {
  const words keys{"MILLRACE_ENCRYPTION_KEYS=" + first_key, "MILLRACE_CACHE_PROFILE=chatbots"};
  const auto one = serve({"--redis", redis_.url()}, keys);
  const auto two = serve({"--redis", redis_.url()}, keys);
  ASSERT_EQ(at(*one, {"cache", "set", "auth:1", "a secret"}).code, 0);
  EXPECT_EQ(at(*two, {"cache", "get", "auth:1"}).out, "a secret");
  ASSERT_EQ(at(*one, {"cache", "set", "vector:7:a", "[1]"}).code, 0);
  EXPECT_EQ(at(*two, {"cache", "get", "vector:7:a"}).out, "[1]");
  const ended gone =
      at(*two, {"cache", "del", "--rule", "bot", "--part", "bot_id=7", "--part", "user_id=1"});
  EXPECT_EQ(gone.out, "0 deleted, 1 tags invalidated\n") << gone.err;
  EXPECT_EQ(at(*two, {"cache", "get", "vector:7:a"}).code, 3);
  EXPECT_TRUE(holds(at(*one, {"cache", "stats"}).out, "auth")) << "by family";
  const ended wrong = run({"serve", "--listen", "127.0.0.1:0", "--redis", redis_.url()},
                          {"MILLRACE_ENCRYPTION_KEYS=" + next_key, keys[1]});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_TRUE(holds(wrong.err, "none of those given")) << wrong.err;
  EXPECT_EQ(stop(*one), 0) << one->err();
  EXPECT_EQ(stop(*two), 0) << two->err();
}

}  // namespace
}  // namespace millrace
