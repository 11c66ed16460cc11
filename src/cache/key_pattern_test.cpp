#include <millrace/cache/key_pattern.hpp>

#include <gtest/gtest.h>

#include <string>
#include <tuple>

namespace millrace::cache {
namespace {

key_pattern parsed(std::string_view text) {
  auto made = key_pattern::parse(text, "pattern");
  EXPECT_TRUE(made) << text << ": " << made.error().detail;
  return std::move(*made);
}

TEST(KeyPattern, ReadsFieldsAndParts) {
  const key_pattern made = parsed("vector:{bot_id}:v{version}-x");
  ASSERT_EQ(made.fields().size(), 3U);
  EXPECT_EQ(made.fields()[2], (key_pattern::field{"v", "version", "-x"}));
  ASSERT_EQ(made.parts().size(), 2U);
  EXPECT_EQ(made.parts()[0], "bot_id");
  EXPECT_TRUE(made.has_part("version"));
  EXPECT_FALSE(made.has_part("vector"));
}

TEST(KeyPattern, RefusesWhatItCannotRead) {
  for (const std::string_view text :
       {"", "a::b", ":a", "a:", "{a}", "{a}:{b}", "a:{b", "a:b}", "a:}b{", "a:{b}{c}", "a:{}",
        "a:{B}", "a:{1}", "a:{b}:{b}", "vector:*", "a\n:{b}"}) {
    const auto made = key_pattern::parse(text, "cache.families.x.pattern");
    ASSERT_FALSE(made) << text;
    EXPECT_EQ(made.error().field, "cache.families.x.pattern") << text;
    EXPECT_FALSE(made.error().detail.empty());
  }
  EXPECT_FALSE(key_pattern::parse("x:{a}:{b}:{c}:{d}:{e}:{f}:{g}:{h}:{i}", "pattern"));
}

TEST(KeyPattern, FillsAKey) {
  const key_pattern made = parsed("vector:{bot_id}:v{version}-x");
  const key_part parts[] = {{"version", "3"}, {"bot_id", "7"}, {"unused", "1"}};
  EXPECT_EQ(*made.fill(parts), "vector:7:v3-x");
}

TEST(KeyPattern, NamesThePartThatIsMissingOrWrong) {
  const key_pattern made = parsed("vector:{bot_id}:{query_hash}");
  const key_part one[] = {{"bot_id", "7"}};
  const auto missing = made.fill(one);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "missing_part");
  EXPECT_EQ(missing.error().field, "query_hash");
  for (const std::string_view value : {"", "a:b", "a\x01", "\xff"}) {
    const key_part parts[] = {{"bot_id", value}, {"query_hash", "h"}};
    const auto wrong = made.fill(parts);
    ASSERT_FALSE(wrong) << value;
    EXPECT_EQ(wrong.error().code, "invalid_part");
    EXPECT_EQ(wrong.error().field, "bot_id");
  }
  const std::string endless(600, 'x');
  const key_part parts[] = {{"bot_id", endless}, {"query_hash", "h"}};
  EXPECT_EQ(made.fill(parts).error().code, "key_too_long");
}

TEST(KeyPattern, KnowsWhichSaysMore) {
  using enum pattern_relation;
  const std::tuple<std::string_view, std::string_view, pattern_relation> cases[] = {
      {"bot:{id}", "user:{id}", disjoint},
      {"bot:{id}", "bot:{id}:x", disjoint},
      {"bot:{id}", "bot:{bot}", ambiguous},
      {"users:managers", "users:{id}", more_specific},
      {"users:{id}", "users:managers", less_specific},
      {"a:{x}:b", "{y}:c:b", ambiguous},
      {"a:{x}:b", "{y}:c:d", disjoint},
      {"a:b:{x}", "a:{y}:{x}", more_specific},
      {"k:v{x}", "k:{x}", more_specific},
      {"k:v{x}", "k:w{x}", disjoint},
      {"k:v{x}", "k:{x}w", ambiguous},
      {"k:v{x}", "k:v", disjoint},
      {"k:v{x}", "k:v1", less_specific},
      {"k:v{x}:1", "k:v{y}:{z}", more_specific},
  };
  for (const auto& [a, b, relation] : cases) {
    EXPECT_EQ(compare(parsed(a), parsed(b)), relation) << a << " and " << b;
  }
}

}  // namespace
}  // namespace millrace::cache
