#include <millrace/cache/family_settings.hpp>

#include <millrace/cache/profiles.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using lines = std::vector<setting>;

environment variables(std::map<std::string, std::string, std::less<>> given) {
  return [given = std::move(given)](std::string_view name) -> std::optional<std::string> {
    const auto found = given.find(name);
    if (found == given.end()) return std::nullopt;
    return found->second;
  };
}

TEST(FamilySettings, ReadsAllOfThem) {
  const auto made = parse_family("vector", lines{{"pattern", {"vector:{bot_id}:{query_hash}"}},
                                                 {"ttl", {"10m"}},
                                                 {"jitter", {"0.25"}},
                                                 {"tags", {"bot:{bot_id}", "vectors:all"}},
                                                 {"compress_above", {"4KiB"}},
                                                 {"encrypt", {"true"}},
                                                 {"stale_while_revalidate", {"30s"}},
                                                 {"stale_if_error", {"1h"}},
                                                 {"negative_ttl", {"5s"}},
                                                 {"adaptive", {"100:1h", "10:10m", "5m"}},
                                                 {"outage", {"serve_stale"}},
                                                 {"outage_for", {"60s"}},
                                                 {"local", {"true"}},
                                                 {"warm", {"100"}}});
  ASSERT_TRUE(made) << made.error().field << ": " << made.error().detail;
  const family_spec expected{.name = "vector",
                             .pattern = "vector:{bot_id}:{query_hash}",
                             .ttl = 10min,
                             .jitter = 0.25,
                             .tags = {"bot:{bot_id}", "vectors:all"},
                             .compress_above = 4096,
                             .encrypt = true,
                             .stale_while_revalidate = 30s,
                             .stale_if_error = 1h,
                             .negative_ttl = 5s,
                             .adaptive = adaptive_ttl{},
                             .outage = outage_rule::serve_stale,
                             .outage_for = 60s,
                             .warm = 100};
  EXPECT_EQ(*made, expected);
}

TEST(FamilySettings, NamesTheFieldOfEveryMistake) {
  const std::tuple<lines, std::string_view> cases[] = {
      {{}, "pattern"},
      {{{"pattern", {"{x}"}}}, "pattern"},
      {{{"pattern", {"a:{x}"}}, {"encrypt", {"true"}}}, "ttl"},
      {{{"pattern", {"a:{x}"}}, {"ttl", {"0"}}}, "ttl"},
      {{{"pattern", {"a:{x}"}}, {"ttl", {"366d"}}}, "ttl"},
      {{{"pattern", {"a:{x}"}}, {"ttl", {"-5s"}}}, "ttl"},
      {{{"pattern", {"a:{x}"}}, {"ttl", {"5s", "6s"}}}, "ttl"},
      {{{"pattern", {"a:{x}"}}, {"jitter", {"0.6"}}}, "jitter"},
      {{{"pattern", {"a:{x}"}}, {"jitter", {"nan"}}}, "jitter"},
      {{{"pattern", {"a:{x}"}}, {"tags", {"b:{y}"}}}, "tags"},
      {{{"pattern", {"a:{x}"}}, {"compress_above", {"big"}}}, "compress_above"},
      {{{"pattern", {"a:{x}"}}, {"encrypt", {"yes"}}}, "encrypt"},
      {{{"pattern", {"a:{x}"}}, {"outage", {"wait"}}}, "outage"},
      {{{"pattern", {"a:{x}"}}, {"outage", {"serve_stale"}}}, "outage_for"},
      {{{"pattern", {"a:{x}"}}, {"outage_for", {"5s"}}}, "outage_for"},
      {{{"pattern", {"a:{x}"}},
        {"outage", {"serve_stale"}},
        {"outage_for", {"5s"}},
        {"local", {"false"}}},
       "local"},
      {{{"pattern", {"a:{x}"}}, {"adaptive", {"10:10m", "100:1h", "5m"}}}, "adaptive"},
      {{{"pattern", {"a:{x}"}}, {"adaptive", {"10:10m"}}}, "adaptive"},
      {{{"pattern", {"a:{x}"}}, {"adaptive", {}}}, "adaptive"},
      {{{"pattern", {"a:{x}"}}, {"colour", {"red"}}}, "colour"},
  };
  for (const auto& [given, field] : cases) {
    const auto made = parse_family("f", given);
    ASSERT_FALSE(made) << field;
    EXPECT_EQ(made.error().field, "cache.families.f." + std::string(field)) << made.error().detail;
  }
}

TEST(FamilySettings, ReadsARule) {
  const auto made = parse_rule("bot", lines{{"removes", {"bot:{bot_id}", "vector:{bot_id}:*"}}});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->removes.size(), 2U);
  EXPECT_EQ(parse_rule("bot", lines{}).error().field, "cache.rules.bot.removes");
  EXPECT_EQ(parse_rule("bot", lines{{"remove", {"x"}}}).error().code, "unknown_setting");
}

TEST(FamilySettings, TheDefaultTimeToLiveHasAnOrder) {
  EXPECT_EQ(default_ttl_from(variables({}))->ttl, 1h);
  EXPECT_EQ(default_ttl_from(variables({{"REDIS_TTL", "120"}}))->ttl, 120s);
  EXPECT_EQ(default_ttl_from(variables({{"CACHE_DEFAULT_TTL", "300"}}))->ttl, 300s);
  const auto same =
      default_ttl_from(variables({{"CACHE_DEFAULT_TTL", "300"}, {"REDIS_TTL", "5m"}}));
  EXPECT_EQ(same->warning, "");
  const auto both =
      default_ttl_from(variables({{"CACHE_DEFAULT_TTL", "300"}, {"REDIS_TTL", "3600"}}));
  EXPECT_EQ(both->ttl, 300s);
  EXPECT_NE(both->warning.find("REDIS_TTL is 1h"), std::string::npos) << both->warning;
  EXPECT_EQ(default_ttl_from(variables({{"REDIS_TTL", "soon"}})).error().field, "REDIS_TTL");
  EXPECT_EQ(default_ttl_from(variables({{"CACHE_DEFAULT_TTL", "0"}})).error().field,
            "CACHE_DEFAULT_TTL");
}

TEST(FamilySettings, TheEnvironmentReplacesTimesOfProfiles) {
  auto joined = *join_profiles(std::vector<std::string_view>{"documents"});
  ASSERT_TRUE(apply_environment(joined.families, variables({{"CACHE_USER_TTL", "60"},
                                                            {"CACHE_JOB_STATUS_TTL", "2"},
                                                            {"CACHE_DOCUMENT_TTL", "120"},
                                                            {"CACHE_VECTOR_SEARCH_TTL", "30"},
                                                            {"CACHE_GRAPH_TTL", "10"}})));
  const std::map<std::string, duration> expected{
      {"user", 60s},          {"job_status", 2s},
      {"doc_summary", 120s},  {"doc_transcription", 120s},
      {"vector_search", 30s}, {"graph", 10s},
      {"managers", 300s}};
  for (const family_spec& one : joined.families) {
    const auto found = expected.find(one.name);
    if (found != expected.end()) EXPECT_EQ(one.ttl, found->second) << one.name;
  }
  EXPECT_EQ(apply_environment(joined.families, variables({{"CACHE_GRAPH_TTL", "x"}})).error().field,
            "CACHE_GRAPH_TTL");
}

}  // namespace
}  // namespace millrace::cache
