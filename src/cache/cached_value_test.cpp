#include <millrace/cache/cached_value.hpp>

#include "testing_values.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace millrace::cache {
namespace {

using testing::make_value;
using testing::start;
using namespace std::chrono_literals;

TEST(CachedValue, KeepsWhatItWasMadeFrom) {
  const std::string data("\0bytes\xff of any kind", 20);
  const cached_value made = make_value(
      "bot:7", data,
      {.version = 9, .ttl = 5s, .stale_for = 1500ms, .outage_for = 60s, .tags = {"a", "b"}});
  EXPECT_EQ(made.key(), "bot:7");
  EXPECT_EQ(made.content_type(), "text/plain");
  EXPECT_EQ(made.data(), data);
  EXPECT_EQ(made.version(), 9U);
  EXPECT_EQ(made.created_at(), start);
  EXPECT_EQ(made.expires_at(), start + 5s);
  EXPECT_EQ(made.stale_for(), 1500ms);
  EXPECT_EQ(made.outage_for(), 60s);
  ASSERT_EQ(made.tags().size(), 2U);
  EXPECT_EQ(made.tags()[0], to_tag_id("a"));
  EXPECT_EQ(made.tags()[1], to_tag_id("b"));
}

TEST(CachedValue, MayBeEmptyInEveryPart) {
  const cached_value made = cached_value::make("", {}, "", "");
  EXPECT_TRUE(made);
  EXPECT_EQ(made.key(), "");
  EXPECT_EQ(made.data(), "");
  EXPECT_TRUE(made.tags().empty());
  EXPECT_FALSE(cached_value{});
}

TEST(CachedValue, CopiesShareTheBytes) {
  cached_value first = make_value("k", "data");
  cached_value second = first;
  EXPECT_EQ(first.data().data(), second.data().data());
  cached_value third = std::move(first);
  second = third;
  third = cached_value{};
  EXPECT_EQ(second.data(), "data");
}

TEST(CachedValue, CountsItsMemory) {
  const std::size_t small = make_value("k", "").memory_bytes();
  EXPECT_GE(small, 48U);
  EXPECT_LE(small, 80U);
  EXPECT_GE(make_value("k", std::string(1000, 'x')).memory_bytes(), small + 992);
}

TEST(CachedValue, TagsOfOneNameHaveOneNumber) {
  EXPECT_EQ(to_tag_id("user:42"), to_tag_id("user:42"));
  EXPECT_NE(to_tag_id("user:42"), to_tag_id("user:43"));
  EXPECT_NE(to_tag_id(""), to_tag_id(std::string_view("\0", 1)));
}

// Far windows do not overflow the arithmetic of whoever adds them.
TEST(CachedValue, BoundsItsTimes) {
  const cached_value made = cached_value::make(
      "k", {.expires_at = timestamp::max(), .stale_for = duration::max()}, "", "");
  EXPECT_GT(made.expires_at() + made.stale_for(), made.expires_at());
}

}  // namespace
}  // namespace millrace::cache
