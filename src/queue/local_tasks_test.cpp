#include <millrace/queue/local_tasks.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;

// Lets a task be held at a known place for as long as a test needs.
struct gate {
  std::promise<void> entered;
  std::promise<void> open;

  [[nodiscard]] auto task() {
    return [this] {
      entered.set_value();
      open.get_future().wait();
    };
  }
  void await_entered() { entered.get_future().wait(); }
};

struct held_worker {
  explicit held_worker(local_tasks& tasks) {
    id = tasks.submit("held", held.task()).value();
    held.await_entered();
  }
  gate held;
  std::uint64_t id{0};
};

TEST(LocalTasks, RunsWhatIsSubmittedAndRemembersIt) {
  manual_clock clock;
  local_tasks tasks({}, clock);
  gate held;
  const auto id = tasks.submit("thumbnail", held.task());
  ASSERT_TRUE(id);
  held.await_entered();
  EXPECT_EQ(tasks.find(*id)->status, local_task_status::running);
  EXPECT_EQ(tasks.running(), 1U);
  clock.advance(3s);
  held.open.set_value();
  tasks.stop(stop_mode::finish_waiting);
  const auto info = tasks.find(*id);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->name, "thumbnail");
  EXPECT_EQ(info->status, local_task_status::completed);
  EXPECT_EQ(info->started_at, manual_clock::default_start());
  EXPECT_EQ(info->finished_at, manual_clock::default_start() + 3s);
  EXPECT_FALSE(tasks.find(*id + 1));
}

TEST(LocalTasks, BeginsInOrderOfSubmission) {
  manual_clock clock;
  local_tasks tasks({.workers = 1}, clock);
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(tasks.submit("step", [&order, i] { order.push_back(i); }));
  }
  tasks.stop(stop_mode::finish_waiting);
  ASSERT_EQ(order.size(), 50U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(LocalTasks, SurvivesATaskThatThrows) {
  manual_clock clock;
  std::promise<local_task_info> reported;
  local_tasks tasks(
      {.workers = 1, .on_failure = [&](const local_task_info& info) { reported.set_value(info); }},
      clock);
  const auto bad = tasks.submit("parse", [] { throw std::runtime_error("no such file"); });
  const local_task_info info = reported.get_future().get();
  EXPECT_EQ(info.id, *bad);
  EXPECT_EQ(info.error, "no such file");
  EXPECT_EQ(tasks.find(*bad)->status, local_task_status::failed);

  std::promise<void> done;
  ASSERT_TRUE(tasks.submit("next", [&done] { done.set_value(); }));
  done.get_future().wait();
}

TEST(LocalTasks, RecordsWhatIsNoStandardException) {
  manual_clock clock;
  local_tasks tasks({.workers = 1}, clock);
  const auto odd = tasks.submit("odd", [] { throw 7; });
  const auto wordy =
      tasks.submit("wordy", [] { throw std::runtime_error(std::string(5000, 'x')); });
  tasks.stop(stop_mode::finish_waiting);
  EXPECT_EQ(tasks.find(*odd)->status, local_task_status::failed);
  EXPECT_FALSE(tasks.find(*odd)->error.empty());
  EXPECT_EQ(tasks.find(*wordy)->error.size(), 1024U);
}

TEST(LocalTasks, RefusesBeyondItsBoundWhenToldTo) {
  manual_clock clock;
  local_tasks tasks({.waiting_max = 2, .workers = 1, .full = when_full::refuse}, clock);
  held_worker worker(tasks);
  ASSERT_TRUE(tasks.submit("first", [] {}));
  ASSERT_TRUE(tasks.submit("second", [] {}));
  const auto third = tasks.submit("third", [] {});
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().kind, errc::exhausted);
  EXPECT_EQ(third.error().code, "tasks_full");
  EXPECT_EQ(tasks.waiting(), 2U);
  worker.held.open.set_value();
  tasks.stop(stop_mode::finish_waiting);
}

TEST(LocalTasks, BlocksBeyondItsBoundUntilThereIsRoom) {
  manual_clock clock;
  local_tasks tasks({.waiting_max = 1, .workers = 1}, clock);
  held_worker worker(tasks);
  ASSERT_TRUE(tasks.submit("first", [] {}));
  std::atomic<bool> released{false};
  std::jthread producer([&] {
    ASSERT_TRUE(tasks.submit("second", [] {}));
    EXPECT_TRUE(released);
  });
  released = true;
  worker.held.open.set_value();
  producer.join();
  tasks.stop(stop_mode::finish_waiting);
}

TEST(LocalTasks, AFullQueueRefusesItsOwnTasksRatherThanWaitForThem) {
  manual_clock clock;
  local_tasks tasks({.waiting_max = 1, .workers = 1}, clock);
  std::promise<std::string> answer;
  std::promise<void> filled;
  ASSERT_TRUE(tasks.submit("outer", [&] {
    filled.get_future().wait();
    const auto inner = tasks.submit("inner", [] {});
    answer.set_value(inner ? "taken" : std::string(inner.error().code));
  }));
  while (tasks.running() == 0) std::this_thread::yield();
  ASSERT_TRUE(tasks.submit("filler", [] {}));
  filled.set_value();
  EXPECT_EQ(answer.get_future().get(), "tasks_full");
  tasks.stop(stop_mode::finish_waiting);
}

TEST(LocalTasks, StopCanFinishOrDropWhatWaits) {
  manual_clock clock;
  for (const auto mode : {stop_mode::finish_waiting, stop_mode::drop_waiting}) {
    local_tasks tasks({.workers = 1}, clock);
    held_worker worker(tasks);
    std::atomic<int> ran{0};
    const auto waiting = tasks.submit("waiting", [&ran] { ++ran; });
    std::jthread stopper([&] { tasks.stop(mode); });
    while (tasks.submit("late", [] {})) std::this_thread::yield();
    EXPECT_EQ(tasks.submit("late", [] {}).error().code, "tasks_stopped");
    worker.held.open.set_value();
    stopper.join();
    const bool finishes = mode == stop_mode::finish_waiting;
    EXPECT_EQ(ran, finishes ? 1 : 0);
    EXPECT_EQ(tasks.find(*waiting)->status,
              finishes ? local_task_status::completed : local_task_status::dropped);
    EXPECT_EQ(tasks.find(worker.id)->status, local_task_status::completed);
  }
}

TEST(LocalTasks, StopFreesAProducerThatWaitsForRoom) {
  manual_clock clock;
  local_tasks tasks({.waiting_max = 1, .workers = 1}, clock);
  held_worker worker(tasks);
  ASSERT_TRUE(tasks.submit("first", [] {}));
  std::promise<std::string> answer;
  std::jthread producer([&] {
    const auto blocked = tasks.submit("second", [] {});
    answer.set_value(blocked ? "taken" : std::string(blocked.error().code));
  });
  std::jthread stopper([&] { tasks.stop(stop_mode::drop_waiting); });
  EXPECT_EQ(answer.get_future().get(), "tasks_stopped");
  worker.held.open.set_value();
}

TEST(LocalTasks, ForgetsTheOldestOfWhatEnded) {
  manual_clock clock;
  local_tasks tasks({.workers = 1, .finished_kept = 3}, clock);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(tasks.submit("step", [] {}));
  tasks.stop(stop_mode::finish_waiting);
  for (std::uint64_t id = 1; id <= 10; ++id) EXPECT_EQ(tasks.find(id).has_value(), id > 7) << id;
}

TEST(LocalTasks, ManyProducersLoseNothing) {
  manual_clock clock;
  std::atomic<int> ran{0};
  {
    local_tasks tasks({.waiting_max = 8, .workers = 2}, clock);
    std::vector<std::jthread> producers;
    for (int p = 0; p < 4; ++p) {
      producers.emplace_back([&] {
        for (int i = 0; i < 500; ++i) ASSERT_TRUE(tasks.submit("count", [&ran] { ++ran; }));
      });
    }
    producers.clear();
    tasks.stop(stop_mode::finish_waiting);
  }
  EXPECT_EQ(ran, 2000);
}

}  // namespace
}  // namespace millrace
