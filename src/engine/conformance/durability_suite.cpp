#include "fixture.hpp"

#include <algorithm>
#include <future>
#include <thread>

namespace millrace::conformance {
namespace {

MILLRACE_CONFORMANCE_SUITE(Durability);
MILLRACE_CONFORMANCE_SUITE(Concurrent);

TEST_P(Durability, IsSaidInTheAnswer) {
  using enum durability;
  const durability strongest = store().traits().strongest;
  for (const durability asked : {memory, async, durable}) {
    transaction one{.level = asked};
    one.steps.push_back(enqueue_job{.queue = work, .level = asked});
    const commit_result done = commit(std::move(one));
    ASSERT_TRUE(done);
    EXPECT_GE(done->level, std::min(asked, strongest));
    EXPECT_LE(done->level, strongest);
    const job made = std::get<job_enqueued>(done->outcomes[0]).made;
    EXPECT_EQ(made.level, std::min(asked, strongest));
    EXPECT_EQ(look(made.id).level, made.level);
  }
}

TEST_P(Durability, IsRaisedByAnEnqueueToItsOwn) {
  transaction one{.level = durability::memory};
  one.steps.push_back(enqueue_job{.queue = work, .level = durability::durable});
  const commit_result done = commit(std::move(one));
  ASSERT_TRUE(done);
  EXPECT_EQ(done->level, store().traits().strongest);
}

// Where the queue decides, its producers wait for no more than it says.
TEST_P(Durability, OfAnEnqueueThatNamesNoneIsTheQueues) {
  configure({.level = durability::memory});
  transaction one{.level = durability::memory};
  one.steps.push_back(
      enqueue_job{.queue = work, .level = durability::durable, .default_level = true});
  const commit_result done = commit(std::move(one));
  ASSERT_TRUE(done);
  EXPECT_NE(done->level, durability::durable);
  EXPECT_EQ(std::get<job_enqueued>(done->outcomes[0]).made.level, durability::memory);
}

// A run ends as durably as its transaction says, whatever its job was made with.
TEST_P(Durability, OfTheEndOfARunIsThatOfItsTransaction) {
  const durability strongest = store().traits().strongest;
  run(enqueue_job{.queue = work, .level = durability::memory});
  const leased_job first = lease_one();
  transaction one{.level = durability::durable};
  one.steps.push_back(ack_job{.id = first.what.id, .token = first.token});
  commit_result done = commit(std::move(one));
  ASSERT_TRUE(done);
  EXPECT_EQ(done->level, strongest);
  const leased_job second = begin_run();
  transaction other{.level = durability::memory};
  other.steps.push_back(ack_job{.id = second.what.id, .token = second.token});
  done = commit(std::move(other));
  ASSERT_TRUE(done);
  EXPECT_NE(done->level, durability::durable);
}

// Group commit must not mix up who asked for what.
TEST_P(Concurrent, AnswersConcurrentCallersEachTheirOwn) {
  constexpr std::size_t threads = 4;
  constexpr std::size_t calls = 50;
  std::vector<std::thread> callers;
  std::vector<std::size_t> right(threads, 0);
  for (std::size_t t = 0; t < threads; ++t) {
    callers.emplace_back([this, t, &right] {
      for (std::size_t i = 0; i < calls; ++i) {
        const std::string data = "[" + std::to_string(t) + "," + std::to_string(i) + "]";
        transaction one;
        one.steps.push_back(enqueue_job{.queue = work, .spec = {.data = data}});
        const commit_result done = engine::blocking::commit(store(), std::move(one));
        if (!done) continue;
        const job made = std::get<job_enqueued>(done->outcomes[0]).made;
        const auto seen = engine::blocking::ask(store(), find_job{made.id});
        if (made.spec.data == data && seen && *seen && (*seen)->spec.data == data) ++right.at(t);
      }
    });
  }
  for (std::thread& one : callers) one.join();
  EXPECT_EQ(right, std::vector<std::size_t>(threads, calls));
  EXPECT_EQ(info().waiting, threads * calls);
}

// Each job goes to one worker, whatever the interleaving.
TEST_P(Concurrent, HandsEachJobToOneOfManyWorkers) {
  constexpr std::size_t jobs = 200;
  transaction all;
  for (std::size_t i = 0; i < jobs; ++i) all.steps.push_back(enqueue_job{.queue = work});
  ASSERT_TRUE(commit(std::move(all)));
  std::vector<std::vector<std::uint64_t>> taken(4);
  std::vector<std::thread> workers;
  for (auto& mine : taken) {
    workers.emplace_back([this, &mine] {
      while (true) {
        transaction one;
        one.steps.push_back(lease_jobs{.queues = {work}, .max = 3});
        const commit_result done = engine::blocking::commit(store(), std::move(one));
        if (!done || std::get<jobs_leased>(done->outcomes[0]).jobs.empty()) return;
        transaction acks;
        for (const leased_job& leased : std::get<jobs_leased>(done->outcomes[0]).jobs) {
          mine.push_back(leased.what.id.stamp);
          acks.steps.push_back(ack_job{.id = leased.what.id, .token = leased.token});
        }
        if (!engine::blocking::commit(store(), std::move(acks))) return;
      }
    });
  }
  for (std::thread& one : workers) one.join();
  std::vector<std::uint64_t> ids;
  for (const auto& mine : taken) ids.insert(ids.end(), mine.begin(), mine.end());
  std::ranges::sort(ids);
  EXPECT_EQ(ids.size(), jobs);
  EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end());
  EXPECT_EQ(info().completed, jobs);
}

// One thread's transactions are committed in the order in which it submitted them.
TEST_P(Concurrent, KeepsTheOrderOfOneThreadsSubmissions) {
  std::promise<void> last;
  constexpr int calls = 200;
  std::vector<int> answered;
  for (int i = 0; i < calls; ++i) {
    std::vector<transaction> batch(1);
    batch[0].steps.push_back(enqueue_job{.queue = work, .spec = {.type = std::to_string(i)}});
    store().submit(std::move(batch), [&, i](auto results) {
      if (results.at(0)) answered.push_back(i);
      if (i == calls - 1) last.set_value();
    });
  }
  last.get_future().wait();
  std::vector<std::string> expected;
  for (int i = 0; i < calls; ++i) {
    EXPECT_EQ(answered.at(static_cast<std::size_t>(i)), i);
    expected.push_back(std::to_string(i));
  }
  EXPECT_EQ(drain(), expected);
}

}  // namespace
}  // namespace millrace::conformance
