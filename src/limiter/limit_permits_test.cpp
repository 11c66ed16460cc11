#include <millrace/base/testing.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine_model/model_store.hpp>
#include <millrace/limiter/limiter.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using conformance::fault;
using conformance::faulty_store;
using engine::limit_algorithm;
using engine::take_mode;

// A renderer: so many starts a minute, and two at one time.
limit_settings render_settings() {
  limit_settings settings;
  settings.policies.emplace("render",
                            limit_policy{.rules = {{.scope = "user", .limit = 10, .window = 60s},
                                                   {.scope = "user",
                                                    .algorithm = limit_algorithm::concurrency,
                                                    .limit = 2,
                                                    .window = 30s}},
                                         .allow = {"plan=enterprise"}});
  settings.policies.emplace("strict",
                            limit_policy{.rules = {{.scope = "ip",
                                                    .limit = 1,
                                                    .window = 60s,
                                                    .penalty = {.after = 2, .length = 10min}}}});
  return settings;
}

class Permits : public ::testing::Test {
protected:
  result<limit_answer> take(limit_request what, take_mode mode = take_mode::all) {
    return run_coro(limits_.take(std::move(what), mode));
  }
  static limit_request render(std::string user = "42") {
    return {.policy = "render", .parts = {{"user", std::move(user)}}};
  }
  static limit_request strict(std::string ip = "10.0.0.1") {
    return {.policy = "strict", .parts = {{"ip", std::move(ip)}}};
  }
  std::uint64_t enter() {
    const auto answer = take(render());
    EXPECT_TRUE(answer);
    return answer ? answer->permit : 0;
  }
  std::string released(std::uint64_t permit) {
    const auto done = run_coro(limits_.release(render(), permit));
    return done ? "released" : std::string(done.error().code);
  }
  std::string renewed(std::uint64_t permit) {
    const auto done = run_coro(limits_.renew(render(), permit));
    return done ? "renewed" : std::string(done.error().code);
  }
  void lose_store() { store_.on_submit(1, fault::unavailable(), faulty_store::always); }

  manual_clock clock_;
  model::model_store model_{{.clock = &clock_}};
  faulty_store store_{model_};
  limiter limits_{store_, render_settings()};
};

TEST_F(Permits, AreTakenRenewedAndReleased) {
  const auto first = take(render());
  ASSERT_TRUE(first);
  EXPECT_NE(first->permit, 0U);
  EXPECT_EQ(first->permit_ends, first->at + 30s);
  EXPECT_NE(enter(), 0U);
  const auto refused = take(render());
  EXPECT_FALSE(refused->allowed);
  EXPECT_EQ(refused->permit, 0U);
  EXPECT_EQ(refused->binding, 1U);
  EXPECT_EQ(refused->limits[0].state.count, 2U) << "a refused call charges nothing";
  clock_.advance(29s);
  const auto longer = run_coro(limits_.renew(render(), first->permit));
  ASSERT_TRUE(longer);
  EXPECT_EQ(longer->permit_ends, longer->at + 30s);
  ASSERT_EQ(longer->limits.size(), 1U) << "of the limit that has permits alone";
  clock_.advance(1s);
  EXPECT_NE(enter(), 0U) << "the second has ended";
  EXPECT_EQ(released(first->permit), "released");
  EXPECT_EQ(released(first->permit), "permit_lost");
}

TEST_F(Permits, AreNotGivenBackAsCharges) {
  const std::uint64_t permit = enter();
  const auto back = run_coro(limits_.refund(render(), std::nullopt));
  ASSERT_TRUE(back);
  ASSERT_EQ(back->limits.size(), 1U);
  EXPECT_EQ(back->limits[0].state.count, 0U);
  limit_request more = render();
  more.cost = 1;
  const auto settled = run_coro(limits_.settle(more, 4, std::nullopt));
  ASSERT_TRUE(settled);
  EXPECT_EQ(settled->granted, 3U);
  EXPECT_EQ(settled->permit, 0U);
  EXPECT_EQ(released(permit), "released");
  const limit_request alone{.limits = {{.check = {.scope = "user",
                                                  .id = "1",
                                                  .algorithm = limit_algorithm::concurrency,
                                                  .limit = 1,
                                                  .window = 1s}}}};
  EXPECT_EQ(run_coro(limits_.refund(alone, std::nullopt)).error().code, "only_permits");
  EXPECT_EQ(run_coro(limits_.release(strict(), 1)).error().code, "no_permits");
}

TEST_F(Permits, OfWhoIsListedAreNone) {
  limit_request enterprise = render();
  enterprise.parts["plan"] = "enterprise";
  for (int i = 0; i < 5; ++i) EXPECT_EQ(take(enterprise)->permit, 0U);
  EXPECT_TRUE(run_coro(limits_.release(enterprise, 1))->allowed);
}

TEST_F(Permits, AreGivenByThisProcessAloneWhileTheStoreIsAway) {
  const std::uint64_t stored = enter();
  lose_store();
  const auto own = take(render());
  ASSERT_TRUE(own);
  EXPECT_TRUE(own->allowed);
  EXPECT_EQ(own->verdict, limit_verdict::degraded);
  EXPECT_FALSE(take(render())->allowed) << "the one of before counts on";
  EXPECT_EQ(released(stored), "store_unavailable");
  EXPECT_EQ(renewed(own->permit), "renewed");
  EXPECT_EQ(released(own->permit), "released");
  EXPECT_EQ(released(own->permit), "permit_lost");
  store_.recover();
  run_coro(limits_.settle_accounts());
  EXPECT_EQ(take(render(), take_mode::peek)->limits[1].state.count, 1U)
      << "permits of an outage are not charged afterwards";
}

TEST_F(Permits, BlockWhoIsRefusedTooOften) {
  EXPECT_TRUE(take(strict())->allowed);
  EXPECT_FALSE(take(strict())->allowed);
  const auto second = take(strict());
  EXPECT_EQ(second->retry_after(), 10min);
  EXPECT_EQ(second->limits[0].state.blocked_until, second->at + 10min);
  EXPECT_EQ(limits_.numbers().at("strict").blocked, 1U);
  EXPECT_EQ(limits_.numbers().at("strict").refused, 2U);
}

TEST_F(Permits, ShutOutAndLetInAgain) {
  const auto blocked = run_coro(limits_.block("default", "ip", "10.0.0.1", 1h));
  ASSERT_TRUE(blocked);
  EXPECT_EQ(blocked->until, blocked->at + 1h);
  EXPECT_FALSE(take(strict())->allowed);
  EXPECT_TRUE(take(strict("10.0.0.2"))->allowed);
  const auto lifted = run_coro(limits_.block("default", "ip", "10.0.0.1", 0s));
  ASSERT_TRUE(lifted);
  EXPECT_FALSE(lifted->until);
  EXPECT_TRUE(take(strict())->allowed);
  EXPECT_EQ(run_coro(limits_.block("default", "ip", "", 1h)).error().field, "id");
  EXPECT_EQ(run_coro(limits_.block("default", "ip", "1", -1h)).error().field, "for");
}

TEST_F(Permits, KeepShuttingOutWhileTheStoreIsAway) {
  ASSERT_TRUE(run_coro(limits_.block("default", "ip", "10.0.0.1", 1h)));
  lose_store();
  const auto answer = take(strict());
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->allowed);
  EXPECT_EQ(answer->verdict, limit_verdict::degraded);
  EXPECT_EQ(run_coro(limits_.block("default", "ip", "10.0.0.1", 0s)).error().kind,
            errc::unavailable);
  store_.recover();
  // Whom another process has shut out is learned from the first refusal.
  limiter other(store_, render_settings());
  EXPECT_FALSE(run_coro(other.take(strict(), take_mode::all))->allowed);
  lose_store();
  EXPECT_FALSE(run_coro(other.take(strict(), take_mode::all))->allowed);
}

// Asking ahead for shares is refused now and then, which is no refusal of the request.
TEST_F(Permits, CountARefusalOnceBesideSharesOfAnotherLimit) {
  limit_settings both = render_settings();
  both.policies.at("strict").rules.push_back(
      {.scope = "global", .limit = 1000, .window = 60s, .lease = 0.1});
  ASSERT_TRUE(limits_.change_settings(both));
  EXPECT_TRUE(take(strict())->allowed);
  for (int i = 0; i < 50; ++i) take(strict("10.0.1." + std::to_string(i)));
  const auto first = take(strict());
  EXPECT_FALSE(first->allowed);
  EXPECT_EQ(first->limits[0].state.blocked_until, timestamp{}) << "one refusal of two";
  EXPECT_GT(take(strict())->limits[0].state.blocked_until, timestamp{});
}

}  // namespace
}  // namespace millrace
