#include "fixture.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/wakeups.hpp>

#include <string>
#include <vector>

/// Of many who miss one fills, and nobody brings back what was invalidated meanwhile.
namespace millrace::conformance {
namespace {

MILLRACE_CONFORMANCE_SUITE(CacheClaim);

const cache_key at{.key = "k"};

put_cache fill(std::uint64_t lease, std::vector<std::string> tags = {}) {
  return {.at = at, .value = "loaded", .ttl = 1min, .tags = std::move(tags), .lease = lease};
}

TEST_P(CacheClaim, IsGivenToOne) {
  const cache_claimed first = run(claim_cache{.at = at, .lease = 2s});
  EXPECT_EQ(first.state, claim_state::fill);
  EXPECT_EQ(first.until, now() + 2s);
  EXPECT_FALSE(first.found);
  for (int i = 0; i < 3; ++i) {
    const cache_claimed other = run(claim_cache{.at = at});
    EXPECT_EQ(other.state, claim_state::wait);
    EXPECT_EQ(other.lease, 0U);
    EXPECT_EQ(other.until, first.until);
  }
  EXPECT_FALSE(cached("k"));
  EXPECT_EQ(ask(read_cache_stats{}).claims, 1U);
  run(fill(first.lease));
  EXPECT_EQ(cached("k")->value, "loaded");
  const cache_claimed hit = run(claim_cache{.at = at});
  EXPECT_EQ(hit.state, claim_state::hit);
  EXPECT_EQ(hit.found->value, "loaded");
  EXPECT_EQ(ask(read_cache_stats{}).claims, 0U);
}

TEST_P(CacheClaim, GoesToASuccessorWhenItsLeaseEnds) {
  const cache_claimed first = run(claim_cache{.at = at, .lease = 2s});
  advance(2s - 1us);
  EXPECT_EQ(run(claim_cache{.at = at}).state, claim_state::wait);
  advance(1us);
  EXPECT_EQ(refusal_of(fill(first.lease)), "stale_lease");
  const cache_claimed second = run(claim_cache{.at = at, .lease = 2s});
  EXPECT_EQ(second.state, claim_state::fill);
  EXPECT_GT(second.lease, first.lease);
  EXPECT_EQ(refusal_of(fill(first.lease)), "stale_lease") << "it is another's now";
  run(fill(second.lease));
}

TEST_P(CacheClaim, IsKeptByRenewing) {
  const cache_claimed first = run(claim_cache{.at = at, .lease = 2s});
  for (int i = 0; i < 5; ++i) {
    advance(1500ms);
    const cache_claimed kept = run(renew_claim{.at = at, .lease = first.lease, .length = 2s});
    EXPECT_EQ(kept.until, now() + 2s);
    EXPECT_EQ(run(claim_cache{.at = at}).state, claim_state::wait);
  }
  advance(2s);
  EXPECT_EQ(refusal_of(renew_claim{.at = at, .lease = first.lease}), "stale_lease");
}

TEST_P(CacheClaim, CanBeGivenBack) {
  const cache_claimed first = run(claim_cache{.at = at});
  EXPECT_EQ(refusal_of(release_claim{.at = at, .lease = first.lease + 1}), "stale_lease");
  run(release_claim{.at = at, .lease = first.lease});
  EXPECT_EQ(refusal_of(release_claim{.at = at, .lease = first.lease}), "stale_lease");
  EXPECT_EQ(run(claim_cache{.at = at}).state, claim_state::fill);
}

TEST_P(CacheClaim, RefusesAnotherLease) {
  EXPECT_EQ(refusal_of(fill(1)), "stale_lease");
  const cache_claimed first = run(claim_cache{.at = at});
  const commit_result why = commit_all(fill(first.lease + 1));
  EXPECT_EQ(word(why), "stale_lease");
  EXPECT_EQ(why.error().why.kind, errc::conflict);
  EXPECT_EQ(refusal_of(renew_claim{.at = at, .lease = first.lease + 1}), "stale_lease");
  put_cache elsewhere = fill(first.lease);
  elsewhere.at.key = "other";
  EXPECT_EQ(refusal_of(elsewhere), "stale_lease");
  run(fill(first.lease));
  EXPECT_EQ(refusal_of(fill(first.lease)), "stale_lease") << "it is filled";
}

TEST_P(CacheClaim, IsOverWhenSomebodyPutsAValue) {
  const cache_claimed first = run(claim_cache{.at = at});
  run(put_cache{.at = at, .value = "newer"});
  EXPECT_EQ(refusal_of(fill(first.lease)), "stale_lease");
  EXPECT_EQ(cached("k")->value, "newer");
}

// What was loaded before is older than what it was invalidated for.
TEST_P(CacheClaim, IsOverWhenItsKeyIsDeleted) {
  const cache_claimed first = run(claim_cache{.at = at});
  EXPECT_EQ(run(delete_cache{.at = at}).count, 0U);
  EXPECT_EQ(refusal_of(fill(first.lease)), "stale_lease");
  EXPECT_FALSE(cached("k"));
}

TEST_P(CacheClaim, IsOverWhenAPatternFits) {
  const cache_claimed first = run(claim_cache{.at = at});
  run(delete_matching{.pattern = "x*"});
  run(renew_claim{.at = at, .lease = first.lease});
  run(delete_matching{.pattern = "k*"});
  EXPECT_EQ(refusal_of(fill(first.lease)), "stale_lease");
}

TEST_P(CacheClaim, IsOverWhenAllIsCleared) {
  const cache_claimed first = run(claim_cache{.at = at});
  run(clear_cache{});
  EXPECT_EQ(refusal_of(fill(first.lease)), "stale_lease");
  EXPECT_EQ(run(claim_cache{.at = at}).state, claim_state::fill);
}

TEST_P(CacheClaim, FillsNothingWithATagThatWasInvalidatedSince) {
  run(invalidate_tag{.tag = "red"});
  const cache_claimed first = run(claim_cache{.at = at});
  run(invalidate_tag{.tag = "blue"});
  EXPECT_EQ(refusal_of(fill(first.lease, {"red", "blue"})), "stale_lease");
  run(fill(first.lease, {"red"}));
  EXPECT_TRUE(cached("k")) << "what was invalidated before does not matter";
}

TEST_P(CacheClaim, ShowsWhatIsStaleMeanwhile) {
  run(put_cache{.at = at, .value = "old", .ttl = 10s, .stale_for = 1min});
  advance(10s);
  const cache_claimed first = run(claim_cache{.at = at});
  EXPECT_EQ(first.state, claim_state::fill);
  ASSERT_TRUE(first.found);
  EXPECT_TRUE(first.found->stale);
  const cache_claimed second = run(claim_cache{.at = at});
  EXPECT_EQ(second.state, claim_state::wait);
  EXPECT_EQ(second.found->value, "old");
  run(fill(first.lease));
  EXPECT_FALSE(run(claim_cache{.at = at}).found->stale);
}

TEST_P(CacheClaim, WakesWhoWaits) {
  EXPECT_EQ(cache_topic("default", "k").what, topic::kind::cache);
  const auto told_of = [this](auto change) {
    const cache_claimed held = run(claim_cache{.at = at});
    EXPECT_EQ(held.state, claim_state::fill);
    auto listener = store().hints().listen({cache_topic("default", "k")});
    change(held.lease);
    const bool told = run_coro(listener.wait(10s));
    listener.consume();
    run(delete_cache{.at = at});
    return told;
  };
  EXPECT_TRUE(told_of([this](std::uint64_t lease) { run(fill(lease)); }));
  EXPECT_TRUE(
      told_of([this](std::uint64_t lease) { run(release_claim{.at = at, .lease = lease}); }));
  EXPECT_TRUE(told_of([this](std::uint64_t) { run(delete_cache{.at = at}); }));
  EXPECT_TRUE(told_of([this](std::uint64_t) { run(delete_matching{.pattern = "*"}); }));
  EXPECT_TRUE(told_of([this](std::uint64_t) { run(clear_cache{}); }));
  EXPECT_TRUE(told_of([this](std::uint64_t) { run(put_cache{.at = at}); }));
}

TEST_P(CacheClaim, IsBounded) {
  for (std::size_t i = 0; i < cache_claims_max / 1000; ++i) {
    transaction many;
    for (int j = 0; j < 1000; ++j) {
      many.steps.push_back(
          claim_cache{.at = {.key = std::to_string(i) + "/" + std::to_string(j)}, .lease = 10s});
    }
    ASSERT_TRUE(commit(std::move(many)));
  }
  const commit_result one_more = commit_all(claim_cache{.at = at});
  EXPECT_EQ(word(one_more), "too_many_claims");
  EXPECT_EQ(one_more.error().why.kind, errc::exhausted);
  EXPECT_EQ(run(claim_cache{.at = {.key = "0/0"}}).state, claim_state::wait);
  advance(10s);
  EXPECT_EQ(run(claim_cache{.at = at}).state, claim_state::fill);
}

}  // namespace
}  // namespace millrace::conformance
