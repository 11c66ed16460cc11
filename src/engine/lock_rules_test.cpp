#include <millrace/engine/lock_rules.hpp>

#include <millrace/engine/limits.hpp>

#include <gtest/gtest.h>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;

const lock_key key{.resource = "report"};
constexpr timestamp start = from_micros(1'700'000'000'000'000);

acquire_lock ask(std::string token, lock_mode mode = lock_mode::exclusive,
                 std::uint32_t permits = 0) {
  return {.key = key,
          .token = std::move(token),
          .mode = mode,
          .permits = permits,
          .queue = std::chrono::seconds{10}};
}

bool take(lock_state& of, const acquire_lock& step, timestamp now = start) {
  const lock_answer out = take_lock(of, step, 1, now);
  static_cast<void>(call_waiters(of, now));
  return out.granted;
}

TEST(LockRules, ReadersShareAndAWriterDoesNot) {
  lock_state of;
  EXPECT_TRUE(take(of, ask("a", lock_mode::shared)));
  EXPECT_TRUE(take(of, ask("b", lock_mode::shared)));
  EXPECT_FALSE(take(of, ask("w")));
}

TEST(LockRules, AReaderDoesNotPassAWriterThatWaits) {
  lock_state of;
  EXPECT_TRUE(take(of, ask("a", lock_mode::shared)));
  EXPECT_FALSE(take(of, ask("w")));
  EXPECT_FALSE(take(of, ask("b", lock_mode::shared)));
  drop_lock(of, key, "a");
  EXPECT_EQ(call_waiters(of, start), std::vector<std::string>{"w"});
}

TEST(LockRules, CallsAllReadersThatStandTogether) {
  lock_state of;
  EXPECT_TRUE(take(of, ask("w")));
  for (const char* each : {"a", "b", "c"}) EXPECT_FALSE(take(of, ask(each, lock_mode::shared)));
  EXPECT_FALSE(take(of, ask("x")));
  drop_lock(of, key, "w");
  EXPECT_EQ(call_waiters(of, start), (std::vector<std::string>{"a", "b", "c"}));
  // They have been called, and are not again.
  EXPECT_TRUE(call_waiters(of, start).empty());
}

TEST(LockRules, CallsAsManyAsThereArePermits) {
  lock_state of;
  for (const char* each : {"a", "b"}) EXPECT_TRUE(take(of, ask(each, lock_mode::shared, 2)));
  for (const char* each : {"c", "d"}) EXPECT_FALSE(take(of, ask(each, lock_mode::shared, 2)));
  drop_lock(of, key, "a");
  EXPECT_EQ(call_waiters(of, start), std::vector<std::string>{"c"});
  // The place is kept for the one who was called.
  EXPECT_FALSE(take(of, ask("e", lock_mode::shared, 2)));
  EXPECT_TRUE(take(of, ask("c", lock_mode::shared, 2)));
}

TEST(LockRules, ATurnThatIsNotTakenIsTheNextOnes) {
  lock_state of;
  EXPECT_TRUE(take(of, ask("a")));
  EXPECT_FALSE(take(of, ask("b")));
  EXPECT_FALSE(take(of, ask("c")));
  drop_lock(of, key, "a");
  EXPECT_EQ(call_waiters(of, start), std::vector<std::string>{"b"});
  EXPECT_EQ(of.next_end(), start + lock_turn);
  EXPECT_TRUE(expire_lock(of, start + lock_turn));
  EXPECT_EQ(call_waiters(of, start + lock_turn), std::vector<std::string>{"c"});
}

TEST(LockRules, TurnsThatNobodyTakesBecomeShorter) {
  lock_state of;
  EXPECT_TRUE(take(of, ask("a")));
  for (const char* each : {"b", "c", "d", "e", "f", "g"}) EXPECT_FALSE(take(of, ask(each)));
  drop_lock(of, key, "a");
  timestamp now = start;
  EXPECT_EQ(call_waiters(of, now), std::vector<std::string>{"b"});
  std::vector<duration> turns;
  for (const char* next : {"c", "d", "e", "f"}) {
    turns.push_back(of.next_end() - now);
    now = of.next_end();
    EXPECT_TRUE(expire_lock(of, now));
    EXPECT_EQ(call_waiters(of, now), std::vector<std::string>{next});
  }
  EXPECT_EQ(turns, (std::vector<duration>{lock_turn, lock_turn / 2, lock_turn / 4, lock_turn_min}));
  // One that is taken ends the row.
  EXPECT_TRUE(take(of, ask("f")));
  drop_lock(of, key, "f");
  EXPECT_EQ(call_waiters(of, now), std::vector<std::string>{"g"});
  EXPECT_EQ(of.next_end(), now + lock_turn);
}

TEST(LockRules, AFenceIsStaleBehindANewerOneAndBehindTheHolder) {
  lock_state of;
  const auto fence = static_cast<std::uint64_t>(to_micros(start));
  EXPECT_FALSE(is_stale_fence({.key = key, .fence = fence}, 0, of, start));
  EXPECT_FALSE(is_stale_fence({.key = key, .fence = fence}, fence, of, start));
  EXPECT_TRUE(is_stale_fence({.key = key, .fence = fence}, fence + 1, of, start));
  take_lock(of, ask("a"), fence + 2, start);
  EXPECT_TRUE(is_stale_fence({.key = key, .fence = fence + 1}, 0, of, start));
  EXPECT_FALSE(is_stale_fence({.key = key, .fence = fence + 2}, 0, of, start));
}

TEST(LockRules, AFenceFromBeforeAllThatIsRememberedIsStale) {
  const auto fence = static_cast<std::uint64_t>(to_micros(start));
  const pass_fence step{.key = key, .fence = fence};
  EXPECT_FALSE(is_stale_fence(step, 0, free_lock(), start + fence_kept));
  EXPECT_TRUE(is_stale_fence(step, 0, free_lock(), start + fence_kept + 1us));
}

}  // namespace
}  // namespace millrace::engine
