#include "testing_runs.hpp"
#include "testing_source.hpp"
#include "testing_worker.hpp"

#include <millrace/worker/exec_runner.hpp>
#include <millrace/worker/limits.hpp>

#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <map>
#include <string>
#include <variant>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

awaitable<handler_result> succeed(job_context context) { co_return job_succeeded{context.data()}; }

awaitable<handler_result> wait_for_ever(job_context) {
  asio::steady_timer never{co_await asio::this_coro::executor, steady_clock::time_point::max()};
  co_await never.async_wait(asio::use_awaitable);
  co_return job_succeeded{};
}

// Fails as soon as it is asked to end.
awaitable<handler_result> wait_until_asked(job_context context) {
  co_await context.stopped();
  co_return job_failed{"asked to end"};
}

// Against a source that is told what to answer, to see what the worker does with it.
class Worker : public testing::Test {
public:
  worker& make(async_handler handler, worker_options options = {}) {
    if (options.queues.empty()) options.queues = {{.queue = {.name = "q"}}};
    if (options.concurrency == 0) options.concurrency = 2;
    if (options.lease == duration{5s}) options.lease = 1s;
    options.log = log_.sink();
    auto made =
        worker::create(context_.get_executor(), source_, std::move(handler), std::move(options));
    MILLRACE_ASSERT(made.has_value());
    worker_ = std::move(*made);
    return *worker_;
  }
  result<void> run_while(awaitable<void> scenario) {
    return millrace::run_while(context_, *worker_, std::move(scenario));
  }
  template <class Step>
  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        source_.settled,
        [](const settle_step& step) { return std::holds_alternative<Step>(step); }));
  }
  [[nodiscard]] std::string error_of(std::size_t index) const {
    const auto* failed = std::get_if<engine::fail_job>(&source_.settled.at(index));
    return failed != nullptr ? failed->error : "no failure";
  }
  // As many outcomes as that have been taken.
  awaitable<void> settled(std::size_t number) {
    const bool came = co_await until([this, number] { return source_.settled.size() >= number; });
    EXPECT_TRUE(came) << source_.settled.size() << " of " << number << " outcomes";
  }

  asio::io_context context_{1};
  scripted_source source_;
  worker_log log_;
  std::unique_ptr<worker> worker_;
};

// --- taking and settling jobs --------------------------------------------------------------------

TEST_F(Worker, RunsEachJobAndTellsItsResult) {
  for (int i = 0; i < 20; ++i) source_.add(std::to_string(i));
  make(succeed);
  EXPECT_TRUE(run_while(settled(20)));
  EXPECT_EQ(count<engine::ack_job>(), 20U);
  EXPECT_EQ(std::get<engine::ack_job>(source_.settled.front()).token, 1001U);
  EXPECT_EQ(worker_->stats().completed, 20U);
  EXPECT_EQ(worker_->stats().running, 0U);
}

TEST_F(Worker, NeverReservesMoreThanItHasFreeSlotsFor) {
  for (int i = 0; i < 10; ++i) source_.add();
  std::uint32_t running = 0;
  std::uint32_t most = 0;
  make(
      [&](job_context context) -> awaitable<handler_result> {
        most = std::max(most, ++running);
        return [](job_context inner, std::uint32_t& now) -> awaitable<handler_result> {
          co_await pause(2ms);
          --now;
          co_return job_succeeded{inner.data()};
        }(std::move(context), running);
      },
      {.concurrency = 3});
  EXPECT_TRUE(run_while(settled(10)));
  EXPECT_EQ(most, 3U);
  for (const auto& request : source_.reserves) EXPECT_LE(request.max, 3U);
  EXPECT_EQ(source_.reserves.front().max, 3U);
  EXPECT_EQ(source_.reserves.front().lease, 1s);
}

TEST_F(Worker, HoldsPrefetchedJobsReadyAndHandsThemBack) {
  for (int i = 0; i < 5; ++i) source_.add();
  make(wait_until_asked, {.concurrency = 1, .prefetch = 2, .drain_timeout = 0s});
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->worker_->stats().held == 2; });
    EXPECT_EQ(self->source_.given, 3U);
  }(this)));
  EXPECT_EQ(count<engine::snooze_job>(), 3U);
  EXPECT_EQ(worker_->stats().handed_back, 3U);
}

TEST_F(Worker, TellsWhatWaitsInOneCall) {
  source_.settle_takes = 50ms;
  for (int i = 0; i < 20; ++i) source_.add();
  make(succeed, {.concurrency = 20});
  EXPECT_TRUE(run_while(settled(20)));
  EXPECT_LE(source_.settles.size(), 2U);
}

TEST_F(Worker, FailsARunWhoseHandlerThrows) {
  source_.add();
  make([](job_context) -> awaitable<handler_result> { throw std::runtime_error{"no such table"}; });
  EXPECT_TRUE(run_while(settled(1)));
  EXPECT_EQ(error_of(0), "no such table");
  EXPECT_EQ(worker_->stats().failed, 1U);
}

TEST_F(Worker, RunsBlockingHandlersOnTheirThreads) {
  for (int i = 0; i < 4; ++i) source_.add();
  asio::thread_pool threads{2};
  const auto loop = std::this_thread::get_id();
  std::atomic<int> elsewhere{0};
  make(on_threads(threads.get_executor(), [&](job_context& context) -> handler_result {
    if (std::this_thread::get_id() != loop) ++elsewhere;
    context.progress(0.5, "half");
    context.log("a line");
    if (context.job().id.stamp == 4) throw std::runtime_error{"thrown on a thread"};
    return job_succeeded{};
  }));
  EXPECT_TRUE(run_while(settled(4)));
  EXPECT_EQ(elsewhere, 4);
  EXPECT_EQ(count<engine::ack_job>(), 3U);
  EXPECT_EQ(worker_->stats().failed, 1U);
  // What a run says may go out in one report or in two, as the threads happen to run.
  std::map<std::uint64_t, engine::report_progress> said;
  for (const engine::report_progress& report : source_.reports) {
    engine::report_progress& all = said[report.id.stamp];
    if (report.value) all.value = report.value;
    if (report.message) all.message = report.message;
    all.log.insert(all.log.end(), report.log.begin(), report.log.end());
  }
  EXPECT_EQ(said.size(), 4U);
  for (const auto& [stamp, all] : said) {
    EXPECT_EQ(all.value, 0.5) << stamp;
    EXPECT_EQ(all.message, "half") << stamp;
    EXPECT_EQ(all.log, std::vector<std::string>{"a line"}) << stamp;
  }
}

TEST_F(Worker, TellsTheProgressOfTheRequest) {
  source_.add();
  source_.waiting.back().what.spec.correlation_id = "import-17";
  make([](job_context context) -> awaitable<handler_result> {
    context.progress(0.25, "begun");
    co_return job_succeeded{};
  });
  EXPECT_TRUE(run_while(settled(1)));
  ASSERT_EQ(source_.told.size(), 3U);
  // A look first, because somebody else may keep it.
  EXPECT_FALSE(source_.told[0].total_steps || source_.told[0].step);
  EXPECT_EQ(source_.told[1].correlation_id, "import-17");
  EXPECT_EQ(source_.told[1].total_steps, 100U);
  EXPECT_EQ(source_.told[1].step, 25U);
  EXPECT_EQ(source_.told[1].message, "begun");
  EXPECT_EQ(source_.told[2].status, engine::progress_status::completed);
}

TEST_F(Worker, LeavesAProgressAloneThatIsNotItsOwn) {
  source_.add();
  source_.waiting.back().what.spec.correlation_id = "import-17";
  source_.total_steps = 5;
  make([](job_context context) -> awaitable<handler_result> {
    context.progress(0.25, "begun");
    co_return job_succeeded{};
  });
  EXPECT_TRUE(run_while(settled(1)));
  EXPECT_EQ(source_.told.size(), 1U);
}

TEST_F(Worker, SendsReportsBeforeTheOutcome) {
  source_.add();
  make([](job_context context) -> awaitable<handler_result> {
    context.progress(0.25, "begun");
    context.log("first");
    context.log("second");
    EXPECT_TRUE(context.save_checkpoint("{\"page\":1}"));
    EXPECT_FALSE(context.save_checkpoint("{page"));
    co_return job_failed{"again"};
  });
  std::size_t reports_before = 0;
  std::size_t checkpoints_before = 0;
  source_.on_settle = [&] {
    reports_before = source_.reports.size();
    checkpoints_before = source_.extends.size();
  };
  EXPECT_TRUE(run_while(settled(1)));
  ASSERT_EQ(reports_before, 1U);
  EXPECT_EQ(source_.reports[0].value, 0.25);
  EXPECT_EQ(source_.reports[0].message, "begun");
  EXPECT_EQ(source_.reports[0].log, (std::vector<std::string>{"first", "second"}));
  ASSERT_EQ(checkpoints_before, 1U);
  EXPECT_EQ(source_.extends[0].at(0).checkpoint, "{\"page\":1}");
}

TEST_F(Worker, KeepsReportsWhileTheSourceIsAway) {
  source_.add();
  source_.report_error = away();
  make(
      [](job_context context) -> awaitable<handler_result> {
        context.log("kept");
        co_await context.stopped();
        co_return job_succeeded{};
      },
      {.drain_timeout = 0s});
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->source_.reports.size() >= 2; });
    self->source_.report_error.reset();
  }(this)));
  EXPECT_EQ(source_.reports.back().log, std::vector<std::string>{"kept"});
  EXPECT_EQ(count<engine::ack_job>(), 1U);
}

// --- leases --------------------------------------------------------------------------------------

TEST_F(Worker, RenewsAllLeasesInOneCall) {
  for (int i = 0; i < 3; ++i) source_.add();
  make(wait_until_asked, {.concurrency = 3, .drain_timeout = 0s});
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->source_.extends.size() >= 2; });
  }(this)));
  EXPECT_EQ(source_.extends[0].size(), 3U);
  EXPECT_EQ(source_.extends[0][0].lease, 1s);
}

TEST_F(Worker, EndsARunAtOnceWhoseLeaseIsLostAndDropsItsOutcome) {
  source_.add();
  source_.extend_error = stale();
  make(wait_for_ever);
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->worker_->stats().lost == 1; });
    co_await until([self] { return self->worker_->stats().running == 0; });
  }(this)));
  EXPECT_TRUE(source_.settles.empty());
  EXPECT_TRUE(log_.says("the lease is lost"));
}

TEST_F(Worker, DropsAnOutcomeThatNoLongerCounts) {
  source_.add();
  source_.settle_error = stale();
  make(succeed);
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->worker_->stats().lost == 1; });
  }(this)));
  EXPECT_EQ(source_.settles.size(), 1U);
  EXPECT_TRUE(log_.says("the outcome is dropped"));
}

TEST_F(Worker, AsksARunToEndWhoseJobIsCancelled) {
  source_.add();
  source_.cancel_requested = true;
  make(wait_until_asked);
  EXPECT_TRUE(run_while(settled(1)));
  EXPECT_EQ(error_of(0), "cancelled: asked to end");
}

TEST_F(Worker, EndsACancelledRunThatDoesNotHeed) {
  source_.add();
  source_.cancel_requested = true;
  make(wait_for_ever, {.stop_grace = 20ms});
  EXPECT_TRUE(run_while(settled(1)));
  EXPECT_TRUE(error_of(0).starts_with("cancelled: ")) << error_of(0);
}

// --- time limits ---------------------------------------------------------------------------------

TEST_F(Worker, AsksAtTheSoftLimit) {
  source_.add();
  make(wait_until_asked, {.soft_limit = 30ms, .hard_limit = 10s});
  EXPECT_TRUE(run_while(settled(1)));
  EXPECT_EQ(error_of(0), "soft time limit of 30ms exceeded: asked to end");
}

TEST_F(Worker, EndsARunAtTheHardLimit) {
  source_.add();
  make(wait_for_ever, {.soft_limit = 10ms, .hard_limit = 40ms});
  EXPECT_TRUE(run_while(settled(1)));
  EXPECT_TRUE(error_of(0).starts_with("hard time limit of 40ms exceeded")) << error_of(0);
}

TEST_F(Worker, TakesTheTimeoutOfTheJobForTheHardLimit) {
  source_.add();
  source_.waiting.front().what.spec.timeout = 50ms;
  make(wait_for_ever);
  EXPECT_TRUE(run_while(settled(1)));
  EXPECT_TRUE(error_of(0).starts_with("hard time limit of 45ms exceeded")) << error_of(0);
}

// A thread cannot be ended: its job is, and its slot stays taken.
TEST_F(Worker, SettlesARunWithoutAHandlerThatDoesNotEnd) {
  source_.add();
  asio::thread_pool threads{1};
  std::promise<void> release;
  auto released = release.get_future().share();
  make(on_threads(threads.get_executor(),
                  [released](job_context&) -> handler_result {
                    released.wait();
                    return job_succeeded{};
                  }),
       {.soft_limit = 10ms, .hard_limit = 20ms});
  EXPECT_TRUE(run_while([](Worker* self, std::promise<void>& go) -> awaitable<void> {
    co_await self->settled(1);
    EXPECT_EQ(self->worker_->stats().running, 1U);
    go.set_value();
  }(this, release)));
  EXPECT_EQ(error_of(0), "hard time limit of 20ms exceeded: the handler does not end");
  EXPECT_EQ(count<engine::ack_job>(), 0U);
  EXPECT_EQ(worker_->stats().running, 0U);
}

// --- a source that is away -----------------------------------------------------------------------

TEST_F(Worker, TriesAgainWhenNoJobsCanBeReserved) {
  source_.add();
  source_.reserve_error = away();
  make(succeed);
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->source_.reserves.size() >= 2; });
    self->source_.reserve_error.reset();
    co_await self->settled(1);
  }(this)));
  EXPECT_TRUE(log_.says("no jobs can be reserved: nobody there"));
  EXPECT_TRUE(log_.says("can be reserved again"));
}

// As from a server that is about to stop, and answers long polls at once.
TEST_F(Worker, DoesNotAskWithoutEndWhenTheSourceDoesNotLetItWait) {
  make(succeed, {.poll = 0s});
  EXPECT_TRUE(run_while(pause(250ms)));
  EXPECT_GE(source_.reserves.size(), 2U);
  EXPECT_LE(source_.reserves.size(), 4U);
}

TEST_F(Worker, KeepsOutcomesUntilTheyCanBeDelivered) {
  source_.add();
  source_.settle_error = away();
  make(succeed);
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->source_.settles.size() >= 2; });
    self->source_.settle_error.reset();
    co_await self->settled(1);
  }(this)));
  EXPECT_EQ(count<engine::ack_job>(), 1U);
}

TEST_F(Worker, LetsRunsGoOnWhileLeasesCannotBeRenewed) {
  source_.add();
  source_.extend_error = away();
  make([](job_context) -> awaitable<handler_result> {
    co_await pause(900ms);
    co_return job_succeeded{"1"};
  });
  EXPECT_TRUE(run_while(settled(1)));
  EXPECT_EQ(count<engine::ack_job>(), 1U);
  EXPECT_GE(source_.extends.size(), 2U);
  EXPECT_TRUE(log_.says("leases cannot be renewed"));
}

TEST_F(Worker, GivesUpLastDeliveriesWhenTheLeaseHasEnded) {
  source_.add();
  source_.settle_error = away();
  make(succeed);
  const auto begun = steady_clock::now();
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return !self->source_.settles.empty(); });
  }(this)));
  EXPECT_GE(steady_clock::now() - begun, 1s);
  EXPECT_TRUE(log_.says("could not be delivered"));
}

TEST_F(Worker, FailsForGoodWhenTheSourceRefusesTheResult) {
  source_.add();
  source_.settle_error = error{.kind = errc::too_large, .code = "too_large", .detail = "too big"};
  make(succeed);
  source_.on_settle = [this] { source_.settle_error.reset(); };
  EXPECT_TRUE(run_while(settled(1)));
  EXPECT_EQ(error_of(0), "the result is refused: too big");
  EXPECT_TRUE(std::get<engine::fail_job>(source_.settled[0]).permanent);
}

TEST_F(Worker, EndsWhenTheSourceRefusesTheWorker) {
  source_.reserve_error = error{.kind = errc::forbidden, .code = "scope", .detail = "not yours"};
  make(succeed);
  const auto ended = run_coro(context_, worker_->run());
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, "scope");
}

// --- stopping ------------------------------------------------------------------------------------

TEST_F(Worker, LetsRunsEndWhileItStops) {
  source_.add();
  make(
      [](job_context context) -> awaitable<handler_result> {
        co_await pause(60ms);
        EXPECT_FALSE(context.cancelled());
        co_return job_succeeded{};
      },
      {.concurrency = 1, .drain_timeout = 10s});
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->worker_->stats().running == 1; });
    self->source_.add();
  }(this)));
  EXPECT_EQ(count<engine::ack_job>(), 1U);
  EXPECT_EQ(source_.given, 1U) << "a stopping worker reserves nothing";
}

TEST_F(Worker, HandsBackWhatHasNotEndedWhenTheDrainTimeIsOver) {
  source_.add();
  make(wait_for_ever, {.stop_grace = 20ms, .drain_timeout = 20ms});
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->worker_->stats().running == 1; });
  }(this)));
  ASSERT_EQ(count<engine::snooze_job>(), 1U);
  EXPECT_EQ(std::get<engine::snooze_job>(source_.settled[0]).delay, duration{0});
}

TEST_F(Worker, EndsAtOnceWhenItIsStoppedTwice) {
  source_.add();
  make(wait_for_ever, {.stop_grace = 1h, .drain_timeout = 1h});
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->worker_->stats().running == 1; });
    self->worker_->stop();
  }(this)));
  EXPECT_EQ(count<engine::snooze_job>(), 1U);
}

TEST_F(Worker, DoesNothingWhenItIsStoppedBeforeItBegins) {
  source_.add();
  make(succeed);
  worker_->stop();
  EXPECT_TRUE(run_coro(context_, worker_->run()));
  EXPECT_EQ(source_.given, source_.settled.size());
}

// --- how many at a time --------------------------------------------------------------------------

TEST_F(Worker, TakesMoreAtATimeWhenToldTo) {
  for (int i = 0; i < 6; ++i) source_.add();
  make(wait_until_asked, {.concurrency = 1, .drain_timeout = 0s});
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    co_await until([self] { return self->worker_->stats().running == 1; });
    EXPECT_FALSE(self->worker_->set_concurrency(0));
    EXPECT_TRUE(self->worker_->set_concurrency(4));
    const bool came = co_await until([self] { return self->worker_->stats().running == 4; });
    EXPECT_TRUE(came);
    EXPECT_EQ(self->source_.given, 4U);
  }(this)));
}

TEST_F(Worker, FollowsTheBacklogBetweenTwoNumbers) {
  for (int i = 0; i < 20; ++i) source_.add();
  make(wait_until_asked, {.scale = concurrency_range{.min = 1, .max = 6}, .drain_timeout = 0s});
  EXPECT_EQ(worker_->stats().concurrency, 1U);
  EXPECT_TRUE(run_while([](Worker* self) -> awaitable<void> {
    const bool came = co_await until([self] { return self->worker_->stats().running == 6; });
    EXPECT_TRUE(came);
  }(this)));
  EXPECT_EQ(source_.given, 6U);
}

TEST_F(Worker, NamesTheOptionItCannotWorkWith) {
  const auto refused = [this](worker_options options) {
    const auto made = worker::create(context_.get_executor(), source_, succeed, std::move(options));
    return made ? std::string{} : made.error().field;
  };
  const std::vector<weighted_queue> queues{{.queue = {.name = "q"}}};
  EXPECT_EQ(refused({}), "queues");
  EXPECT_EQ(refused({.queues = queues, .concurrency = 1001}), "concurrency");
  EXPECT_EQ(refused({.queues = queues, .scale = concurrency_range{.min = 3, .max = 2}}),
            "scale.min");
  EXPECT_EQ(refused({.queues = queues, .prefetch = 5000}), "prefetch");
  EXPECT_EQ(refused({.queues = queues, .lease = 1ms}), "lease");
  EXPECT_EQ(refused({.queues = queues, .soft_limit = 2h, .hard_limit = 1h}), "soft_limit");
  EXPECT_EQ(refused({.queues = queues, .name = std::string(129, 'n')}), "name");
  EXPECT_EQ(refused({.queues = queues}), "");
}

// --- with programs -------------------------------------------------------------------------------

TEST_F(Worker, KillsTheProgramOfARunWhoseLeaseIsLost) {
  const temp_folder folder;
  const auto runner = exec_runner::create(
      {.command = {folder.script("job.sh", "trap '' TERM; echo $$ >" + (folder / "pid").string() +
                                               "; while :; do sleep 0.01; done")}});
  ASSERT_TRUE(runner);
  source_.add();
  make((*runner)->handler());
  EXPECT_TRUE(run_while([](Worker* self, const temp_folder* where) -> awaitable<void> {
    co_await until([where] { return where->read("pid").ends_with('\n'); });
    self->source_.extend_error = stale();
    co_await until([self] { return self->worker_->stats().lost == 1; });
    co_await until([self] { return self->worker_->stats().running == 0; });
  }(this, &folder)));
  EXPECT_FALSE(is_alive(std::stoi(folder.read("pid"))));
  EXPECT_TRUE(source_.settles.empty());
}

TEST_F(Worker, SendsSigtermAtTheSoftLimitAndSigkillAtTheHardOne) {
  const temp_folder folder;
  const auto runner =
      exec_runner::create({.command = {folder.script("job.sh",
                                                     "trap 'echo ::log asked' TERM; "
                                                     "while :; do sleep 0.01; done")}});
  ASSERT_TRUE(runner);
  source_.add();
  make((*runner)->handler(), {.soft_limit = 200ms, .hard_limit = 600ms});
  EXPECT_TRUE(run_while(settled(1)));
  EXPECT_TRUE(error_of(0).starts_with("hard time limit of 600ms exceeded: killed by SIGKILL (9)"))
      << error_of(0);
  ASSERT_FALSE(source_.reports.empty());
  EXPECT_EQ(source_.reports.front().log.front(), "asked");
}

}  // namespace
}  // namespace millrace
