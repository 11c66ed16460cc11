#include "configured_store.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace millrace::cli {
namespace {

using namespace std::chrono_literals;

engine::job enqueue(engine::store& store, engine::enqueue_job step) {
  engine::transaction one{.level = engine::durability::memory};
  step.level = engine::durability::memory;
  one.steps.emplace_back(std::move(step));
  auto done = engine::blocking::commit(store, std::move(one));
  return std::get<engine::job_enqueued>(done.value().outcomes.front()).made;
}

engine::enqueue_job silent_job() {
  return {.queue = {.name = "q"}, .default_attempts = true, .default_backoff = true};
}

TEST(ConfiguredStore, GivesDefaultsWhereNeitherTheJobNorItsQueueSaysAnything) {
  model::model_store beneath;
  configured_store store{beneath, {.max_attempts = 9, .backoff = {.base = 1s}}};
  const engine::job made = enqueue(store, silent_job());
  EXPECT_EQ(made.spec.max_attempts, 9U);
  EXPECT_EQ(made.spec.backoff.base, 1s);
}

TEST(ConfiguredStore, LeavesAJobThatSaysItselfAlone) {
  model::model_store beneath;
  configured_store store{beneath, {.max_attempts = 9, .backoff = {.base = 1s}}};
  const engine::job made = enqueue(
      store, {.queue = {.name = "q"}, .spec = {.max_attempts = 2, .backoff = {.base = 7s}}});
  EXPECT_EQ(made.spec.max_attempts, 2U);
  EXPECT_EQ(made.spec.backoff.base, 7s);
}

TEST(ConfiguredStore, GivesWayToTheQueue) {
  model::model_store beneath;
  configured_store store{beneath, {.max_attempts = 9, .backoff = {.base = 1s}}};
  engine::transaction set{.level = engine::durability::memory};
  set.steps.emplace_back(engine::configure_queue{
      .queue = {.name = "q"}, .settings = engine::queue_settings{.max_attempts = 3}});
  ASSERT_TRUE(engine::blocking::commit(store, std::move(set)));
  const engine::job made = enqueue(store, silent_job());
  EXPECT_EQ(made.spec.max_attempts, 3U);
  EXPECT_EQ(made.spec.backoff.base, 1s);
}

store_defaults two_days() { return {.queue = {.keep_dead = 48h}}; }

engine::queue_settings settings_of(engine::store& store, const std::string& queue) {
  auto found = engine::blocking::ask(store, engine::find_queue{{.name = queue}});
  return found.value().value().settings;
}

engine::commit_result commit_one(engine::store& store, engine::step step) {
  engine::transaction one{.level = engine::durability::memory};
  one.steps.push_back(std::move(step));
  return engine::blocking::commit(store, std::move(one));
}

TEST(ConfiguredStore, GivesAQueueItsDefaultsAtItsFirstUse) {
  model::model_store beneath;
  configured_store store{beneath, two_days()};
  ASSERT_TRUE(store.prepare());
  enqueue(store, {.queue = {.name = "enqueued"}});
  EXPECT_EQ(settings_of(store, "enqueued").keep_dead, duration{48h});
  ASSERT_TRUE(commit_one(store, engine::lease_jobs{.queues = {{.name = "leased"}}}));
  EXPECT_EQ(settings_of(store, "leased").keep_dead, duration{48h});
  ASSERT_TRUE(
      commit_one(store, engine::configure_queue{.queue = {.name = "paused"}, .paused = true}));
  EXPECT_EQ(settings_of(store, "paused").keep_dead, duration{48h});
}

TEST(ConfiguredStore, AnswersNoMoreThanWasAsked) {
  model::model_store beneath;
  configured_store store{beneath, two_days()};
  const auto answered = engine::blocking::commit_each(store, std::vector<engine::transaction>(2));
  EXPECT_EQ(answered.size(), 2U);
  const engine::job made = enqueue(store, {.queue = {.name = "q"}, .spec = {.type = "t"}});
  EXPECT_EQ(made.spec.type, "t");
}

TEST(ConfiguredStore, KeepsWhatSomebodyHasSet) {
  model::model_store beneath;
  configured_store store{beneath, two_days()};
  ASSERT_TRUE(commit_one(
      store, engine::configure_queue{.queue = {.name = "q"},
                                     .settings = engine::queue_settings{.keep_dead = 1h}}));
  enqueue(store, {.queue = {.name = "q"}});
  EXPECT_EQ(settings_of(store, "q").keep_dead, duration{1h});
}

TEST(ConfiguredStore, MeansQueuesThatWereThereBefore) {
  model::model_store beneath;
  enqueue(beneath, {.queue = {.name = "plain"}});
  ASSERT_TRUE(commit_one(beneath, engine::configure_queue{.queue = {.name = "set"},
                                                          .settings = engine::queue_settings{
                                                              .concurrency = 3, .keep_dead = 1h}}));
  configured_store store{beneath, two_days()};
  ASSERT_TRUE(store.prepare());
  EXPECT_EQ(settings_of(store, "plain").keep_dead, duration{48h});
  EXPECT_EQ(settings_of(store, "set").keep_dead, duration{1h});
  EXPECT_EQ(settings_of(store, "set").concurrency, 3U);
}

}  // namespace
}  // namespace millrace::cli
