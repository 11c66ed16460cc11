#include "store_pulse.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine/cache_steps.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

namespace millrace::cache {
namespace {

using namespace std::chrono_literals;
using conformance::fault;
using moment = answer_count::moment;

TEST(AnswerCount, IsSilentWhenNothingIsAnsweredForSoLong) {
  const moment start{1h};
  answer_count count;
  EXPECT_FALSE(count.is_silent(50ms, start + 10s));
  count.asked(start);
  EXPECT_FALSE(count.is_silent(50ms, start + 49ms));
  EXPECT_TRUE(count.is_silent(50ms, start + 50ms));
  EXPECT_EQ(count.until_silent(50ms, start + 20ms), 30ms);
}

// A store with much to do answers late, but it answers.
TEST(AnswerCount, IsNotSilentWhileItAnswersOthers) {
  const moment start{1h};
  answer_count count;
  count.asked(start);
  count.asked(start);
  count.answered(start, start + 40ms, false);
  EXPECT_FALSE(count.is_silent(50ms, start + 80ms));
  EXPECT_TRUE(count.is_silent(50ms, start + 90ms));
}

TEST(AnswerCount, WaitsLongerForOneThatIsFarAway) {
  const moment start{1h};
  answer_count count;
  for (int i = 0; i < 4; ++i) {
    count.asked(start);
    count.answered(start, start + 100ms, true);
  }
  count.asked(start + 1s);
  EXPECT_FALSE(count.is_silent(50ms, start + 1s + 399ms));
  EXPECT_TRUE(count.is_silent(50ms, start + 1s + 400ms));
}

TEST(AnswerCount, OneThatWasStoppedIsNotFarAway) {
  const moment start{1h};
  answer_count count;
  for (int i = 0; i < 4; ++i) {
    count.asked(start);
    count.answered(start, start + 1ms, true);
  }
  count.asked(start);
  count.answered(start, start + 10s, true);
  count.asked(start + 20s);
  EXPECT_TRUE(count.is_silent(50ms, start + 20s + 50ms));
}

class StorePulse : public testing::Test {
protected:
  static engine::read_cache question() { return {.keys = {"k"}}; }
  static engine::transaction change() {
    engine::transaction one{.level = engine::durability::async};
    one.steps.emplace_back(engine::put_cache{.at = {.key = "k"}, .value = "v"});
    return one;
  }

  model::model_store model_;
  conformance::faulty_store store_{model_};
  store_pulse pulse_{store_};
};

TEST_F(StorePulse, GivesWhatTheStoreAnswers) {
  EXPECT_TRUE(run_coro(pulse_.commit(change(), 1s)));
  const auto found = run_coro(pulse_.ask(question(), 1s));
  ASSERT_TRUE(found);
  EXPECT_EQ(std::get<engine::read_cache::found>(*found).entries[0]->value, "v");
  store_.on_ask(1, fault::unavailable());
  EXPECT_NE(run_coro(pulse_.ask(question(), 1s)).error().code, "store_silent");
}

TEST_F(StorePulse, GoesOnWithoutAStoreThatSaysNothing) {
  store_.on_ask(1, fault::hold());
  const auto none = run_coro(pulse_.ask(question(), 10ms));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, "store_silent");
  EXPECT_EQ(none.error().kind, errc::unavailable);
  // While it is silent nobody waits, and nothing is asked.
  EXPECT_TRUE(pulse_.is_silent(10ms));
  EXPECT_FALSE(run_coro(pulse_.ask(question(), 10ms)));
  EXPECT_FALSE(run_coro(pulse_.commit(change(), 10ms)));
  EXPECT_EQ(store_.asks(), 1U);
  EXPECT_EQ(store_.submits(), 0U);
  store_.release();
  EXPECT_FALSE(pulse_.is_silent(10ms));
  EXPECT_TRUE(run_coro(pulse_.ask(question(), 1s)));
}

TEST_F(StorePulse, SaysWhatCameOfACommitAfterItsCallerHasGone) {
  std::vector<engine::commit_result> late;
  store_.on_submit(1, fault::hold());
  const auto done = run_coro(pulse_.commit(
      change(), 10ms, [&late](engine::commit_result given) { late.push_back(std::move(given)); }));
  EXPECT_EQ(done.error().why.code, "store_silent");
  EXPECT_TRUE(late.empty());
  store_.release();
  ASSERT_EQ(late.size(), 1U);
  EXPECT_TRUE(late.front());
}

TEST_F(StorePulse, ALateAnswerNeedsNobody) {
  auto other = std::make_unique<store_pulse>(store_);
  store_.on_ask(1, fault::hold());
  EXPECT_FALSE(run_coro(other->ask(question(), 10ms)));
  other.reset();
  store_.release();
  EXPECT_EQ(store_.held(), 0U);
}

}  // namespace
}  // namespace millrace::cache
