#include "testing_runs.hpp"
#include "testing_worker.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>
#include <millrace/worker/exec_runner.hpp>
#include <millrace/worker/queue_source.hpp>

#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;

// A worker on several threads over the reference engine, in real time.
class WorkerOnQueues : public testing::Test {
public:
  ~WorkerOnQueues() override {
    if (worker_) stop();
    threads_.join();
  }

  engine::job_id enqueue(const std::string& queue, engine::job_spec spec = {}) {
    enqueue_request request{.queue = {.name = queue}, .spec = std::move(spec)};
    request.backoff = backoff_spec{.base = 0ms};
    auto made = on_threads_of(queues_.enqueue(std::move(request)));
    MILLRACE_ASSERT(made.has_value());
    return made->made.id;
  }

  void start(async_handler handler, worker_options options = {}) {
    if (options.queues.empty()) options.queues = {{.queue = {.name = "q"}}};
    if (options.lease == duration{5s}) options.lease = 1s;
    auto made =
        worker::create(threads_.get_executor(), source_, std::move(handler), std::move(options));
    MILLRACE_ASSERT(made.has_value());
    worker_ = std::move(*made);
    ended_ = asio::co_spawn(threads_, worker_->run(), asio::use_future);
  }
  void stop() {
    worker_->stop();
    if (ended_.valid()) EXPECT_TRUE(ended_.get());
  }

  engine::job find(const engine::job_id& id) {
    const auto found = engine::blocking::ask(store_, engine::find_job{id});
    MILLRACE_ASSERT(found && *found);
    return **found;
  }
  // The job as it is once it has come to that state.
  engine::job when(const engine::job_id& id, engine::job_status status) {
    const bool came = eventually([&] { return find(id).status == status; });
    EXPECT_TRUE(came) << engine::to_string(find(id).status) << ": " << find(id).error;
    return find(id);
  }

  template <class T>
  T on_threads_of(awaitable<T> work) {
    return asio::co_spawn(threads_, std::move(work), asio::use_future).get();
  }

  asio::thread_pool threads_{3};
  model::model_store store_;
  queues queues_{store_};
  queue_source source_{queues_};
  std::unique_ptr<worker> worker_;
  std::future<result<void>> ended_;
};

awaitable<handler_result> echo(job_context context) { co_return job_succeeded{context.data()}; }

TEST_F(WorkerOnQueues, RunsEveryJobOfSeveralQueues) {
  std::vector<engine::job_id> ids;
  for (int i = 0; i < 100; ++i) {
    ids.push_back(enqueue(i % 2 == 0 ? "a" : "b", {.data = std::to_string(i)}));
  }
  start(echo, {.queues = {{.queue = {.name = "a"}, .weight = 3}, {.queue = {.name = "b"}}},
               .concurrency = 8});
  for (int i = 0; i < 100; ++i) {
    const auto job = when(ids[static_cast<std::size_t>(i)], engine::job_status::completed);
    EXPECT_EQ(job.result, std::to_string(i));
    EXPECT_EQ(job.attempts, 1U);
  }
}

TEST_F(WorkerOnQueues, TakesAJobThatComesWhileItWaits) {
  start(echo);
  const auto id = enqueue("q", {.data = "1"});
  EXPECT_EQ(when(id, engine::job_status::completed).result, "1");
}

TEST_F(WorkerOnQueues, GivesTheCheckpointToTheNextAttempt) {
  start([](job_context context) -> awaitable<handler_result> {
    if (context.attempt() > 1) co_return job_succeeded{context.checkpoint()};
    EXPECT_TRUE(context.save_checkpoint("{\"page\":7}"));
    co_return job_failed{"half way"};
  });
  const auto job = when(enqueue("q"), engine::job_status::completed);
  EXPECT_EQ(job.result, "{\"page\":7}");
  EXPECT_EQ(job.error, "half way");
  EXPECT_EQ(job.attempts, 2U);
}

TEST_F(WorkerOnQueues, ShowsProgressAndLogWhileTheJobRuns) {
  std::atomic<bool> go_on{false};
  start([&go_on](job_context context) -> awaitable<handler_result> {
    context.progress(0.5, "half");
    context.log("line one");
    return [](std::atomic<bool>& go) -> awaitable<handler_result> {
      co_await until([&go] { return go.load(); });
      co_return job_succeeded{};
    }(go_on);
  });
  const auto id = enqueue("q");
  EXPECT_TRUE(eventually([&] { return find(id).progress.has_value(); }));
  const auto job = find(id);
  EXPECT_EQ(job.status, engine::job_status::running);
  EXPECT_EQ(job.progress->value, 0.5);
  EXPECT_EQ(job.progress->message, "half");
  go_on = true;
  when(id, engine::job_status::completed);
  const auto log = engine::blocking::ask(store_, engine::read_job_log{id});
  ASSERT_TRUE(log && log->size() == 1);
  EXPECT_EQ(log->front().text, "line one");
}

TEST_F(WorkerOnQueues, SendsAPermanentFailureToTheDeadLetters) {
  start([](job_context) -> awaitable<handler_result> {
    co_return job_failed{.error = "unreadable", .permanent = true};
  });
  const auto job = when(enqueue("q"), engine::job_status::dead);
  EXPECT_EQ(job.error, "unreadable");
  EXPECT_EQ(job.attempts, 1U);
}

// Longer than its lease, which is a second.
TEST_F(WorkerOnQueues, KeepsTheLeaseOfALongJob) {
  start([](job_context) -> awaitable<handler_result> {
    co_await pause(1500ms);
    co_return job_succeeded{};
  });
  const auto job = when(enqueue("q"), engine::job_status::completed);
  EXPECT_EQ(job.attempts, 1U);
  EXPECT_EQ(worker_->stats().lost, 0U);
}

TEST_F(WorkerOnQueues, CancelsARunningJob) {
  start([](job_context context) -> awaitable<handler_result> {
    co_await context.stopped();
    EXPECT_EQ(context.reason(), stop_reason::cancelled);
    co_return job_failed{"stopped"};
  });
  const auto id = enqueue("q");
  when(id, engine::job_status::running);
  EXPECT_TRUE(on_threads_of(queues_.cancel(id)));
  when(id, engine::job_status::cancelled);
}

TEST_F(WorkerOnQueues, HandsJobsBackWithTheirAttemptIntact) {
  const auto running = enqueue("q");
  const auto held = enqueue("q");
  start(
      [](job_context context) -> awaitable<handler_result> {
        co_await context.stopped();
        co_return job_failed{"stopped"};
      },
      {.concurrency = 1, .prefetch = 1, .drain_timeout = 0s});
  ASSERT_TRUE(eventually([this] { return worker_->stats().held == 1; }));
  stop();
  for (const auto& id : {running, held}) {
    const auto job = find(id);
    EXPECT_EQ(job.status, engine::job_status::queued);
    EXPECT_EQ(job.attempts, 0U);
    EXPECT_EQ(job.error, "");
  }
}

// Whoever took the job over has the larger token, and the first worker's run changes nothing.
TEST_F(WorkerOnQueues, DropsTheOutcomeOfARunThatWasOvertaken) {
  std::atomic<std::uint64_t> token{0};
  std::atomic<bool> go_on{false};
  asio::thread_pool blocked{1};
  start(on_threads(blocked.get_executor(),
                   [&](job_context& context) -> handler_result {
                     token = context.token();
                     eventually([&] { return go_on.load(); });
                     return job_succeeded{"\"stale\""};
                   }),
        {.concurrency = 1});
  const auto id = enqueue("q");
  ASSERT_TRUE(eventually([&] { return token.load() != 0; }));
  // Handed back behind the worker's back, and taken by another.
  ASSERT_TRUE(on_threads_of(queues_.snooze({.id = id, .token = token, .delay = 1ms})));
  std::optional<engine::leased_job> other;
  ASSERT_TRUE(eventually([&] {
    auto jobs = on_threads_of(
        queues_.reserve({.queues = {{.queue = {.name = "q"}}}, .max = 1, .wait = 1s, .lease = 1h}));
    if (jobs && !jobs->empty()) other = jobs->front();
    return other.has_value();
  }));
  EXPECT_GT(other->token, token.load());
  go_on = true;
  ASSERT_TRUE(eventually([this] { return worker_->stats().lost == 1; }));
  EXPECT_TRUE(on_threads_of(queues_.ack({.id = id, .token = other->token, .result = "\"mine\""})));
  EXPECT_EQ(find(id).result, "\"mine\"");
}

TEST_F(WorkerOnQueues, RunsPrograms) {
  const temp_folder folder;
  const auto runner = exec_runner::create(
      {.command = {folder.script("job.sh",
                                 "cat >/dev/null; echo '::progress 1 all'; echo "
                                 "\"\\\"$MILLRACE_JOB_ID\\\"\"")}});
  ASSERT_TRUE(runner);
  std::vector<engine::job_id> ids;
  for (int i = 0; i < 12; ++i) ids.push_back(enqueue("q"));
  start((*runner)->handler(), {.concurrency = 4});
  for (const auto& id : ids) {
    const auto job = when(id, engine::job_status::completed);
    EXPECT_EQ(job.result, "\"" + id.text() + "\"");
    EXPECT_EQ(job.progress->value, 1.0);
  }
  stop();
}

TEST_F(WorkerOnQueues, RunsLongLivedPrograms) {
  const temp_folder folder;
  const auto runner = exec_runner::create(
      {.command = {folder.script("job.sh", "while read -r line; do echo \"::done $$\"; done")},
       .mode = exec_mode::long_lived,
       .recycle_after = 7});
  ASSERT_TRUE(runner);
  std::vector<engine::job_id> ids;
  for (int i = 0; i < 40; ++i) ids.push_back(enqueue("q"));
  start((*runner)->handler(), {.concurrency = 3});
  for (const auto& id : ids) EXPECT_EQ(when(id, engine::job_status::completed).attempts, 1U);
  stop();
  on_threads_of((*runner)->close());
}

}  // namespace
}  // namespace millrace
