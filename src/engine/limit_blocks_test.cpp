#include <millrace/engine/limit_table.hpp>

#include <gtest/gtest.h>

#include <string>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;

const timestamp start = from_micros(1'767'225'600'000'000);

limit_check strict(std::string id) {
  return {.scope = "user",
          .id = std::move(id),
          .limit = 1,
          .window = 60s,
          .penalty = {.after = 2, .length = 10min}};
}

limit_check at_once(std::string id, std::uint64_t limit) {
  return {.scope = "user",
          .id = std::move(id),
          .algorithm = limit_algorithm::concurrency,
          .limit = limit,
          .window = 30s};
}

TEST(BlockTable, ForgetsBlocksAndRefusalsThatAreOver) {
  limit_table table;
  for (int i = 0; i < 100; ++i) {
    table.block({.scope = "ip", .whose = std::to_string(i), .length = 10s}, start);
  }
  EXPECT_EQ(table.size(), 100U);
  const take_limits refused{.checks = {strict("a")}};
  table.take(refused, start);
  table.take(refused, start);
  EXPECT_EQ(table.size(), 102U) << "a count and its refusal";
  EXPECT_FALSE(table.check(refused, start + 60s));
  EXPECT_EQ(table.size(), 0U);
}

// Somebody who is blocked anew every second for a day is one block.
TEST(BlockTable, HoldsAnIdOnceHoweverOftenItIsBlocked) {
  limit_table table;
  for (int i = 0; i < 20'000; ++i) {
    const timestamp now = start + i * 1s;
    const block_limit step{.scope = "ip", .whose = "a", .length = 24h};
    ASSERT_FALSE(table.check(step, now));
    table.block(step, now);
  }
  EXPECT_EQ(table.size(), 1U);
  const timestamp last = start + 19'999s;
  EXPECT_EQ(table.blocked_until("default", "ip", "a", last), last + 24h);
  EXPECT_FALSE(table.check(take_limits{.checks = {strict("a")}}, last + 24h));
  EXPECT_EQ(table.size(), 0U);
}

TEST(BlockTable, RefusesMoreThanItMayHold) {
  limit_table table(limit_table::bounds{.records = 3, .charges = 100, .permits = 2});
  // A count, the refusals and the block that may follow.
  EXPECT_FALSE(table.check(take_limits{.checks = {strict("a")}}, start));
  EXPECT_TRUE(table.check(take_limits{.checks = {strict("a"), strict("b")}}, start));
  for (const std::string id : {"1", "2", "3"}) {
    const block_limit step{.scope = "ip", .whose = id, .length = 1h};
    EXPECT_FALSE(table.check(step, start));
    table.block(step, start);
  }
  const block_limit more{.scope = "ip", .whose = "4", .length = 1h};
  ASSERT_TRUE(table.check(more, start));
  EXPECT_EQ(table.check(more, start)->code, "too_many_limits");
  EXPECT_FALSE(table.check(block_limit{.scope = "ip", .whose = "1"}, start)) << "to let in again";
  EXPECT_FALSE(table.check(more, start + 1h));
}

TEST(BlockTable, HoldsAsManyPermitsAsItMay) {
  limit_table table(limit_table::bounds{.records = 100, .charges = 100, .permits = 2});
  std::uint64_t permit = 0;
  for (const std::string id : {"a", "b"}) {
    const take_limits step{.checks = {at_once(id, 5)}};
    ASSERT_FALSE(table.check(step, start));
    EXPECT_EQ(table.take(step, start, ++permit).permit, permit);
  }
  const take_limits third{.checks = {at_once("c", 5)}};
  EXPECT_TRUE(table.check(third, start));
  const release_limit_permit back{.checks = {at_once("a", 5)}, .permit = 1};
  EXPECT_FALSE(table.check(back, start));
  table.release(back, start);
  EXPECT_FALSE(table.check(third, start));
  table.take(third, start, ++permit);
  EXPECT_TRUE(table.check(third, start + 30s - 1us));
  EXPECT_FALSE(table.check(third, start + 30s)) << "they have ended";
}

}  // namespace
}  // namespace millrace::engine
