#include "configured.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace millrace::cli {
namespace {

using namespace std::chrono_literals;

class CacheConfiguration : public Configured {
protected:
  static const cache::family_spec* family(const serve_settings& of, std::string_view name) {
    const cache::family* const found = of.declared->families.find(name);
    return found == nullptr ? nullptr : &found->spec;
  }
  static constexpr std::string_view key =
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
};

TEST_F(CacheConfiguration, HasNoFamiliesWhereNoneAreSaid) {
  const auto loaded = load("");
  ASSERT_TRUE(loaded);
  EXPECT_TRUE(loaded->declared->families.families().empty());
  EXPECT_EQ(loaded->declared->ring(), nullptr);
}

TEST_F(CacheConfiguration, ReadsFamiliesAndRules) {
  world_.variables["MILLRACE_ENCRYPTION_KEYS"] = key;
  const auto loaded = load(R"(
[cache.families.style]
pattern = "style:{user_id}"
ttl = "24h"
jitter = 0.2
tags = ["user:{user_id}"]
compress_above = "4KiB"
stale_while_revalidate = 60
stale_if_error = "1h"
outage = "serve_stale"
outage_for = "30s"
warm = 50

[cache.families.token]
pattern = "token:{hash}"
ttl = 60
encrypt = true
local = false
adaptive = ["100:1h", "5m"]

[cache.rules.user]
removes = ["style:{user_id}", "#user:{user_id}"]
)");
  ASSERT_TRUE(loaded) << loaded.error().field << loaded.error().detail;
  const auto* style = family(*loaded, "style");
  ASSERT_NE(style, nullptr);
  EXPECT_EQ(style->ttl, 24h);
  EXPECT_EQ(style->jitter, 0.2);
  EXPECT_EQ(style->compress_above, 4096U);
  EXPECT_EQ(style->stale_while_revalidate, 60s);
  EXPECT_EQ(style->outage, cache::outage_rule::serve_stale);
  EXPECT_EQ(style->warm, 50U);
  const auto* token = family(*loaded, "token");
  ASSERT_NE(token, nullptr);
  EXPECT_TRUE(token->encrypt);
  EXPECT_FALSE(token->local);
  EXPECT_EQ(token->adaptive->otherwise, 5min);
  EXPECT_EQ(loaded->declared->families.rules().size(), 1U);
  EXPECT_NE(loaded->declared->ring(), nullptr);
  EXPECT_EQ(loaded->cache.keys.find("0001"), std::string::npos) << "wiped once it was read";
}

TEST_F(CacheConfiguration, TakesReadyMadeProfilesAndChangesThem) {
  world_.variables["MILLRACE_ENCRYPTION_KEYS"] = key;
  const auto loaded = load(R"(
[cache]
profile = ["chatbots", "documents"]

[cache.families.bot]
ttl = "1m"
)");
  ASSERT_TRUE(loaded) << loaded.error().field << loaded.error().detail;
  EXPECT_EQ(family(*loaded, "bot")->ttl, 60s);
  EXPECT_EQ(family(*loaded, "bot")->pattern, "bot:{bot_id}") << "the rest is as it was";
  EXPECT_EQ(family(*loaded, "user")->ttl, 900s);
  EXPECT_NE(family(*loaded, "graph"), nullptr);
  EXPECT_TRUE(std::ranges::any_of(loaded->declared->families.rules(),
                                  [](const auto& rule) { return rule.name == "bot"; }));
}

TEST_F(CacheConfiguration, TakesTimesOfOtherBackendsFromTheEnvironment) {
  world_.variables["CACHE_USER_TTL"] = "120";
  world_.variables["MILLRACE_CACHE_PROFILE"] = "documents";
  const auto loaded = load("");
  ASSERT_TRUE(loaded) << loaded.error().field << loaded.error().detail;
  EXPECT_EQ(family(*loaded, "user")->ttl, 120s);
  EXPECT_TRUE(loaded->warnings.empty());
}

TEST_F(CacheConfiguration, WarnsOfWhatNeedsMemoryThatThereIsNot) {
  const auto loaded = load(R"(
[cache]
near_bytes = 0
[cache.families.a]
pattern = "a:{x}"
warm = 5
)");
  ASSERT_TRUE(loaded) << loaded.error().field << loaded.error().detail;
  ASSERT_EQ(loaded->warnings.size(), 1U);
  EXPECT_NE(loaded->warnings[0].find("the family a has warm"), std::string::npos);
}

TEST_F(CacheConfiguration, SaysWhatIsWrongAndWhere) {
  const std::pair<std::string_view, std::string_view> wrong[] = {
      {"[cache]\nprofile = \"none\"", "c.toml:2: cache.profile| there is no profile 'none'"},
      {"[cache.families.a]\nttl = \"1m\"", "c.toml:2: cache.families.a.pattern| a family needs"},
      {"[cache.families.a]\npattern = \"a:{x\"", "c.toml:2: cache.families.a.pattern| "},
      {"[cache.families.a]\npattern = \"a:{x}\"\ntags = [\"t:{y}\"]",
       "c.toml:3: cache.families.a.tags| the tag 't:{y}' names the part 'y'"},
      {"[cache.families.a]\npattern = \"a:{x}\"\ntll = 5",
       "c.toml:3: cache.families.a.tll| a family has no such setting"},
      {"[cache.families.a]\npattern = \"a:{x}\"\nttl = \"400d\"",
       "c.toml:3: cache.families.a.ttl| a time to live is"},
      {"[cache.families.a]\npattern = \"a:{x}\"\nencrypt = true",
       "c.toml:3: cache.families.a.ttl| what is encrypted states"},
      {"[cache.families.a]\npattern = \"a:{x}\"\nttl = 5\nencrypt = true",
       "c.toml:4: cache.families.a.encrypt| what is encrypted needs a key"},
      {"[cache.rules.r]\nremoves = [\"*\"]", "c.toml:2: cache.rules.r.removes| "},
      {"[cache.rules.r]\nremove = [\"a\"]", "c.toml:2: cache.rules.r.remove| a rule has no such"},
      {"[cache.family.a]\npattern = \"a\"", "c.toml:2| unknown key 'cache.family.a.pattern'"},
      {"[sessions]\nencrypt = true", "sessions.encrypt| what is encrypted needs a key"},
      {"[encryption]\nkey_file = \"/nowhere\"",
       "c.toml:2: encryption.key_file| '/nowhere' is no file"}};
  for (const auto& [toml, expected] : wrong) {
    EXPECT_TRUE(complaint(toml).starts_with(expected)) << toml << "\n" << complaint(toml);
  }
}

TEST_F(CacheConfiguration, ReadsKeysFromAFile) {
  const std::filesystem::path file = directory_ / "keys";
  std::ofstream{file} << "# newest first\n" << key << "\n";
  std::filesystem::permissions(file, std::filesystem::perms::owner_read);
  const std::string toml = "[encryption]\nkey_file = \"" + file.string() + "\"";
  const auto loaded = load(toml);
  ASSERT_TRUE(loaded) << loaded.error().detail;
  EXPECT_EQ(loaded->declared->ring()->size(), 1U);
  EXPECT_TRUE(loaded->warnings.empty());
  std::filesystem::permissions(file, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(load(toml)->warnings.size(), 1U);
  world_.variables["MILLRACE_ENCRYPTION_KEYS"] = key;
  EXPECT_NE(complaint(toml).find("give one of the two"), std::string::npos);
  world_.variables["MILLRACE_ENCRYPTION_KEYS"] = "hunter2";
  EXPECT_EQ(complaint("").find("hunter2"), std::string::npos);
  EXPECT_TRUE(complaint("").starts_with("MILLRACE_ENCRYPTION_KEYS| key 1 is none"));
}

}  // namespace
}  // namespace millrace::cli
