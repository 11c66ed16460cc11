#include <millrace/limiter/permit_keeper.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using conformance::fault;
using conformance::faulty_store;
using engine::limit_algorithm;

limit_settings render_settings() {
  limit_settings settings;
  settings.policies.emplace("render",
                            limit_policy{.rules = {{.scope = "user", .limit = 10, .window = 60s},
                                                   {.scope = "user",
                                                    .algorithm = limit_algorithm::concurrency,
                                                    .limit = 1,
                                                    .window = 30s}},
                                         .allow = {"plan=enterprise"}});
  settings.policies.emplace("plain",
                            limit_policy{.rules = {{.scope = "user", .limit = 10, .window = 60s}}});
  return settings;
}

class PermitKeeper : public testing::Test {
protected:
  ~PermitKeeper() override { stop(keeper_); }

  void stop(permit_keeper& which) {
    bool done = false;
    asio::co_spawn(context_, which.stop(), [&](const std::exception_ptr&) { done = true; });
    run_until([&] { return done; });
  }
  void run_until(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    context_.restart();
    while (!holds() && std::chrono::steady_clock::now() < deadline) {
      context_.run_one_for(10ms);
      if (context_.stopped()) context_.restart();
    }
    EXPECT_TRUE(holds());
  }
  template <class T>
  T ran(awaitable<T> work) {
    std::optional<T> got;
    asio::co_spawn(context_, std::move(work),
                   [&](const std::exception_ptr&, T answer) { got = std::move(answer); });
    run_until([&] { return got.has_value(); });
    return std::move(*got);
  }
  result<permit_grant> asked(limit_request what, permit_options how = {}) {
    return ran(keeper_.hold(std::move(what), std::move(how)));
  }
  std::optional<held_permit> hold(permit_options how = {}) {
    auto got = asked(render(), std::move(how));
    EXPECT_TRUE(got);
    return std::move(got->held);
  }
  static limit_request render() { return {.policy = "render", .parts = {{"user", "42"}}}; }
  static permit_options renewed_every(duration span) {
    permit_options how;
    how.renew_every = span;
    return how;
  }
  std::uint64_t held_now() {
    return ran(limits_.take(render(), engine::take_mode::peek))->limits.at(1).state.count;
  }
  timestamp ends_at() {
    return ran(limits_.take(render(), engine::take_mode::peek))->limits.at(1).state.reset_time;
  }

  manual_clock clock_;
  model::model_store model_{{.clock = &clock_}};
  faulty_store store_{model_};
  limiter limits_{store_, render_settings()};
  asio::io_context context_;
  permit_keeper keeper_{limits_, context_.get_executor()};
};

TEST_F(PermitKeeper, GivesThePermitBackAtTheEndOfItsScope) {
  {
    const auto held = hold();
    ASSERT_TRUE(held);
    EXPECT_NE(held->number(), 0U);
    EXPECT_EQ(held_now(), 1U);
    const auto refused = asked(render());
    ASSERT_TRUE(refused);
    EXPECT_FALSE(refused->held);
    EXPECT_FALSE(refused->answer.allowed);
    EXPECT_EQ(refused->answer.retry_after(), 30s);
    EXPECT_EQ(refused->answer.limits[0].state.count, 1U) << "a refused call charges nothing";
  }
  EXPECT_EQ(held_now(), 0U);
  EXPECT_TRUE(hold());
}

TEST_F(PermitKeeper, RenewsItByItself) {
  const auto held = hold(renewed_every(1ms));
  ASSERT_TRUE(held);
  for (int i = 0; i < 5; ++i) {
    clock_.advance(20s);
    run_until([&] { return ends_at() == clock_.now() + 30s; });
  }
  EXPECT_FALSE(held->lost().stop_requested());
}

TEST_F(PermitKeeper, TellsThatItIsNotHeldAnyMore) {
  std::string why;
  permit_options how = renewed_every(1ms);
  how.on_lost = [&](const error& told) { why = told.code; };
  auto held = hold(std::move(how));
  ASSERT_TRUE(held);
  const std::stop_token lost = held->lost();
  EXPECT_FALSE(lost.stop_requested());
  ASSERT_TRUE(ran(limits_.release(render(), held->number())));
  run_until([&] { return lost.stop_requested(); });
  EXPECT_EQ(why, "permit_lost");
  // What somebody else holds by now is not given back in its place.
  const auto next = hold();
  ASSERT_TRUE(next);
  held.reset();
  EXPECT_EQ(held_now(), 1U);
}

TEST_F(PermitKeeper, TellsAPermitThatRanOutWhileTheStoreDoesNotAnswer) {
  std::string why;
  permit_options how;
  how.on_lost = [&](const error& told) { why = to_string(told.kind); };
  limit_request brief;
  brief.limits.push_back({.check = {.scope = "user",
                                    .id = "1",
                                    .algorithm = limit_algorithm::concurrency,
                                    .limit = 1,
                                    .window = 200ms}});
  auto got = asked(std::move(brief), std::move(how));
  ASSERT_TRUE(got && got->held);
  store_.on_submit(1, fault::unavailable(), faulty_store::always);
  run_until([&] { return got->held->lost().stop_requested(); });
  EXPECT_EQ(why, "deadline_exceeded");
}

TEST_F(PermitKeeper, OutlivesAStoreThatDoesNotAnswerForAWhile) {
  const auto held = hold(renewed_every(1ms));
  ASSERT_TRUE(held);
  store_.on_submit(1, fault::unavailable(), 3);
  clock_.advance(10s);
  run_until([&] { return ends_at() == clock_.now() + 30s; });
  EXPECT_FALSE(held->lost().stop_requested());
}

TEST_F(PermitKeeper, GivesBackWhatIsHeldWhenItStops) {
  auto held = hold();
  ASSERT_TRUE(held);
  stop(keeper_);
  EXPECT_TRUE(held->lost().stop_requested());
  EXPECT_EQ(held_now(), 0U);
  held.reset();
}

TEST_F(PermitKeeper, HoldsNothingForThoseOnAnAllowList) {
  limit_request what = render();
  what.parts["plan"] = "enterprise";
  const auto got = asked(std::move(what));
  ASSERT_TRUE(got && got->held);
  EXPECT_EQ(got->held->number(), 0U);
  EXPECT_EQ(held_now(), 0U);
}

TEST_F(PermitKeeper, RefusesLimitsWithoutPermits) {
  const auto got = asked({.policy = "plain", .parts = {{"user", "42"}}});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, "no_permits");
  const limit_request plain{.policy = "plain", .parts = {{"user", "42"}}};
  EXPECT_EQ(ran(limits_.take(plain, engine::take_mode::peek))->limits.at(0).state.count, 0U);
}

TEST_F(PermitKeeper, KeepsAPermitThatWasGivenWithoutTheStore) {
  store_.on_submit(1, fault::unavailable(), faulty_store::always);
  {
    const auto held = hold(renewed_every(1ms));
    ASSERT_TRUE(held);
    EXPECT_NE(held->number(), 0U);
    EXPECT_FALSE(hold()) << "this process counts it";
    EXPECT_FALSE(held->lost().stop_requested());
  }
  EXPECT_TRUE(hold());
}

}  // namespace
}  // namespace millrace
