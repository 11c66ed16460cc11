#include "fixture.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/limits.hpp>

/// Locks that several hold, or for which somebody waits; and fences.
namespace millrace::conformance {
namespace {

const lock_key door{.resource = "door"};

class lock_queue_test : public engine_test {
protected:
  static acquire_lock exclusive(std::string token, duration queue = 10s) {
    return {.key = door, .token = std::move(token), .queue = queue};
  }
  static acquire_lock shared(std::string token, std::uint32_t permits = 0, duration queue = 10s) {
    return {.key = door,
            .token = std::move(token),
            .mode = lock_mode::shared,
            .permits = permits,
            .queue = queue};
  }
  bool take(acquire_lock step) { return run(std::move(step)).granted; }
  void release(std::string token) { run(release_lock{.key = door, .token = std::move(token)}); }
  [[nodiscard]] std::vector<std::uint64_t> fences() {
    std::vector<std::uint64_t> out;
    for (const lock_info& each : ask(list_lock_holders{door})) out.push_back(each.fence);
    return out;
  }
};

#define MILLRACE_LOCK_SUITE(suite)         \
  class suite : public lock_queue_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_LOCK_SUITE(SharedLock);

TEST_P(SharedLock, IsHeldBySeveralButNotBesideAnExclusiveOne) {
  const auto first = run(shared("a"));
  EXPECT_TRUE(first.granted);
  EXPECT_EQ(first.lock.mode, lock_mode::shared);
  const auto second = run(shared("b"));
  EXPECT_TRUE(second.granted);
  EXPECT_EQ(second.lock.holders, 2U);
  EXPECT_GT(second.lock.fence, first.lock.fence);
  EXPECT_FALSE(take(exclusive("w", 0s)));
  EXPECT_FALSE(take({.key = door, .token = "plain"}));
  EXPECT_EQ(fences(), (std::vector{first.lock.fence, second.lock.fence}));
  release("a");
  release("b");
  EXPECT_FALSE(ask(find_lock{door}));
  EXPECT_TRUE(take({.key = door, .token = "plain"}));
  EXPECT_FALSE(take(shared("a", 0, 0s)));
}

TEST_P(SharedLock, HasAsManyHoldersAsItHasPermits) {
  for (const char* each : {"a", "b", "c"}) EXPECT_TRUE(take(shared(each, 3, 0s)));
  EXPECT_FALSE(take(shared("d", 3, 0s)));
  // The number is the asker's.
  EXPECT_FALSE(take(shared("d", 2, 0s)));
  EXPECT_TRUE(take(shared("d", 4, 0s)));
  release("a");
  release("b");
  EXPECT_TRUE(take(shared("e", 3, 0s)));
}

TEST_P(SharedLock, EndsForEachHolderByItself) {
  run(acquire_lock{.key = door, .token = "a", .ttl = 5s, .mode = lock_mode::shared});
  run(acquire_lock{.key = door, .token = "b", .ttl = 10s, .mode = lock_mode::shared});
  EXPECT_EQ(ask(find_lock{door})->expires_at, now() + 5s);
  advance(5s);
  EXPECT_EQ(refusal_of(extend_lock{.key = door, .token = "a", .ttl = 1s}), "lock_lost");
  EXPECT_EQ(fences().size(), 1U);
  EXPECT_EQ(run(extend_lock{.key = door, .token = "b", .ttl = 20s}).lock.expires_at, now() + 20s);
  advance(20s - 1us);
  EXPECT_FALSE(take(exclusive("w", 0s)));
  advance(1us);
  EXPECT_TRUE(take(exclusive("w", 0s)));
}

TEST_P(SharedLock, AnswersARepeatedRequestWithTheGrantThereIs) {
  const auto first = run(shared("a"));
  advance(1s);
  const auto again = run(shared("a"));
  EXPECT_TRUE(again.granted);
  EXPECT_EQ(again.lock, first.lock);
}

TEST_P(SharedLock, SurvivesARestartWithItsQueue) {
  for (const ending how : {ending::closed, ending::killed}) {
    run(shared("a"));
    run(shared("b"));
    EXPECT_FALSE(take(exclusive("w")));
    restart(how);
    EXPECT_EQ(fences().size(), 2U);
    EXPECT_EQ(ask(find_lock{door})->waiters, 1U);
    EXPECT_FALSE(take(shared("c", 0, 0s)));
    for (const char* each : {"a", "b", "w"}) release(each);
  }
}

TEST_P(SharedLock, RefusesWhatMakesNoSense) {
  EXPECT_EQ(refusal_of(acquire_lock{.key = door, .token = "a", .permits = 2}), "invalid_value");
  EXPECT_EQ(refusal_of(shared("a", lock_holders_max + 1)), "invalid_value");
  EXPECT_EQ(refusal_of(shared("a", 0, lock_queue_max + 1us)), "invalid_value");
  EXPECT_EQ(refusal_of(shared("a", 0, -1us)), "invalid_value");
}

MILLRACE_LOCK_SUITE(LockQueue);

TEST_P(LockQueue, IsServedInTheOrderOfArrival) {
  EXPECT_TRUE(take(exclusive("a")));
  const auto second = run(exclusive("b"));
  EXPECT_FALSE(second.granted);
  EXPECT_TRUE(second.queued);
  EXPECT_EQ(second.ahead, 0U);
  EXPECT_EQ(run(exclusive("c")).ahead, 1U);
  release("a");
  // Nobody holds it, but it is not the turn of these.
  EXPECT_FALSE(ask(find_lock{door}));
  EXPECT_FALSE(take({.key = door, .token = "passing"}));
  EXPECT_FALSE(take(exclusive("c")));
  EXPECT_TRUE(take(exclusive("b")));
  release("b");
  EXPECT_TRUE(take(exclusive("c")));
}

TEST_P(LockQueue, DoesNotLetReadersPassAWriterThatWaits) {
  EXPECT_TRUE(take(shared("a")));
  EXPECT_FALSE(take(exclusive("w")));
  EXPECT_FALSE(take(shared("b")));
  EXPECT_FALSE(take(shared("c")));
  release("a");
  EXPECT_FALSE(take(shared("b")));
  EXPECT_TRUE(take(exclusive("w")));
  release("w");
  EXPECT_TRUE(take(shared("c")));
  EXPECT_TRUE(take(shared("b")));
}

TEST_P(LockQueue, GivesTheTurnToTheNextWhereItIsNotTaken) {
  EXPECT_TRUE(take(exclusive("a")));
  EXPECT_FALSE(take(exclusive("gone", 60s)));
  EXPECT_FALSE(take(exclusive("b", 60s)));
  release("a");
  advance(lock_turn - 1us);
  EXPECT_FALSE(take(exclusive("b", 60s)));
  advance(1us);
  EXPECT_TRUE(take(exclusive("b")));
  // Who comes late stands at the end.
  EXPECT_FALSE(take(exclusive("gone")));
}

TEST_P(LockQueue, GivesShorterTurnsBehindThoseThatNobodyTook) {
  EXPECT_TRUE(take(exclusive("a")));
  for (const char* gone : {"1", "2", "3", "4", "5", "6"}) EXPECT_FALSE(take(exclusive(gone, 60s)));
  EXPECT_FALSE(take(exclusive("b", 60s)));
  EXPECT_FALSE(take(exclusive("c", 60s)));
  release("a");
  for (const duration turn : {duration{lock_turn}, duration{lock_turn} / 2, duration{lock_turn} / 4,
                              duration{lock_turn_min}, duration{lock_turn_min}}) {
    advance(turn - 1us);
    // Looks, so that what is due happens.
    EXPECT_EQ(refusal_of(extend_lock{.key = door, .token = "x"}), "lock_lost");
    advance(1us);
    EXPECT_EQ(refusal_of(extend_lock{.key = door, .token = "x"}), "lock_lost");
  }
  EXPECT_FALSE(take(exclusive("b", 60s)));
  advance(lock_turn_min);
  EXPECT_TRUE(take(exclusive("b")));
  release("b");
  // After a turn that was taken the next one is as long as ever.
  advance(lock_turn - 1us);
  EXPECT_TRUE(take(exclusive("c")));
}

TEST_P(LockQueue, ForgetsAPlaceThatIsNotKept) {
  EXPECT_TRUE(take({.key = door, .token = "a", .ttl = 60s, .mode = lock_mode::shared}));
  EXPECT_FALSE(take(exclusive("w", 5s)));
  EXPECT_FALSE(take(shared("b", 0, 60s)));
  advance(4s);
  EXPECT_FALSE(take(exclusive("w", 5s)));
  advance(4s);
  EXPECT_EQ(ask(find_lock{door})->waiters, 2U);
  advance(1s);
  // The readers behind it need not wait for a writer that has gone.
  EXPECT_TRUE(take(shared("b")));
}

TEST_P(LockQueue, IsLeftByAReleaseAndByAskingWithoutAPlace) {
  EXPECT_TRUE(take(exclusive("a")));
  EXPECT_FALSE(take(exclusive("b")));
  EXPECT_FALSE(take(exclusive("c")));
  EXPECT_EQ(refusal_of(extend_lock{.key = door, .token = "b", .ttl = 1s}), "lock_lost");
  release("b");
  EXPECT_EQ(refusal_of(release_lock{.key = door, .token = "b"}), "lock_lost");
  EXPECT_EQ(ask(find_lock{door})->waiters, 1U);
  EXPECT_FALSE(take(exclusive("c", 0s)));
  EXPECT_EQ(ask(find_lock{door})->waiters, 0U);
}

TEST_P(LockQueue, TellsThoseWhoseTurnItIsAndNobodyElse) {
  EXPECT_TRUE(take(exclusive("a")));
  EXPECT_FALSE(take(shared("b")));
  EXPECT_FALSE(take(shared("c")));
  EXPECT_FALSE(take(exclusive("w")));
  auto first = store().hints().listen({lock_turn_topic(door, "b")});
  auto second = store().hints().listen({lock_turn_topic(door, "c")});
  auto writer = store().hints().listen({lock_turn_topic(door, "w")});
  release("a");
  EXPECT_TRUE(run_coro(first.wait(10s)));
  EXPECT_TRUE(run_coro(second.wait(10s)));
  EXPECT_FALSE(run_coro(writer.wait(0s)));
  EXPECT_TRUE(take(shared("b")));
  EXPECT_TRUE(take(shared("c")));
  release("b");
  EXPECT_FALSE(run_coro(writer.wait(0s)));
  release("c");
  EXPECT_TRUE(run_coro(writer.wait(10s)));
}

TEST_P(LockQueue, TellsTheNextWhenALeaseEnds) {
  run(acquire_lock{.key = door, .token = "a", .ttl = 5s});
  EXPECT_FALSE(take(exclusive("b")));
  auto listener = store().hints().listen({lock_turn_topic(door, "b")});
  advance(5s);
  enqueue();
  EXPECT_TRUE(run_coro(listener.wait(10s)));
  EXPECT_TRUE(take(exclusive("b")));
}

TEST_P(LockQueue, KeepsAPermitForWhoWasCalled) {
  EXPECT_TRUE(take(shared("a", 1)));
  EXPECT_FALSE(take(shared("b", 1)));
  release("a");
  EXPECT_FALSE(take(shared("c", 1, 0s)));
  EXPECT_TRUE(take(shared("b", 1)));
}

MILLRACE_LOCK_SUITE(Fence);

TEST_P(Fence, RefusesAnOlderOneThanItHasSeen) {
  const auto old = run(exclusive("a", 0s)).lock.fence;
  release("a");
  const auto fresh = run(exclusive("b", 0s)).lock.fence;
  release("b");
  EXPECT_EQ(run(pass_fence{.key = door, .fence = old}).before, 0U);
  EXPECT_EQ(run(pass_fence{.key = door, .fence = old}).before, old);
  EXPECT_EQ(run(pass_fence{.key = door, .fence = fresh}).before, old);
  EXPECT_EQ(refusal_of(pass_fence{.key = door, .fence = old}), "stale_fence");
  EXPECT_EQ(refusal_of(pass_fence{.key = {.resource = "window"}, .fence = old}), "done");
}

TEST_P(Fence, RefusesAnOlderOneThanTheHolderHas) {
  const auto old = run(acquire_lock{.key = door, .token = "a", .ttl = 1s}).lock.fence;
  advance(1s);
  EXPECT_EQ(refusal_of(pass_fence{.key = door, .fence = old}), "done");
  run(exclusive("b"));
  EXPECT_EQ(refusal_of(pass_fence{.key = door, .fence = old}), "stale_fence");
}

TEST_P(Fence, GuardsWhatIsCommittedWithIt) {
  const put_cache value{.at = {.key = "report"}, .value = "of the first"};
  const auto old = run(acquire_lock{.key = door, .token = "a", .ttl = 1s}).lock.fence;
  EXPECT_EQ(word(commit_all(pass_fence{.key = door, .fence = old}, value)), "done");
  advance(1s);
  const auto fresh = run(exclusive("b")).lock.fence;
  EXPECT_EQ(word(commit_all(pass_fence{.key = door, .fence = fresh},
                            put_cache{.at = {.key = "report"}, .value = "of the second"})),
            "done");
  // The first wakes up late.
  const publish_event said{.stream = {.name = "f"}, .what = {.type = "t"}};
  EXPECT_EQ(word(commit_all(value, said, pass_fence{.key = door, .fence = old})), "stale_fence");
  EXPECT_EQ(cached("report")->value, "of the second");
  EXPECT_TRUE(ask(read_events{.stream = {.name = "f"}}).events.empty());
}

TEST_P(Fence, IsRememberedForAWeekAndTooOldAfterwards) {
  const auto fence = run(exclusive("a", 0s)).lock.fence;
  release("a");
  run(pass_fence{.key = door, .fence = fence});
  advance(fence_kept - 1us);
  EXPECT_EQ(run(pass_fence{.key = door, .fence = fence}).before, fence);
  restart(ending::killed);
  EXPECT_EQ(refusal_of(pass_fence{.key = door, .fence = fence - 1}), "stale_fence");
  advance(fence_kept);
  // Nothing is remembered; so old a fence may be anybody's.
  EXPECT_EQ(refusal_of(pass_fence{.key = door, .fence = fence}), "stale_fence");
  EXPECT_EQ(run(pass_fence{.key = door, .fence = run(exclusive("b", 0s)).lock.fence}).before, 0U);
}

TEST_P(Fence, RefusesWhatMakesNoSense) {
  EXPECT_EQ(refusal_of(pass_fence{.key = door, .fence = 0}), "invalid_value");
  EXPECT_EQ(refusal_of(pass_fence{.key = door, .fence = std::uint64_t{1} << 53U}), "invalid_value");
  EXPECT_EQ(
      word(commit_all(pass_fence{.key = door, .fence = 1}, pass_fence{.key = door, .fence = 2})),
      "duplicate_target");
}

}  // namespace
}  // namespace millrace::conformance
