#include "top_keys.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace::cache {
namespace {

TEST(TopKeys, CountsExactlyWhileThereAreFew) {
  top_keys keys(10);
  for (int i = 0; i < 5; ++i) {
    for (int times = 0; times <= i; ++times) keys.count(std::to_string(i));
  }
  const auto top = keys.top(3);
  ASSERT_EQ(top.size(), 3U);
  EXPECT_EQ(top[0], (std::pair<std::string, std::uint64_t>("4", 5)));
  EXPECT_EQ(top[2], (std::pair<std::string, std::uint64_t>("2", 3)));
}

TEST(TopKeys, FindsTheFrequentOnesAmongVeryMany) {
  top_keys keys(50);
  for (int i = 0; i < 20'000; ++i) {
    keys.count("rare " + std::to_string(i));
    if (i % 4 == 0) keys.count("often");
    if (i % 10 == 0) keys.count("sometimes");
  }
  const auto top = keys.top(2);
  ASSERT_EQ(top.size(), 2U);
  EXPECT_EQ(top[0].first, "often");
  EXPECT_EQ(top[1].first, "sometimes");
  EXPECT_GT(top[0].second, 4000U);
  EXPECT_LE(top[0].second, 5000U);
  EXPECT_LE(keys.top(1000).size(), 100U) << "it is bounded";
}

}  // namespace
}  // namespace millrace::cache
