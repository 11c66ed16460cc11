#include <millrace/base/heavy_hitters.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace millrace {
namespace {

TEST(HeavyHitters, CountExactlyWhileAllHavePlace) {
  heavy_hitters counts{10};
  for (int i = 0; i < 5; ++i) {
    for (int n = 0; n <= i; ++n) counts.add(std::to_string(i), 2, static_cast<std::size_t>(i));
  }
  const auto top = counts.top(3);
  ASSERT_EQ(top.size(), 3U);
  EXPECT_EQ(top[0].key, "4");
  EXPECT_EQ(top[0].count, 10U);
  EXPECT_EQ(top[0].error, 0U);
  EXPECT_EQ(top[0].tag, 4U);
  EXPECT_EQ(top[2].key, "2");
}

TEST(HeavyHitters, FindTheFrequentAmongManyInBoundedMemory) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  heavy_hitters counts{100};
  constexpr int all = 100'000;
  for (int i = 0; i < all; ++i) {
    const bool frequent = random() % 10 < 3;
    counts.add(frequent ? "f" + std::to_string(random() % 3) : std::to_string(random()), 1);
  }
  const auto top = counts.top(3);
  ASSERT_EQ(top.size(), 3U);
  for (const heavy_hitter& one : top) {
    EXPECT_EQ(one.key.front(), 'f');
    EXPECT_GE(one.count, all / 10 * 9 / 10);
    EXPECT_LE(one.count - one.error, all / 10 * 11 / 10);
  }
  EXPECT_EQ(counts.top(1'000).size(), 100U);
}

TEST(HeavyHitters, ForgetByHalves) {
  heavy_hitters counts{2};
  for (int i = 0; i < 8; ++i) counts.add("old", 1);
  counts.halve();
  for (int i = 0; i < 5; ++i) counts.add("new", 1);
  EXPECT_EQ(counts.top(1)[0].key, "new");
  counts.clear();
  EXPECT_TRUE(counts.top(1).empty());
}

TEST(HeavyHitters, CountWhatWasMarkedSinceAKeyIsKnown) {
  heavy_hitters few(2);
  few.add("a", 3);
  few.add("a", 2, 0, true);
  few.add("b", 1, 0, true);
  few.add("c", 1, 0, true);
  const auto top = few.top(2);
  ASSERT_EQ(top.size(), 2U);
  EXPECT_EQ(top[0].key, "a");
  EXPECT_EQ(top[0].count, 5U);
  EXPECT_EQ(top[0].marked, 2U);
  EXPECT_EQ(top[1].key, "c");
  EXPECT_EQ(top[1].count, 2U);
  EXPECT_EQ(top[1].marked, 1U) << "not those of the key whose place it took";
}

}  // namespace
}  // namespace millrace
