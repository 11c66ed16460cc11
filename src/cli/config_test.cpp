#include "config.hpp"

#include "captured.hpp"

#include <millrace/queue/queue.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::cli {
namespace {

using namespace std::chrono_literals;

class LoadSettings : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "millrace-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    file_ = directory_ / "c.toml";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] result<serve_settings> load(std::string_view toml,
                                            std::vector<std::string> flags = {}) {
    std::vector<std::string> args{"serve"};
    if (!toml.empty()) {
      std::ofstream{file_} << toml;
      args.insert(args.end(), {"--config", file_.string()});
    }
    args.insert(args.end(), flags.begin(), flags.end());
    const surroundings around = world_.around();
    return load_settings(parsed(std::move(args)).in, around);
  }

  // What is wrong with a file, without the directory's name.
  [[nodiscard]] std::string complaint(std::string_view toml) {
    const auto loaded = load(toml);
    if (loaded) return "none";
    const std::string& field = loaded.error().field;
    return field.substr(field.rfind('/') + 1) + "| " + loaded.error().detail;
  }

  captured world_;
  std::filesystem::path directory_;
  std::filesystem::path file_;
};

TEST_F(LoadSettings, NeedsNeitherFileNorVariable) {
  const auto loaded = load("");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->listen, std::vector<std::string>{"127.0.0.1:7070"});
  EXPECT_EQ(loaded->data, ".millrace");
  EXPECT_EQ(loaded->engine.defaults, engine::queue_settings{});
  EXPECT_TRUE(loaded->warnings.empty());
}

TEST_F(LoadSettings, CountsFlagsBeforeVariablesBeforeTheFile) {
  constexpr std::string_view toml = "threads = 2\nlog_level = 'debug'\ndata = 'from-file'\n";
  world_.variables = {{"MILLRACE_THREADS", "3"}, {"MILLRACE_LOG_LEVEL", "error"}};
  const auto loaded = load(toml, {"--threads", "4"});
  ASSERT_TRUE(loaded) << loaded.error().detail;
  EXPECT_EQ(loaded->threads, 4U);
  EXPECT_EQ(loaded->log_level, observe::log_level::error);
  EXPECT_EQ(loaded->data, "from-file");
}

TEST_F(LoadSettings, ReadsEveryKindOfValue) {
  const auto loaded = load(R"(
listen = ["127.0.0.1:1", "[::1]:2"]
host_names = "queue.internal"
[jobs]
max_attempts = 7
backoff_base = "500ms"
backoff_max = 90
backoff_strategy = "linear"
keep_dead = "30d"
[embedded]
hot_jobs = "16MiB"
async_window = 0.25
[limits]
body = 1048576
)");
  ASSERT_TRUE(loaded) << loaded.error().field << loaded.error().detail;
  EXPECT_EQ(loaded->listen, (std::vector<std::string>{"127.0.0.1:1", "[::1]:2"}));
  EXPECT_EQ(loaded->host_names, std::vector<std::string>{"queue.internal"});
  EXPECT_EQ(loaded->engine.defaults.max_attempts, 7U);
  EXPECT_EQ(loaded->engine.defaults.backoff->base, 500ms);
  EXPECT_EQ(loaded->engine.defaults.backoff->max, 90s);
  EXPECT_EQ(loaded->engine.defaults.backoff->strategy, backoff_strategy::linear);
  EXPECT_EQ(loaded->engine.defaults.keep_dead, duration{24h * 30});
  EXPECT_EQ(loaded->engine.hot_jobs_bytes, 16U << 20U);
  EXPECT_EQ(loaded->engine.async_window, 250ms);
  EXPECT_EQ(loaded->body_bytes_max, 1048576U);
}

TEST_F(LoadSettings, AcceptsTheNamesOfOtherBackends) {
  world_.variables = {{"MAX_RETRY_ATTEMPTS", "3"},    {"RETRY_BACKOFF_BASE_SECONDS", "5"},
                      {"DLQ_RETENTION_DAYS", "2"},    {"SERVER_ID", "left"},
                      {"REDIS_URL", "redis://there"}, {"CACHE_DEFAULT_TTL", "300"}};
  const auto loaded = load("");
  ASSERT_TRUE(loaded) << loaded.error().detail;
  EXPECT_EQ(loaded->engine.defaults.max_attempts, 4U);
  EXPECT_EQ(loaded->engine.defaults.backoff->base, 5s);
  EXPECT_EQ(loaded->engine.defaults.keep_dead, duration{48h});
  EXPECT_EQ(loaded->server_id, "left");
  EXPECT_EQ(loaded->engine.redis.url, "redis://there");
}

TEST_F(LoadSettings, KeepsEverythingInItsDirectoryUnlessRedisIsNamed) {
  EXPECT_EQ(load("")->engine.redis.url, "");
  const auto loaded = load(
      "[redis]\nurl = 'rediss://cache:7000/2'\nprefix = 'shop'\nca_file = 'ca.pem'\n"
      "durability = 'async'\nrequest_timeout = '500ms'\nbusy_poll = '0.2ms'\n");
  ASSERT_TRUE(loaded) << loaded.error().detail;
  const redis_settings& redis = loaded->engine.redis;
  EXPECT_EQ(redis.url, "rediss://cache:7000/2");
  EXPECT_TRUE(redis.url_from.ends_with("c.toml:2: redis.url")) << redis.url_from;
  EXPECT_EQ(redis.prefix, "shop");
  EXPECT_EQ(redis.ca_file, "ca.pem");
  EXPECT_EQ(redis.strongest, engine::durability::async);
  EXPECT_EQ(redis.request_timeout, 500ms);
  EXPECT_EQ(redis.busy_poll, 200us);
  EXPECT_TRUE(loaded->warnings.empty());
  const auto long_awake = load("[redis]\nbusy_poll = '2ms'\n");
  ASSERT_FALSE(long_awake);
  EXPECT_TRUE(long_awake.error().field.ends_with("redis.busy_poll")) << long_awake.error().field;
}

TEST_F(LoadSettings, PutsAnAddressOfRedisTogetherFromItsPieces) {
  world_.variables = {{"REDIS_HOST", "::1"}, {"REDIS_PASSWORD", "a:b@c"}, {"REDIS_DB", "3"}};
  EXPECT_EQ(load("")->engine.redis.url, "redis://:a%3Ab%40c@[::1]:6379/3");
  world_.variables["REDIS_PORT"] = "7000";
  EXPECT_EQ(load("")->engine.redis.url, "redis://:a%3Ab%40c@[::1]:7000/3");
  EXPECT_EQ(load("[redis]\nurl = 'redis://file'\n")->engine.redis.url, "redis://file");
  world_.variables["REDIS_URL"] = "redis://theirs";
  EXPECT_EQ(load("")->engine.redis.url, "redis://theirs");
  world_.variables["MILLRACE_REDIS_URL"] = "redis://ours";
  EXPECT_EQ(load("")->engine.redis.url, "redis://ours");
  EXPECT_EQ(load("", {"--redis", "redis://flag"})->engine.redis.url, "redis://flag");
  EXPECT_EQ(load("", {"--redis", "none"})->engine.redis.url, "");
}

TEST_F(LoadSettings, WarnsOfADirectoryThatRedisDoesNotUse) {
  const auto loaded = load("", {"--redis", "redis://there", "--data", "elsewhere"});
  ASSERT_EQ(loaded->warnings.size(), 1U);
  EXPECT_TRUE(loaded->warnings[0].contains("elsewhere is not used")) << loaded->warnings[0];
}

TEST_F(LoadSettings, RefusesABrokenPieceOfRedis) {
  world_.variables = {{"REDIS_PORT", "70000"}};
  const auto loaded = load("");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().field, "REDIS_PORT");
  EXPECT_TRUE(complaint("[redis]\nprefix = 'a b'\n").starts_with("c.toml:2: redis.prefix|"));
}

TEST_F(LoadSettings, CountsItsOwnNamesBeforeThoseOfOthers) {
  world_.variables = {{"MAX_RETRY_ATTEMPTS", "9"}, {"MILLRACE_JOBS_MAX_ATTEMPTS", "2"}};
  EXPECT_EQ(load("")->engine.defaults.max_attempts, 2U);
}

TEST_F(LoadSettings, TakesAnEmptyVariableAsUnset) {
  world_.variables = {{"MILLRACE_THREADS", ""}, {"MILLRACE_CONFIG", ""}};
  EXPECT_EQ(load("")->threads, 0U);
}

TEST_F(LoadSettings, WarnsOfAVariableThatMeansNothing) {
  world_.variables = {{"MILLRACE_LISTN", "127.0.0.1:1"}, {"MILLRACE_URL", "http://a:1"}};
  const auto loaded = load("");
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->warnings.size(), 1U);
  EXPECT_EQ(loaded->warnings.front(),
            "the variable MILLRACE_LISTN means nothing here; did you mean MILLRACE_LISTEN?");
}

TEST_F(LoadSettings, NamesAnUnknownKeyItsPlaceAndTheNearest) {
  EXPECT_EQ(complaint("\nthread = 3\n"), "c.toml:2| unknown key 'thread'; did you mean 'threads'?");
  EXPECT_EQ(complaint("[jobs]\nmax_attempt = 3\n"),
            "c.toml:2| unknown key 'jobs.max_attempt'; did you mean 'jobs.max_attempts'?");
  EXPECT_EQ(complaint("[queues.mail]\n\nrat = '1/s'\n"),
            "c.toml:3| unknown key 'queues.mail.rat'; did you mean 'rate'?");
  EXPECT_TRUE(complaint("frobnicate = 1\n")
                  .starts_with("c.toml:1| unknown key 'frobnicate'; known are listen, "));
  EXPECT_TRUE(complaint("[queues]\nmail = 1\n").starts_with("c.toml:2| unknown key 'queues.mail'"));
}

TEST_F(LoadSettings, NamesKeyValueAndWhatIsAllowed) {
  EXPECT_EQ(complaint("threads = 0\n"),
            "c.toml:1: threads| 0 is not a whole number from 1 to 1024");
  EXPECT_EQ(complaint("threads = 'two'\n"),
            "c.toml:1: threads| 'two' is not a whole number from 1 to 1024");
  EXPECT_EQ(complaint("log_format = 'xml'\n"),
            "c.toml:1: log_format| 'xml' is not one of text, json");
  EXPECT_EQ(complaint("data = 3\n"), "c.toml:1: data| 3 is not a text in quotes");
  EXPECT_EQ(complaint("listen = []\n"),
            "c.toml:1: listen| [] is not an address like 127.0.0.1:7070");
  EXPECT_TRUE(complaint("[jobs]\nkeep_dead = '-1s'\n")
                  .starts_with("c.toml:2: jobs.keep_dead| '-1s' is not "));
  EXPECT_TRUE(
      complaint("[jobs]\nkeep_dead = -1\n").starts_with("c.toml:2: jobs.keep_dead| -1 is not "));
  EXPECT_TRUE(
      complaint("[limits]\nbody = '3TB'\n").starts_with("c.toml:2: limits.body| '3TB' is not "));
  EXPECT_EQ(complaint("listen = [1]\n"),
            "c.toml:1: listen| is neither a text, a number, true or false, nor a list of texts");
}

TEST_F(LoadSettings, NamesTheVariableOrOptionThatIsWrong) {
  world_.variables = {{"MAX_RETRY_ATTEMPTS", "many"}};
  EXPECT_EQ(load("").error().field, "MAX_RETRY_ATTEMPTS");
  world_.variables.clear();
  EXPECT_EQ(load("", {"--threads", "x"}).error().field, "--threads");
}

TEST_F(LoadSettings, SaysWhereAFileIsBroken) {
  EXPECT_TRUE(complaint("threads = 1\ndata = \n").starts_with("c.toml:2| is no TOML: "));
  world_.variables = {{"MILLRACE_CONFIG", (directory_ / "absent.toml").string()}};
  const auto loaded = load("");
  ASSERT_FALSE(loaded);
  EXPECT_TRUE(loaded.error().field.ends_with("absent.toml"));
}

TEST_F(LoadSettings, ReadsQueuesAsChangesOfTheirSettings) {
  const auto loaded = load(R"(
[queues.mail]
rate = "100/m"
concurrency = 8
backoff_base = "5s"
durability = "async"
[queues."video.{gpu}"]
max_attempts = 2
)");
  ASSERT_TRUE(loaded) << loaded.error().field << loaded.error().detail;
  ASSERT_EQ(loaded->queues.size(), 2U);
  engine::queue_settings settings{.group_concurrency = 3};
  for (const auto& change : loaded->queues.at("mail")) change(settings);
  EXPECT_EQ(settings.rate, (engine::rate_bound{.limit = 100, .per = 60s}));
  EXPECT_EQ(settings.concurrency, 8U);
  EXPECT_EQ(settings.group_concurrency, 3U);
  EXPECT_EQ(settings.backoff->base, 5s);
  EXPECT_EQ(settings.level, engine::durability::async);
}

// The same bounds as over HTTP, so that what one takes the other does not refuse.
TEST_F(LoadSettings, TakesTheEdgesOfEverySettingOfAQueue) {
  const std::pair<std::string_view, std::array<std::string_view, 4>> edges[] = {
      {"concurrency", {"0", "1000000", "-1", "1000001"}},
      {"group_concurrency", {"0", "1000000", "-1", "1000001"}},
      {"depth_max", {"0", "1000000000000", "-1", "1000000000001"}},
      {"keep_finished_count", {"0", "1000000000000", "-1", "1000000000001"}},
      {"keep_finished", {"0", "316224000", "-1", "316224001"}},
      {"keep_dead", {"0", "316224000", "-1", "316224001"}},
      {"max_attempts", {"1", "1000", "0", "1001"}},
      {"backoff_base", {"0", "2592000", "-1", "2592001"}},
      {"backoff_max", {"0", "2592000", "-1", "2592001"}},
      {"priority_step_on_failure", {"-9", "9", "-10", "10"}},
  };
  for (const auto& [key, values] : edges) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto loaded = load(fmt::format("[queues.mail]\n{} = {}\n", key, values[i]));
      EXPECT_EQ(loaded.has_value(), i < 2) << key << " = " << values[i];
      if (!loaded) continue;
      engine::queue_settings settings;
      for (const auto& change : loaded->queues.at("mail")) change(settings);
      EXPECT_TRUE(check(settings)) << key << " = " << values[i];
    }
  }
  EXPECT_EQ(load("[jobs]\nkeep_dead = 0\ndepth_max = 0\n")->engine.defaults.depth_max, 0U);
}

TEST_F(LoadSettings, PutsTheCachesOwnLifeBeforeThatOfRedis) {
  EXPECT_FALSE(load("")->cache_ttl);
  world_.variables["REDIS_TTL"] = "600";
  EXPECT_EQ(load("")->cache_ttl, 600s);
  EXPECT_TRUE(load("")->warnings.empty());
  world_.variables["CACHE_DEFAULT_TTL"] = "300";
  const auto both = load("");
  EXPECT_EQ(both->cache_ttl, 300s);
  ASSERT_EQ(both->warnings.size(), 1U);
  EXPECT_NE(both->warnings[0].find("REDIS_TTL"), std::string::npos);
  world_.variables["MILLRACE_CACHE_DEFAULT_TTL"] = "5m";
  EXPECT_EQ(load("[cache]\ndefault_ttl = 7\nbytes = '2MiB'\n")->cache_ttl, 5min);
  EXPECT_EQ(load("[cache]\nbytes = '2MiB'\n")->engine.cache_bytes_max, 2U << 20U);
  const auto near = load("[cache]\nnear_bytes = '1MiB'\nnear_age = '500ms'\n");
  EXPECT_EQ(near->engine.near_bytes, 1U << 20U);
  EXPECT_EQ(near->engine.near_age, 500ms);
  EXPECT_EQ(load("[cache]\nnear_bytes = 0\n")->engine.near_bytes, 0U);
  EXPECT_EQ(load("")->engine.near_age, 2s);
  world_.variables["CACHE_DEFAULT_TTL"] = "0";
  EXPECT_EQ(load("").error().field, "CACHE_DEFAULT_TTL");
}

TEST_F(LoadSettings, SaysWhatHoldsForSessions) {
  const auto loaded =
      load("[sessions]\nidle = '2h'\nabsolute = '7d'\nmax_per_user = 5\nwhen_full = 'refuse'\n");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->sessions.idle, std::chrono::hours{2});
  EXPECT_EQ(loaded->sessions.absolute, std::chrono::hours{7 * 24});
  EXPECT_EQ(loaded->sessions.max_per_user, 5U);
  EXPECT_EQ(loaded->sessions.when_full, engine::session_overflow::refuse);
  EXPECT_FALSE(load("[sessions]\nidle = '0s'\n"));
  EXPECT_FALSE(load("[sessions]\nmax_per_user = 1001\n"));
  EXPECT_FALSE(load("[sessions]\nwhen_full = 'maybe'\n"));
}

TEST_F(LoadSettings, ChecksQueues) {
  EXPECT_TRUE(complaint("[queues.mail]\nrate = 'fast'\n")
                  .starts_with("c.toml:2: queues.mail.rate| 'fast' is not a rate"));
  EXPECT_TRUE(
      complaint("[queues.mail]\nrate = '0/s'\n").starts_with("c.toml:2: queues.mail.rate| "));
  EXPECT_TRUE(complaint("[queues.'a b']\nrate = '1/s'\n").starts_with("c.toml:2"));
}

}  // namespace
}  // namespace millrace::cli
