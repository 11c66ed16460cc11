#include <millrace/conformance/faulty_store.hpp>

#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <gtest/gtest.h>

namespace millrace::conformance {
namespace {

using namespace engine;
namespace blocking = engine::blocking;

class FaultyStore : public testing::Test {
protected:
  commit_result enqueue() {
    transaction one;
    one.steps.push_back(enqueue_job{.queue = {.name = "q"}});
    return blocking::commit(store_, std::move(one));
  }
  std::uint64_t jobs_made() {
    const auto info = blocking::ask(inner_, find_queue{{.name = "q"}});
    return info.value() ? (*info)->waiting : 0;
  }

  model::model_store inner_;
  faulty_store store_{inner_};
};

TEST_F(FaultyStore, PassesEverythingOnWhileNothingIsPlanned) {
  EXPECT_TRUE(enqueue());
  EXPECT_EQ(jobs_made(), 1U);
  EXPECT_TRUE(blocking::ask(store_, read_clock{}));
  EXPECT_EQ(store_.submits(), 1U);
  EXPECT_EQ(store_.asks(), 1U);
  EXPECT_EQ(&store_.hints(), &inner_.hints());
}

TEST_F(FaultyStore, FailsTheNthSubmitOnly) {
  store_.on_submit(2, fault::unavailable());
  EXPECT_TRUE(enqueue());
  const auto refused = enqueue();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().why.kind, errc::unavailable);
  EXPECT_TRUE(enqueue());
  EXPECT_EQ(jobs_made(), 2U);
}

TEST_F(FaultyStore, CutsTheAnswerAfterTheEffect) {
  store_.on_submit(1, fault::cut());
  const auto unknown = enqueue();
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().why.kind, errc::outcome_unknown);
  EXPECT_EQ(jobs_made(), 1U);
}

TEST_F(FaultyStore, HoldsCallsUntilReleased) {
  store_.on_submit(1, fault::hold());
  bool answered = false;
  std::vector<transaction> batch(1);
  batch.front().steps.push_back(enqueue_job{.queue = {.name = "q"}});
  store_.submit(std::move(batch), [&](auto results) { answered = results.front().has_value(); });
  EXPECT_EQ(store_.held(), 1U);
  EXPECT_FALSE(answered);
  EXPECT_EQ(jobs_made(), 0U);
  store_.release();
  EXPECT_TRUE(answered);
  EXPECT_EQ(jobs_made(), 1U);
}

TEST_F(FaultyStore, GoesOnFailingUntilItRecovers) {
  store_.on_submit(1, fault::full(), faulty_store::always);
  store_.on_ask(1, fault::unavailable(), 2);
  EXPECT_FALSE(enqueue());
  EXPECT_FALSE(enqueue());
  EXPECT_FALSE(blocking::ask(store_, read_clock{}));
  EXPECT_FALSE(blocking::ask(store_, read_clock{}));
  EXPECT_TRUE(blocking::ask(store_, read_clock{}));
  store_.recover();
  EXPECT_TRUE(enqueue());
}

TEST_F(FaultyStore, AnswersEachTransactionOfAFailedBatch) {
  store_.on_submit(1, fault::unavailable());
  std::vector<transaction> batch(3);
  for (transaction& one : batch) one.steps.push_back(enqueue_job{.queue = {.name = "q"}});
  EXPECT_EQ(blocking::commit_each(store_, std::move(batch)).size(), 3U);
}

TEST_F(FaultyStore, LosesHintsOnDemand) {
  store_.lose_hints();
  EXPECT_NE(&store_.hints(), &inner_.hints());
}

}  // namespace
}  // namespace millrace::conformance
