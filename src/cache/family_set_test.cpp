#include <millrace/cache/family_set.hpp>

#include <millrace/cache/profiles.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using texts = std::vector<std::string>;

family_set declared(std::vector<family_spec> families, std::vector<invalidation_rule> rules = {}) {
  auto made = family_set::make(std::move(families), std::move(rules));
  EXPECT_TRUE(made) << made.error().field << ": " << made.error().detail;
  return std::move(*made);
}

family_set small_set() {
  return declared(
      {{.name = "bot", .pattern = "bot:{bot_id}", .tags = {"bot:{bot_id}"}},
       {.name = "bots", .pattern = "bots:user:{user_id}"},
       {.name = "vector", .pattern = "vector:{bot_id}:{query_hash}", .tags = {"all:vectors"}},
       {.name = "managers", .pattern = "users:managers"},
       {.name = "users", .pattern = "users:{user_id}"},
       {.name = "old", .pattern = "users:old-{user_id}"}},
      {{"bot", {"bot:{bot_id}", "bots:user:{user_id}", "vector:{bot_id}:*"}},
       {"vectors", {"#all:vectors"}}});
}

std::string family_of(const family_set& set, std::string_view key) {
  const auto found = set.match(key);
  return found ? found->of->spec.name : "none";
}

TEST(FamilySet, FindsTheFamilyThatSaysMost) {
  const auto made = family_set::make({{.name = "bot", .pattern = "bot:{bot_id}"},
                                      {.name = "users", .pattern = "users:{user_id}"},
                                      {.name = "old", .pattern = "users:old-{user_id}"},
                                      {.name = "managers", .pattern = "users:managers"},
                                      {.name = "any_x", .pattern = "users:{user_id}:x"},
                                      {.name = "managers_y", .pattern = "users:managers:y"}},
                                     {});
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_EQ(family_of(*made, "bot:7"), "bot");
  EXPECT_EQ(family_of(*made, "users:7"), "users");
  EXPECT_EQ(family_of(*made, "users:managers"), "managers");
  EXPECT_EQ(family_of(*made, "users:old-7"), "old");
  EXPECT_EQ(family_of(*made, "users:old-"), "users");
  EXPECT_EQ(family_of(*made, "users:managers:x"), "any_x");
  EXPECT_EQ(family_of(*made, "users:managers:y"), "managers_y");
  for (const std::string_view key : {"", ":", "bot", "bot:", "bot:7:x", "users:7:y", "Bot:7"}) {
    EXPECT_EQ(family_of(*made, key), "none") << key;
  }
}

TEST(FamilySet, GivesThePartsOfAKey) {
  const family_set set = small_set();
  const auto found = set.match("vector:7:abc");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->parts.count, 2U);
  EXPECT_EQ(found->parts.values[0], "7");
  EXPECT_EQ(found->parts.values[1], "abc");
}

TEST(FamilySet, RefusesAnAmbiguousDeclaration) {
  const auto made = family_set::make(
      {{.name = "a", .pattern = "k:{x}:b"}, {.name = "b", .pattern = "k:a:{y}"}}, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "ambiguous_pattern");
  EXPECT_EQ(made.error().field, "cache.families.b.pattern");
  EXPECT_FALSE(
      family_set::make({{.name = "a", .pattern = "k:{x}"}, {.name = "a", .pattern = "l:{x}"}}, {}));
}

TEST(FamilySet, BuildsAKeyOrSaysWhatIsWrong) {
  const family_set set = small_set();
  const key_part parts[] = {{"bot_id", "7"}, {"query_hash", "abc"}};
  EXPECT_EQ(*set.key("vector", parts), "vector:7:abc");
  EXPECT_EQ(set.key("vectors", parts).error().code, "unknown_family");
  EXPECT_EQ(set.key("bot", parts).error().code, "unknown_part");
  EXPECT_EQ(set.key("vector", std::span(parts).first(1)).error().code, "missing_part");
}

TEST(FamilySet, GivesTheTagsOfAnEntry) {
  const family_set set = small_set();
  EXPECT_EQ(family_set::tags(*set.match("bot:7")), texts{"bot:7"});
  // The second one is what the rule removes by.
  EXPECT_EQ(family_set::tags(*set.match("vector:7:abc")), (texts{"all:vectors", "vector:7:*"}));
  EXPECT_EQ(family_set::tags(*set.match("users:7")), texts{});
}

TEST(FamilySet, ExpandsARule) {
  const family_set set = small_set();
  const key_part parts[] = {{"bot_id", "7"}, {"user_id", "42"}};
  const auto bot = set.expand("bot", parts);
  ASSERT_TRUE(bot) << bot.error().detail;
  EXPECT_EQ(bot->keys, (texts{"bot:7", "bots:user:42"}));
  EXPECT_EQ(bot->tags, texts{"vector:7:*"});
  EXPECT_EQ(bot->prefixes, texts{});
  EXPECT_EQ(set.expand("bot", std::span(parts).first(1)).error().field, "user_id");
  EXPECT_EQ(set.expand("bots", parts).error().code, "unknown_rule");
}

TEST(FamilySet, ABeginningThatNoFamilyHasIsAWalk) {
  const family_set set = declared({{.name = "vector", .pattern = "vector:{bot_id}:{query_hash}"}},
                                  {{"r", {"search:{bot_id}:*", "vector:{bot_id}:ab*", "#all"}}});
  const key_part parts[] = {{"bot_id", "7"}};
  const auto made = set.expand("r", parts);
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_EQ(made->prefixes, (texts{"search:7:", "vector:7:ab"}));
  EXPECT_EQ(made->tags, texts{"all"});
}

// A literal of a family stands where the rule has a part: the tag goes by what the key says.
TEST(FamilySet, ARuleReachesFamiliesThatSayMore) {
  const family_set set = declared({{.name = "any", .pattern = "user:{id}:profile"},
                                   {.name = "me", .pattern = "user:me:settings"}},
                                  {{"user", {"user:{user_id}:*"}}});
  EXPECT_EQ(family_set::tags(*set.match("user:me:settings")), texts{"user:me:*"});
  EXPECT_EQ(family_set::tags(*set.match("user:7:profile")), texts{"user:7:*"});
  const key_part parts[] = {{"user_id", "me"}};
  EXPECT_EQ(set.expand("user", parts)->tags, texts{"user:me:*"});
}

// Every read looks its family up the quick way; puts take the key apart as well.
TEST(FamilySet, TheQuickLookFindsTheSameFamily) {
  const family_set set = declared({{.name = "a", .pattern = "user:{id}"},
                                   {.name = "b", .pattern = "user:me"},
                                   {.name = "c", .pattern = "user:me:settings"},
                                   {.name = "d", .pattern = "user:{id}:profile"},
                                   {.name = "e", .pattern = "user:v{id}"},
                                   {.name = "f", .pattern = "a-long-word-there-is:{id}"},
                                   {.name = "g", .pattern = "x:{a}:{b}:{c}"},
                                   {.name = "h", .pattern = "v{n}:of"},
                                   {.name = "i", .pattern = "u"}},
                                  {});
  const texts fields{"",
                     "user",
                     "me",
                     "settings",
                     "profile",
                     "v7",
                     "v",
                     "7",
                     "x",
                     "a-long-word-there-is",
                     "a-long-word-there-it",
                     "of",
                     "users",
                     "u",
                     "us",
                     "use",
                     "settingz",
                     "a-long-w"};
  std::size_t found = 0;
  const auto same = [&](const std::string& key) {
    const auto match = set.match(key);
    const family* const quick = set.family_of(key);
    EXPECT_EQ(quick, match ? match->of : nullptr) << key;
    found += quick != nullptr ? 1 : 0;
  };
  for (const std::string& one : fields) {
    same(one);
    for (const std::string& two : fields) {
      same(one + ':' + two);
      for (const std::string& three : fields) {
        same(one + ':' + two + ':' + three);
        same(one + ':' + two + ':' + three + ":x");
      }
    }
  }
  EXPECT_GT(found, 300U);
}

TEST(FamilySet, RefusesRulesThatDoNotHold) {
  const std::vector<family_spec> families{{.name = "bot", .pattern = "bot:{bot_id}"}};
  for (const texts& removes : {texts{}, texts{"*"}, texts{"bot*"}, texts{"bot:{bot_id"},
                               texts{"a*b:c"}, texts{"old:{bot_id}-*"}}) {
    const auto made = family_set::make(families, {{"r", removes}});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().field, "cache.rules.r.removes");
  }
  EXPECT_FALSE(family_set::make(families, {{"r", {"bot:{b}"}}, {"r", {"bot:{b}"}}}));
}

TEST(Profiles, AllHoldEachAndTogether) {
  std::vector<std::string_view> names;
  for (const profile& one : ready_profiles()) {
    const auto made = family_set::make(one.families, one.rules);
    EXPECT_TRUE(made) << one.name << ": " << made.error().field << ": " << made.error().detail;
    names.push_back(one.name);
  }
  const auto joined = join_profiles(names);
  ASSERT_TRUE(joined);
  const auto all = family_set::make(joined->families, joined->rules);
  ASSERT_TRUE(all) << all.error().field << ": " << all.error().detail;
  EXPECT_EQ(family_of(*all, "vector:7:abc"), "vector");
  EXPECT_EQ(family_of(*all, "vector:search:abc:9"), "vector_search");
  EXPECT_EQ(family_of(*all, "users:analysts:3"), "analysts");
  EXPECT_EQ(family_of(*all, "auth:3f"), "auth");
  EXPECT_EQ(join_profiles(std::vector<std::string_view>{"shop"}).error().code, "unknown_profile");
}

// What the documents of the five backends write down.
TEST(Profiles, HaveTheTimesAndRulesOfTheirDocuments) {
  const auto joined = *join_profiles(
      std::vector<std::string_view>{"mail", "studio", "flows", "chatbots", "documents"});
  const family_set set = *family_set::make(joined.families, joined.rules);
  const std::pair<std::string_view, duration> times[] = {
      {"style", 24h},         {"project_data", 3600s},  {"bot", 3600s},
      {"source", 3600s},      {"user", 900s},           {"vector", 600s},
      {"flow_state", 300s},   {"flow_meta", 3600s},     {"job_status", 5s},
      {"doc_summary", 3600s}, {"vector_search", 1800s}, {"graph", 600s},
      {"managers", 300s},     {"analysts", 300s},       {"doc_transcription", 3600s}};
  for (const auto& [name, ttl] : times) {
    ASSERT_NE(set.find(name), nullptr) << name;
    EXPECT_EQ(set.find(name)->spec.ttl, ttl) << name;
  }
  EXPECT_TRUE(set.find("auth")->spec.encrypt);
  const key_part parts[] = {{"bot_id", "7"}, {"user_id", "42"}, {"source_id", "5"}};
  EXPECT_EQ(set.expand("bot", parts)->keys, (texts{"bot:7", "bots:user:42"}));
  EXPECT_EQ(set.expand("bot", parts)->tags, texts{"vector:7:*"});
  EXPECT_EQ(set.expand("source", parts)->keys, texts{"source:5"});
  EXPECT_EQ(set.expand("source", parts)->tags, texts{"vector:7:*"});
}

}  // namespace
}  // namespace millrace::cache
