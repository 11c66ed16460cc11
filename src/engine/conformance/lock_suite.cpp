#include "fixture.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/limits.hpp>

namespace millrace::conformance {
namespace {

const lock_key door{.resource = "door"};

class lock_test : public engine_test {
protected:
  lock_answer acquire(std::string token, duration ttl = 30s, const lock_key& key = door) {
    std::string owner = "owner of " + token;
    return run(
        acquire_lock{.key = key, .token = std::move(token), .ttl = ttl, .owner = std::move(owner)});
  }
};

#define MILLRACE_LOCK_SUITE(suite)   \
  class suite : public lock_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_LOCK_SUITE(Lock);

TEST_P(Lock, IsGrantedToOne) {
  const auto first = acquire("a");
  EXPECT_TRUE(first.granted);
  EXPECT_EQ(first.lock.owner, "owner of a");
  EXPECT_EQ(first.lock.acquired_at, now());
  EXPECT_EQ(first.lock.expires_at, now() + 30s);
  const auto second = acquire("b");
  EXPECT_FALSE(second.granted);
  EXPECT_EQ(second.lock.owner, "owner of a");
  EXPECT_EQ(second.lock.expires_at, now() + 30s);
  EXPECT_TRUE(acquire("b", 30s, {.resource = "window"}).granted);
  EXPECT_TRUE(acquire("b", 30s, {.project = "p", .resource = "door"}).granted);
}

TEST_P(Lock, AnswersARepeatedRequestWithTheGrantThereIs) {
  const auto first = acquire("a");
  advance(10s);
  const auto again = acquire("a");
  EXPECT_TRUE(again.granted);
  EXPECT_EQ(again.lock.fence, first.lock.fence);
  EXPECT_EQ(again.lock.expires_at, first.lock.expires_at);
}

TEST_P(Lock, EndsToTheMicrosecond) {
  acquire("a");
  advance(30s - 1us);
  EXPECT_FALSE(acquire("b").granted);
  EXPECT_TRUE(ask(find_lock{door}));
  advance(1us);
  EXPECT_FALSE(ask(find_lock{door}));
  EXPECT_EQ(refusal_of(extend_lock{.key = door, .token = "a", .ttl = 1s}), "lock_lost");
  EXPECT_EQ(refusal_of(release_lock{.key = door, .token = "a"}), "lock_lost");
  EXPECT_TRUE(acquire("b").granted);
}

TEST_P(Lock, HasAFenceThatGrowsWithEveryGrant) {
  std::uint64_t last = 0;
  for (int i = 0; i < 5; ++i) {
    const auto got = acquire("a", 1s);
    ASSERT_TRUE(got.granted);
    EXPECT_GT(got.lock.fence, last);
    EXPECT_LT(got.lock.fence, std::uint64_t{1} << 53U);
    last = got.lock.fence;
    if (i % 2 == 0) {
      run(release_lock{.key = door, .token = "a"});
    } else {
      advance(1s);
    }
  }
}

TEST_P(Lock, IsExtendedByItsHolderAlone) {
  acquire("a");
  advance(20s);
  EXPECT_EQ(refusal_of(extend_lock{.key = door, .token = "b", .ttl = 60s}), "lock_lost");
  const auto longer = run(extend_lock{.key = door, .token = "a", .ttl = 60s});
  EXPECT_TRUE(longer.granted);
  EXPECT_EQ(longer.lock.expires_at, now() + 60s);
  advance(59s);
  EXPECT_FALSE(acquire("b").granted);
  const auto shorter = run(extend_lock{.key = door, .token = "a", .ttl = 500ms});
  EXPECT_EQ(shorter.lock.expires_at, now() + 500ms);
  advance(500ms);
  EXPECT_TRUE(acquire("b").granted);
}

TEST_P(Lock, IsReleasedByItsHolderAlone) {
  acquire("a");
  EXPECT_EQ(refusal_of(release_lock{.key = door, .token = "b"}), "lock_lost");
  EXPECT_EQ(run(release_lock{.key = door, .token = "a"}).lock.owner, "owner of a");
  EXPECT_FALSE(ask(find_lock{door}));
  EXPECT_EQ(refusal_of(release_lock{.key = door, .token = "a"}), "lock_lost");
  EXPECT_TRUE(acquire("b").granted);
}

TEST_P(Lock, GuardsWhatIsCommittedWithIt) {
  const stream_key flow{.name = "f"};
  const publish_event said{.stream = flow, .what = {.type = "t"}};
  acquire("a");
  const timestamp end = now() + 30s;
  EXPECT_EQ(word(commit_all(extend_lock{.key = door, .token = "a"}, said)), "done");
  EXPECT_EQ(ask(find_lock{door}).value_or(lock_info{}).expires_at, end);
  advance(30s);
  acquire("b");
  EXPECT_EQ(word(commit_all(said, extend_lock{.key = door, .token = "a"})), "lock_lost");
  EXPECT_EQ(ask(read_events{.stream = flow}).events.size(), 1U);
  EXPECT_EQ(word(commit_all(acquire_lock{.key = door, .token = "c"},
                            release_lock{.key = door, .token = "b"})),
            "duplicate_target");
}

TEST_P(Lock, RefusesWhatMakesNoSense) {
  const auto why = [this](acquire_lock step) { return refusal_of(std::move(step)); };
  EXPECT_EQ(why({.key = door, .token = "a", .ttl = 0s}), "invalid_value");
  EXPECT_EQ(why({.key = door, .token = "a", .ttl = lock_ttl_max + 1us}), "invalid_value");
  EXPECT_EQ(why({.key = door, .token = ""}), "invalid_value");
  EXPECT_EQ(why({.key = {.resource = ""}, .token = "a"}), "invalid_key");
  EXPECT_EQ(why({.key = {.resource = "a\nb"}, .token = "a"}), "invalid_key");
}

MILLRACE_LOCK_SUITE(LockHint);

TEST_P(LockHint, WakesTheOneThatHasWaitedLongest) {
  acquire("a");
  auto first = store().hints().listen({lock_topic(door.project, door.resource)});
  auto second = store().hints().listen({lock_topic(door.project, door.resource)});
  run_coro([](auto& one, auto& other_one, auto& with) -> awaitable<void> {
    (void)co_await one.wait(0s);
    (void)co_await other_one.wait(0s);
    (void)co_await engine::commit_step<lock_answer>(with, release_lock{.key = door, .token = "a"});
  }(first, second, store()));
  EXPECT_TRUE(run_coro(first.wait(10s)));
}

TEST_P(LockHint, ComesWhenALockEnds) {
  acquire("a", 5s);
  auto listener = store().hints().listen({lock_topic(door.project, door.resource)});
  advance(5s);
  enqueue();
  EXPECT_TRUE(run_coro(listener.wait(10s)));
  listener.consume();
}

}  // namespace
}  // namespace millrace::conformance
