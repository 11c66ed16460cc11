#include "queue_order.hpp"
#include "testing_store.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>
#include <millrace/queue/limits.hpp>
#include <millrace/queue/queue.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using engine::job_status;
using steady = std::chrono::steady_clock;
using reserved = result<std::vector<engine::leased_job>>;

// One call of `reserve` that runs beside the test.
struct waiter {
  asio::cancellation_signal signal;
  std::optional<reserved> answer;

  void start(asio::io_context& context, queues& queue, reserve_request request) {
    asio::co_spawn(context, queue.reserve(std::move(request)),
                   asio::bind_cancellation_slot(
                       signal.slot(), [this](const std::exception_ptr& thrown, reserved got) {
                         EXPECT_FALSE(thrown);
                         answer = std::move(got);
                       }));
  }
  [[nodiscard]] std::size_t jobs() const { return answer && *answer ? (*answer)->size() : 0; }
};

class Reserve : public testing::Test {
protected:
  reserve_request request(std::vector<std::string> names = {"mail"}) const {
    reserve_request made{.wait = 60s, .worker = "test"};
    for (auto& name : names) made.queues.push_back({.queue = {.name = std::move(name)}});
    return made;
  }
  engine::job_id enqueue(std::string queue_name = "mail", duration delay = 0s) {
    enqueue_request made{.queue = {.name = std::move(queue_name)}};
    made.spec.delay = delay;
    auto answer = run_coro(queue.enqueue(std::move(made)));
    return answer.value().made.id;
  }
  engine::job find(engine::job_id id) {
    return run_coro(engine::ask(model, engine::find_job{std::move(id)})).value().value();
  }
  // Runs whatever can run without time passing.
  void settle() {
    context.restart();
    context.poll();
  }
  void run_until_answered(const waiter& who) {
    context.restart();
    const auto deadline = steady::now() + test_watchdog;
    while (!who.answer && steady::now() < deadline) context.run_one_for(100ms);
    ASSERT_TRUE(who.answer);
  }

  manual_clock clock;
  model::model_store model{{.clock = &clock}};
  watched_store store{model};
  queues queue{store};
  asio::io_context context{1};
};

TEST_F(Reserve, AnswersAtOnceWhatIsThere) {
  const auto id = enqueue();
  auto jobs = run_coro(queue.reserve(request())).value();
  ASSERT_EQ(jobs.size(), 1U);
  EXPECT_EQ(jobs[0].what.id, id);
  EXPECT_EQ(jobs[0].what.attempts, 1U);
  EXPECT_EQ(jobs[0].what.worker, "test");
}

TEST_F(Reserve, WithoutAWaitLooksOnce) {
  auto once = request();
  once.wait = 0s;
  EXPECT_TRUE(run_coro(queue.reserve(once)).value().empty());
  EXPECT_EQ(store.looks(), 1U);
}

TEST_F(Reserve, AnswersEmptyWhenTheWaitEnds) {
  auto brief = request();
  brief.wait = 30ms;
  const auto began = steady::now();
  EXPECT_TRUE(run_coro(queue.reserve(brief)).value().empty());
  EXPECT_GE(steady::now() - began, 30ms);
}

TEST_F(Reserve, IsWokenByAnEnqueueAndDoesNotPoll) {
  waiter one;
  one.start(context, queue, request());
  settle();
  ASSERT_FALSE(one.answer);
  ASSERT_EQ(store.looks(), 1U);
  const auto id = enqueue();
  // No time has to pass: the hint alone is enough.
  settle();
  ASSERT_EQ(one.jobs(), 1U);
  EXPECT_EQ((**one.answer)[0].what.id, id);
  EXPECT_EQ(store.looks(), 2U);
}

TEST_F(Reserve, MissesNoJobThatComesBetweenALookAndTheWait) {
  store.hold_answers();
  waiter one;
  one.start(context, queue, request());
  settle();
  ASSERT_EQ(store.held(), 1U);
  // The look has seen nothing, but its answer is still under way.
  run_coro(queues{model}.enqueue({.queue = {.name = "mail"}})).value();
  store.release_answers();
  settle();
  EXPECT_EQ(one.jobs(), 1U);
}

TEST_F(Reserve, OneJobWakesOneOfAThousand) {
  std::deque<waiter> waiters(1000);
  for (auto& each : waiters) each.start(context, queue, request());
  settle();
  const auto answered = [&] {
    return std::ranges::count_if(waiters, [](const waiter& w) { return w.answer.has_value(); });
  };
  ASSERT_EQ(answered(), 0);
  const std::size_t looks_before = store.looks();
  enqueue();
  settle();
  EXPECT_EQ(answered(), 1);
  EXPECT_EQ(store.looks() - looks_before, 1U);

  for (int i = 1; i < 1000; ++i) {
    enqueue();
    settle();
  }
  EXPECT_EQ(answered(), 1000);
  std::set<engine::job_id> distinct;
  for (const auto& each : waiters) {
    ASSERT_EQ(each.jobs(), 1U);
    distinct.insert((**each.answer)[0].what.id);
  }
  EXPECT_EQ(distinct.size(), 1000U);
}

TEST_F(Reserve, ABulkWakesAsManyAsItHasJobs) {
  std::deque<waiter> waiters(5);
  for (auto& each : waiters) each.start(context, queue, request());
  settle();
  std::vector<enqueue_request> three(3, {.queue = {.name = "mail"}});
  ASSERT_TRUE(run_coro(queue.enqueue_all(three)));
  settle();
  EXPECT_EQ(std::ranges::count_if(waiters, [](const waiter& w) { return w.jobs() == 1; }), 3);
}

TEST_F(Reserve, CancelledWhileWaitingEndsAtOnce) {
  waiter one;
  one.start(context, queue, request());
  settle();
  one.signal.emit(asio::cancellation_type::terminal);
  settle();
  ASSERT_TRUE(one.answer);
  EXPECT_EQ(one.answer->error().kind, errc::cancelled);
  // The job that comes next is left for others.
  EXPECT_EQ(find(enqueue()).status, job_status::queued);
}

TEST_F(Reserve, CancelledAtTheMomentOfTheGrantHandsTheJobBack) {
  const auto id = enqueue();
  store.hold_answers();
  waiter one;
  one.start(context, queue, request());
  settle();
  ASSERT_EQ(find(id).status, job_status::running);
  one.signal.emit(asio::cancellation_type::terminal);
  settle();
  EXPECT_FALSE(one.answer);
  store.release_answers();
  settle();
  ASSERT_TRUE(one.answer);
  EXPECT_EQ(one.answer->error().kind, errc::cancelled);
  // Snoozed by nothing: due already, and promoted by whoever looks next.
  EXPECT_EQ(find(id).attempts, 0U);
  const auto next = run_coro(queue.reserve(request())).value();
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].what.attempts, 1U);
}

TEST_F(Reserve, TheStoreIsAskedBeforeTheLoopOfTheWaiterTurns) {
  waiter one;
  one.start(context, queue, request());
  settle();
  const auto id = enqueue();
  EXPECT_EQ(store.looks(), 2U);
  EXPECT_EQ(find(id).status, job_status::running);
  settle();
  EXPECT_EQ(one.jobs(), 1U);
}

TEST_F(Reserve, CancelledWhileTheLookOfAHintIsUnderWayHandsTheJobBack) {
  waiter one;
  one.start(context, queue, request());
  settle();
  store.hold_answers();
  const auto id = run_coro(queues{model}.enqueue({.queue = {.name = "mail"}})).value().made.id;
  ASSERT_EQ(find(id).status, job_status::running);
  one.signal.emit(asio::cancellation_type::terminal);
  settle();
  // Nobody has to wait for the answer.
  ASSERT_TRUE(one.answer);
  EXPECT_EQ(one.answer->error().kind, errc::cancelled);
  EXPECT_EQ(find(id).status, job_status::running);
  store.release_answers();
  const auto next = run_coro(queue.reserve(request())).value();
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].what.attempts, 1U);
}

TEST_F(Reserve, ALookThatHasBegunIsWaitedForThoughTheWaitHasEnded) {
  auto brief = request();
  brief.wait = 20ms;
  waiter one;
  one.start(context, queue, brief);
  settle();
  store.hold_answers();
  const auto id = run_coro(queues{model}.enqueue({.queue = {.name = "mail"}})).value().made.id;
  context.restart();
  context.run_for(60ms);
  EXPECT_FALSE(one.answer);
  store.release_answers();
  settle();
  ASSERT_EQ(one.jobs(), 1U);
  EXPECT_EQ((**one.answer)[0].what.id, id);
}

TEST_F(Reserve, AHintOfTheCancelledGoesToTheNext) {
  waiter first;
  waiter second;
  first.start(context, queue, request());
  settle();
  second.start(context, queue, request());
  settle();
  enqueue();
  // The first has been woken but has not looked yet.
  first.signal.emit(asio::cancellation_type::terminal);
  settle();
  EXPECT_EQ(first.jobs() + second.jobs(), 1U);
}

// The first is woken for `sms` and, with a probability of 0.999, takes the job of `mail`, whose own
// hint went to the third. Somebody has to be told that `sms` still has its job.
TEST_F(Reserve, FullHandsPassTheHintOfAnotherQueueOn) {
  std::deque<waiter> waiters(3);
  auto both = request({"mail", "sms"});
  both.queues[0].weight = queue_weight_max;
  waiters[0].start(context, queue, both);
  settle();
  waiters[1].start(context, queue, request({"sms"}));
  waiters[2].start(context, queue, request({"mail"}));
  settle();
  enqueue("sms");
  enqueue("mail");
  settle();
  EXPECT_EQ(waiters[0].jobs() + waiters[1].jobs() + waiters[2].jobs(), 2U);
}

TEST_F(Reserve, TakesUpToMaxFromSeveralQueues) {
  for (const auto* name : {"a", "b", "c"}) enqueue(name);
  auto several = request({"a", "b", "c", "never"});
  several.max = 2;
  EXPECT_EQ(run_coro(queue.reserve(several)).value().size(), 2U);
  EXPECT_EQ(run_coro(queue.reserve(several)).value().size(), 1U);
}

TEST_F(Reserve, ARefusalOfTheStoreEndsTheWait) {
  waiter one;
  one.start(context, queue, request());
  settle();
  store.go_down(true);
  model.hints().notify(engine::queue_topic("default", "mail"));
  settle();
  ASSERT_TRUE(one.answer);
  EXPECT_EQ(one.answer->error().kind, errc::unavailable);
}

TEST_F(Reserve, RefusesWhatIsOutOfRange) {
  struct row {
    std::string field;
    void (*spoil)(reserve_request&);
  };
  const std::vector<row> rows{
      {"wait", [](reserve_request& r) { r.wait = 61s; }},
      {"wait", [](reserve_request& r) { r.wait = -1s; }},
      {"max", [](reserve_request& r) { r.max = 0; }},
      {"max", [](reserve_request& r) { r.max = 1001; }},
      {"lease", [](reserve_request& r) { r.lease = 500ms; }},
      {"queues", [](reserve_request& r) { r.queues.clear(); }},
      {"queues", [](reserve_request& r) { r.queues.resize(65, r.queues[0]); }},
      {"queues", [](reserve_request& r) { r.queues[0].weight = 0; }},
      {"queues", [](reserve_request& r) { r.queues[0].weight = 1001; }},
      {"queue", [](reserve_request& r) { r.queues[0].queue.name = "a b"; }},
      {"worker", [](reserve_request& r) { r.worker = std::string(129, 'w'); }},
  };
  for (const auto& row : rows) {
    auto bad = request();
    row.spoil(bad);
    const auto refused = run_coro(queue.reserve(bad));
    ASSERT_FALSE(refused) << row.field;
    EXPECT_EQ(refused.error().field, row.field);
  }
  EXPECT_EQ(store.looks(), 0U);
}

// A clock that ticks, and a store whose hints nobody hears: the waiter's own timer has to do.
TEST(ReserveOnAClockThatTicks, LooksWhenAJobBecomesDue) {
  model::model_store model;
  watched_store store{model};
  store.go_deaf();
  queues queue{store};
  enqueue_request later{.queue = {.name = "mail"}};
  later.spec.delay = 80ms;
  const auto began = steady::now();
  ASSERT_TRUE(run_coro(queue.enqueue(later)));
  const auto jobs =
      run_coro(queue.reserve({.queues = {{.queue = {.name = "mail"}}}, .wait = 20s})).value();
  EXPECT_EQ(jobs.size(), 1U);
  EXPECT_LT(steady::now() - began, 3s);
  EXPECT_LE(store.looks(), 4U);
}

TEST(QueueOrder, DrawsInProportionToTheWeights) {
  const std::vector<weighted_queue> queues{{.queue = {.name = "a"}, .weight = 6},
                                           {.queue = {.name = "b"}, .weight = 3},
                                           {.queue = {.name = "c"}, .weight = 1}};
  constexpr int draws = 20'000;
  std::map<std::string, int> first;
  std::map<std::string, int> second_after_a;
  for (int i = 0; i < draws; ++i) {
    const auto order = in_weighted_order(queues);
    ASSERT_EQ(order.size(), 3U);
    ++first[order[0].name];
    if (order[0].name == "a") ++second_after_a[order[1].name];
  }
  // Five standard deviations are 1.8 % of the draws at most.
  EXPECT_NEAR(first["a"], draws * 0.6, draws * 0.018);
  EXPECT_NEAR(first["b"], draws * 0.3, draws * 0.018);
  EXPECT_NEAR(first["c"], draws * 0.1, draws * 0.018);
  EXPECT_NEAR(second_after_a["b"], first["a"] * 0.75, draws * 0.018);
}

// ---- many threads

struct tally {
  explicit tally(int jobs) : wanted(jobs) {}
  const int wanted;
  std::atomic<int> done{0};
  std::atomic<std::int64_t> slowest_us{0};
  std::promise<void> all_done;

  void count(const engine::job& job) {
    const std::int64_t late = (system_clock_source{}.now() - job.created_at).count();
    std::int64_t before = slowest_us;
    while (late > before && !slowest_us.compare_exchange_weak(before, late)) {
    }
    if (++done == wanted) all_done.set_value();
  }
};

// borrows: what the test owns for longer than its pool runs
awaitable<void> consume(queues& queue, tally& sum, reserve_request request) {
  while (true) {
    auto jobs = co_await queue.reserve(request);
    EXPECT_TRUE(jobs);
    if (!jobs) co_return;
    for (const auto& job : *jobs) {
      const auto acked = co_await queue.ack({.id = job.what.id, .token = job.token});
      EXPECT_TRUE(acked);
      sum.count(job.what);
    }
  }
}

// borrows: what the test owns for longer than its pool runs
awaitable<void> produce(queues& queue, int count) {
  for (int i = 0; i < count; ++i) {
    const enqueue_request one{.queue = {.name = std::string(1, static_cast<char>('a' + i % 3))}};
    const auto made = co_await queue.enqueue(one);
    EXPECT_TRUE(made);
  }
}

// A wake-up that got lost would show as a job that is seconds late: only the safety tick finds it.
TEST(ReserveUnderLoad, NoWakeUpIsLost) {
  model::model_store store;
  queues queue{store};
  tally sum{600};
  asio::thread_pool pool{4};
  const std::vector<std::string> views{"a", "b", "c", "ab", "bc", "abc", "abc", "ca"};
  for (std::size_t i = 0; i < views.size(); ++i) {
    reserve_request request{.max = static_cast<std::uint32_t>(1 + i % 3), .wait = 60s};
    for (const char name : views[i]) {
      request.queues.push_back({.queue = {.name = std::string(1, name)}});
    }
    asio::co_spawn(asio::make_strand(pool), consume(queue, sum, std::move(request)),
                   asio::detached);
  }
  for (int i = 0; i < 3; ++i) {
    asio::co_spawn(asio::make_strand(pool), produce(queue, sum.wanted / 3), asio::detached);
  }
  EXPECT_EQ(sum.all_done.get_future().wait_for(test_watchdog), std::future_status::ready);
  pool.stop();
  pool.join();
  EXPECT_LT(sum.slowest_us, 4'000'000);
}

}  // namespace
}  // namespace millrace
