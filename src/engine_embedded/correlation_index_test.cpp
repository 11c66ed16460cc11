#include "correlation_index.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace millrace::embedded {
namespace {

constexpr std::uint64_t any = std::uint64_t{1} << 53U;

std::vector<std::uint64_t> stamps(const correlation_index& in, std::uint64_t hash,
                                  std::uint64_t below = any) {
  std::vector<std::uint64_t> out;
  while (const auto next = in.before(hash, below)) {
    below = next->stamp;
    out.push_back(below);
  }
  return out;
}
using list = std::vector<std::uint64_t>;

TEST(CorrelationIndex, KeepsIdsAndProjectsApart) {
  EXPECT_NE(correlation_index::hash_of("a", "bc"), correlation_index::hash_of("ab", "c"));
  EXPECT_NE(correlation_index::hash_of("a", "b"), correlation_index::hash_of("b", "a"));
  EXPECT_EQ(correlation_index::hash_of("a", "b"), correlation_index::hash_of("a", "b"));
}

TEST(CorrelationIndex, ListsTheNewestFirstFromAnyPlace) {
  correlation_index index;
  for (std::uint64_t stamp = 1; stamp <= 9; ++stamp) index.add(stamp % 2, {.stamp = stamp});
  EXPECT_EQ(stamps(index, 1), (list{9, 7, 5, 3, 1}));
  EXPECT_EQ(stamps(index, 0), (list{8, 6, 4, 2}));
  EXPECT_EQ(stamps(index, 1, 5), (list{3, 1})) << "one of its own";
  EXPECT_EQ(stamps(index, 1, 4), (list{3, 1})) << "one of another";
  EXPECT_EQ(stamps(index, 1, 1), list{});
  EXPECT_EQ(stamps(index, 2), list{});
}

TEST(CorrelationIndex, ForgetsAnyOfThem) {
  correlation_index index;
  for (std::uint64_t stamp = 1; stamp <= 5; ++stamp) index.add(7, {.stamp = stamp});
  index.forget(3);
  index.forget(3);
  index.forget(99);
  EXPECT_EQ(stamps(index, 7), (list{5, 4, 2, 1}));
  EXPECT_EQ(stamps(index, 7, 3), (list{2, 1})) << "from one that is forgotten";
  index.forget(5);
  EXPECT_EQ(stamps(index, 7), (list{4, 2, 1}));
  index.add(7, {.stamp = 6});
  EXPECT_EQ(stamps(index, 7), (list{6, 4, 2, 1}));
}

TEST(CorrelationIndex, HoldsNothingOfWhatWasForgottenFromTheBeginning) {
  correlation_index index;
  for (std::uint64_t stamp = 1; stamp <= 100; ++stamp) index.add(stamp, {.stamp = stamp});
  for (std::uint64_t stamp = 2; stamp <= 100; ++stamp) index.forget(stamp);
  EXPECT_EQ(index.size(), 100U) << "the first is still there";
  index.forget(1);
  EXPECT_EQ(index.size(), 0U);
  index.add(5, {.stamp = 101});
  EXPECT_EQ(stamps(index, 5), list{101});
}

TEST(CorrelationIndex, LetsTheOldestGoWhenItIsFull) {
  correlation_index index(3);
  index.add(1, {.stamp = 1});
  index.add(2, {.stamp = 2});
  EXPECT_FALSE(index.is_full());
  index.add(1, {.stamp = 3});
  EXPECT_TRUE(index.is_full());
  index.add(1, {.stamp = 4});
  EXPECT_EQ(stamps(index, 1), (list{4, 3}));
  EXPECT_EQ(stamps(index, 2), list{2});
  index.add(1, {.stamp = 5});
  EXPECT_EQ(stamps(index, 2), list{});
  EXPECT_EQ(index.size(), 3U);
}

TEST(CorrelationIndex, SaysWhatIsAnEvent) {
  correlation_index index;
  index.add(1, {.stamp = 1, .event_row = 77});
  EXPECT_EQ(index.before(1, any)->event_row, 77);
  index.clear();
  EXPECT_FALSE(index.before(1, any));
}

}  // namespace
}  // namespace millrace::embedded
