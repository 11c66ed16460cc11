#include <millrace/engine/async.hpp>

#include <millrace/base/testing.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace millrace::engine {
namespace {

// Grants every enqueue with a growing id and refuses everything else, on a thread of its own.
class threaded_store final : public store {
public:
  threaded_store() : thread_([this] { run(); }) {}
  ~threaded_store() override {
    post({});
    thread_.join();
  }

  void submit(std::vector<transaction> batch, commit_handler done) override {
    post([this, batch = std::move(batch), done = std::move(done)]() mutable {
      std::vector<commit_result> results;
      for (const transaction& each : batch) results.push_back(commit_one(each));
      ++submitted_;
      done(std::move(results));
    });
  }

  void ask(query what, answer_handler done) override {
    post([what = std::move(what), done = std::move(done)]() mutable {
      if (std::holds_alternative<read_clock>(what)) {
        done(answer{timestamp{std::chrono::seconds{5}}});
      } else {
        done(fail(errc::unavailable, "store_away", "The store is away."));
      }
    });
  }

  wakeups& hints() noexcept override { return hints_; }
  store_traits traits() const noexcept override { return {.engine = "test"}; }

  [[nodiscard]] int submitted() const { return submitted_; }
  [[nodiscard]] std::thread::id thread() const { return thread_.get_id(); }

private:
  using work = std::move_only_function<void()>;

  commit_result commit_one(const transaction& what) {
    committed done;
    for (std::size_t i = 0; i < what.steps.size(); ++i) {
      const auto* made = std::get_if<enqueue_job>(&what.steps[i]);
      if (!made) {
        return std::unexpected(
            refusal{{.kind = errc::conflict, .code = "not_here", .detail = "Only enqueues."}, i});
      }
      job_enqueued outcome;
      outcome.made.id = {made->queue.name, ++stamp_};
      done.outcomes.emplace_back(std::move(outcome));
    }
    return done;
  }

  void post(work next) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(next));
    changed_.notify_one();
  }

  // Ends at the empty function.
  void run() {
    for (;;) {
      work next;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !queue_.empty(); });
        next = std::move(queue_.front());
        queue_.pop_front();
      }
      if (!next) return;
      next();
    }
  }

  wakeups hints_;
  std::uint64_t stamp_{0};
  std::atomic<int> submitted_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<work> queue_;
  std::thread thread_;
};

enqueue_job to_mail() { return {.queue = {.name = "mail"}}; }

transaction one(step what) {
  transaction made;
  made.steps.push_back(std::move(what));
  return made;
}

awaitable<std::thread::id> thread_after_commit(store* where) {
  auto done = co_await commit(*where, one(to_mail()));
  EXPECT_TRUE(done);
  co_return std::this_thread::get_id();
}

TEST(Async, ResumesOnTheCallersExecutor) {
  threaded_store where;
  const auto resumed_on = run_coro(thread_after_commit(&where));
  EXPECT_EQ(resumed_on, std::this_thread::get_id());
  EXPECT_NE(resumed_on, where.thread());
}

TEST(Async, AStepGivesItsOutcome) {
  threaded_store where;
  const auto first = run_coro(commit_step<job_enqueued>(where, to_mail()));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->made.id.text(), "mail~00000000001");
}

TEST(Async, ARefusedStepGivesItsError) {
  threaded_store where;
  const auto refused = run_coro(commit_step<job_changed>(where, cancel_job{{"mail", 1}}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "not_here");
}

TEST(Async, EachOfABatchIsAnsweredInOrder) {
  threaded_store where;
  std::vector<transaction> batch;
  batch.push_back(one(to_mail()));
  batch.push_back(one(cancel_job{{"mail", 1}}));
  batch.push_back(one(to_mail()));
  const auto results = run_coro(commit_each(where, std::move(batch)));
  ASSERT_EQ(results.size(), 3U);
  EXPECT_TRUE(results[0]);
  EXPECT_FALSE(results[1]);
  EXPECT_TRUE(results[2]);
  EXPECT_EQ(where.submitted(), 1);
}

TEST(Async, AQueryGivesItsOwnAnswer) {
  threaded_store where;
  const auto now = run_coro(ask(where, read_clock{}));
  ASSERT_TRUE(now);
  EXPECT_EQ(*now, timestamp{std::chrono::seconds{5}});
  const auto refused = run_coro(ask(where, find_job{{"mail", 1}}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "store_away");
}

awaitable<void> commit_then_note(store* where, asio::cancellation_signal* self, bool* answered) {
  // Cancelled once the commit is under way.
  asio::post(co_await asio::this_coro::executor,
             [self] { self->emit(asio::cancellation_type::terminal); });
  auto done = co_await commit(*where, one(to_mail()));
  *answered = done.has_value();
}

TEST(Async, ACommitThatHasBegunIsAnsweredThoughItsCallerIsCancelled) {
  asio::io_context context;
  threaded_store where;
  asio::cancellation_signal signal;
  bool answered = false;
  asio::co_spawn(context, commit_then_note(&where, &signal, &answered),
                 asio::bind_cancellation_slot(signal.slot(), asio::detached));
  context.run_for(test_watchdog);
  EXPECT_TRUE(answered);
  EXPECT_EQ(where.submitted(), 1);
}

TEST(Async, BlockingCallsWaitForTheAnswer) {
  threaded_store where;
  const auto done = blocking::commit(where, one(to_mail()));
  ASSERT_TRUE(done);
  EXPECT_EQ(done->outcomes.size(), 1U);
  EXPECT_FALSE(blocking::commit(where, one(cancel_job{{"mail", 1}})));
  EXPECT_TRUE(blocking::ask(where, read_clock{}));
  EXPECT_FALSE(blocking::ask(where, list_crons{}));
}

TEST(Words, OfDurabilityAndStatusAreReadBack) {
  for (const auto level : {durability::memory, durability::async, durability::durable}) {
    EXPECT_EQ(parse_durability(to_string(level)), level);
  }
  for (int i = 0; i <= static_cast<int>(job_status::cancelled); ++i) {
    const auto status = static_cast<job_status>(i);
    EXPECT_EQ(parse_job_status(to_string(status)), status);
  }
  EXPECT_EQ(parse_job_status("pending"), job_status::queued);
  EXPECT_EQ(parse_job_status("failed"), job_status::dead);
  EXPECT_EQ(parse_job_status("Queued"), std::nullopt);
  EXPECT_EQ(parse_durability(""), std::nullopt);
}

}  // namespace
}  // namespace millrace::engine
