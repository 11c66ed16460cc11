#include <millrace/engine/wakeups.hpp>

#include <millrace/base/testing.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/system/system_error.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

const topic mail = queue_topic("default", "mail");
const topic other = queue_topic("default", "other");

// Waits on an event loop of its own that each test turns by hand: after `turn` everything that
// could happen without time passing has happened.
class sleepers {
public:
  // The listener is shared, so that it outlives its wait and what it owes is not passed on yet.
  std::shared_ptr<wakeups::listener> add(wakeups& hints, std::vector<topic> topics,
                                         std::string name) {
    auto who = std::make_shared<wakeups::listener>(hints.listen(std::move(topics)));
    asio::co_spawn(context_, sleep(who, std::move(name), &woken_), asio::detached);
    turn();
    return who;
  }
  void turn() {
    context_.restart();
    while (context_.poll() > 0) {
    }
  }
  [[nodiscard]] const std::vector<std::string>& woken() {
    turn();
    return woken_;
  }

private:
  static awaitable<void> sleep(std::shared_ptr<wakeups::listener> who, std::string name,
                               std::vector<std::string>* woken) {
    const bool hinted = co_await who->wait(1h);
    EXPECT_TRUE(hinted);
    woken->push_back(std::move(name));
  }

  std::vector<std::string> woken_;
  asio::io_context context_{1};
};

TEST(Wakeups, WakesNobodyWhenNobodyListens) {
  wakeups hints;
  hints.notify(mail);
  sleepers all;
  const auto late = all.add(hints, {mail}, "late");
  EXPECT_THAT(all.woken(), IsEmpty());
}

TEST(Wakeups, WakesTheLongestWaitingFirstAndNoMoreThanCounted) {
  wakeups hints;
  sleepers all;
  const auto a = all.add(hints, {mail}, "a");
  const auto b = all.add(hints, {mail}, "b");
  const auto c = all.add(hints, {mail}, "c");
  hints.notify(mail, 0);
  EXPECT_THAT(all.woken(), IsEmpty());
  hints.notify(mail, 1);
  EXPECT_THAT(all.woken(), ElementsAre("a"));
  hints.notify(mail, 1);
  EXPECT_THAT(all.woken(), ElementsAre("a", "b"));
  hints.notify(mail, 7);
  EXPECT_THAT(all.woken(), ElementsAre("a", "b", "c"));
}

TEST(Wakeups, WakesOnEachOfItsTopicsAndOnNoOther) {
  wakeups hints;
  sleepers all;
  const auto both = all.add(hints, {mail, other}, "both");
  const auto one = all.add(hints, {mail}, "one");
  hints.notify(cron_topic());
  hints.notify(job_topic("mail~00000000001"));
  hints.notify({topic::kind::job, mail.name});
  EXPECT_THAT(all.woken(), IsEmpty());
  hints.notify(other);
  EXPECT_THAT(all.woken(), ElementsAre("both"));
  hints.notify(mail);
  EXPECT_THAT(all.woken(), ElementsAre("both", "one"));
}

awaitable<void> look_then_wait(wakeups* hints) {
  auto listener = hints->listen({mail});
  hints->notify(mail, 1);
  hints->notify(mail, 1);
  const bool first = co_await listener.wait(1h);
  EXPECT_TRUE(first);
  // Both came before the look that follows the first wait, so there is nothing new.
  const bool second = co_await listener.wait(1ms);
  EXPECT_FALSE(second);
  hints->notify(mail);
  listener.consume();
  // What came while it looked is news even though the look was successful.
  const bool third = co_await listener.wait(1h);
  EXPECT_TRUE(third);
}

TEST(Wakeups, RemembersWhatCameBetweenTheLookAndTheWait) {
  wakeups hints;
  run_coro(look_then_wait(&hints));
}

TEST(Wakeups, TellsAHintOnceToOneWhoSleptThroughIt) {
  wakeups hints;
  sleepers all;
  const auto first = all.add(hints, {mail}, "first");
  const auto second = all.add(hints, {mail}, "second");
  hints.notify(mail, 1);
  hints.notify(mail, 1);
  EXPECT_THAT(all.woken(), ElementsAre("first", "second"));
  EXPECT_FALSE(run_coro(first->wait(0s)));
  EXPECT_FALSE(run_coro(second->wait(0s)));
}

TEST(Wakeups, TellsAllWhoLookWithoutCountingThem) {
  wakeups hints;
  sleepers all;
  auto looking = hints.listen({mail});
  const auto asleep = all.add(hints, {mail}, "asleep");
  hints.notify(mail, 1);
  EXPECT_THAT(all.woken(), ElementsAre("asleep"));
  EXPECT_TRUE(run_coro(looking.wait(1h)));
}

TEST(Wakeups, AListenerThatEndsWithAHintPassesItOn) {
  wakeups hints;
  sleepers all;
  auto a = all.add(hints, {mail}, "a");
  const auto b = all.add(hints, {mail}, "b");
  const auto c = all.add(hints, {mail}, "c");
  hints.notify(mail, 1);
  EXPECT_THAT(all.woken(), ElementsAre("a"));
  a.reset();
  EXPECT_THAT(all.woken(), ElementsAre("a", "b"));
}

TEST(Wakeups, AConsumedHintIsNotPassedOn) {
  wakeups hints;
  sleepers all;
  auto a = all.add(hints, {mail}, "a");
  const auto b = all.add(hints, {mail}, "b");
  hints.notify(mail, 1);
  EXPECT_THAT(all.woken(), ElementsAre("a"));
  a->consume();
  a.reset();
  EXPECT_THAT(all.woken(), ElementsAre("a"));
}

TEST(Wakeups, AHintForOneTopicIsPassedOnInThatTopic) {
  wakeups hints;
  sleepers all;
  auto both = all.add(hints, {other, mail}, "both");
  const auto for_other = all.add(hints, {other}, "other");
  const auto for_mail = all.add(hints, {mail}, "mail");
  hints.notify(mail, 1);
  both.reset();
  EXPECT_THAT(all.woken(), ElementsAre("both", "mail"));
}

TEST(Wakeups, AListenerThatIsMovedGoesOnListening) {
  wakeups hints;
  auto first = hints.listen({mail});
  auto second = hints.listen({other});
  second = std::move(first);
  hints.notify(other);
  hints.notify(mail);
  EXPECT_TRUE(run_coro(second.wait(1h)));
  hints.notify(other);
  EXPECT_FALSE(run_coro(second.wait(0s)));
}

TEST(Wakeups, AListenerOutlivesItsWakeups) {
  auto hints = std::make_unique<wakeups>();
  auto listener = hints->listen({mail});
  hints.reset();
  EXPECT_FALSE(run_coro(listener.wait(1ms)));
}

awaitable<void> expect_cancelled(std::shared_ptr<wakeups::listener> who, bool* cancelled) {
  try {
    (void)co_await who->wait(1h);
  } catch (const boost::system::system_error& e) {
    *cancelled = e.code() == asio::error::operation_aborted;
  }
}

TEST(Wakeups, ACancelledWaitEndsAndLeavesTheHintToOthers) {
  wakeups hints;
  asio::io_context context{1};
  asio::cancellation_signal signal;
  bool cancelled = false;
  const auto who = std::make_shared<wakeups::listener>(hints.listen({mail}));
  asio::co_spawn(context, expect_cancelled(who, &cancelled),
                 asio::bind_cancellation_slot(signal.slot(), asio::detached));
  context.poll();
  sleepers all;
  const auto next = all.add(hints, {mail}, "next");
  signal.emit(asio::cancellation_type::terminal);
  context.restart();
  context.poll();
  EXPECT_TRUE(cancelled);
  hints.notify(mail, 1);
  EXPECT_THAT(all.woken(), ElementsAre("next"));
}

// An event loop that ends with a wait in it frees everything: the leak checker watches.
TEST(Wakeups, AWaitThatEndsWithItsEventLoopLeavesNothingBehind) {
  wakeups hints;
  std::shared_ptr<wakeups::listener> outlives;
  {
    sleepers all;
    all.add(hints, {mail}, "never");
    outlives = all.add(hints, {mail}, "never either");
  }
  hints.notify(mail);
  EXPECT_TRUE(run_coro(outlives->wait(1h)));
}

// A store of tokens, and those who take them. A wait that ends by its time is a hint that was lost.
struct stress {
  static constexpr int producers = 2;
  // Of one token, two and three in turn, by each producer.
  static constexpr int puts = 3000;
  static constexpr int tokens_in_all = producers * puts * 2;

  bool take() {
    const std::lock_guard lock(mutex);
    if (available == 0) return false;
    --available;
    ++taken;
    return true;
  }
  // Waits while there is enough, so that those who take fall asleep over and over.
  void put(int count) {
    while (!put_if_few(count)) std::this_thread::yield();
    hints.notify(mail, static_cast<std::size_t>(count));
  }
  bool put_if_few(int count) {
    const std::lock_guard lock(mutex);
    if (available > 2) return false;
    available += count;
    return true;
  }
  bool all_taken() {
    const std::lock_guard lock(mutex);
    return taken == tokens_in_all;
  }

  std::mutex mutex;
  int available{0};
  int taken{0};
  std::atomic<int> lost{0};
  wakeups hints;
};

awaitable<void> take_until_done(stress* shared) {
  while (!shared->all_taken()) {
    auto listener = shared->hints.listen({mail, other});
    // A few looks with one listener, then the next: both ways lead through every transition.
    for (int i = 0; i < 5 && !shared->all_taken(); ++i) {
      if (shared->take()) {
        listener.consume();
        if (shared->all_taken()) shared->hints.notify(mail);
        continue;
      }
      const bool hinted = co_await listener.wait(20s);
      if (!hinted) shared->lost.fetch_add(1);
    }
  }
}

// Dies with the hint in its hands.
awaitable<void> leave_when_woken(stress* shared) {
  auto listener = shared->hints.listen({mail});
  if (shared->all_taken()) co_return;
  (void)co_await listener.wait(20s);
}

TEST(Wakeups, LosesNoHintBetweenThreads) {
  stress shared;
  asio::thread_pool pool(3);
  for (int i = 0; i < 8; ++i) {
    asio::co_spawn(asio::make_strand(pool), take_until_done(&shared), asio::detached);
  }
  std::vector<std::thread> producers;
  for (int p = 0; p < stress::producers; ++p) {
    producers.emplace_back([&shared, &pool] {
      for (int i = 0; i < stress::puts; ++i) {
        if (i % 20 == 0) asio::co_spawn(pool, leave_when_woken(&shared), asio::detached);
        shared.put(1 + i % 3);
      }
    });
  }
  for (auto& producer : producers) producer.join();
  pool.join();
  EXPECT_TRUE(shared.all_taken());
  EXPECT_EQ(shared.lost.load(), 0);
}

TEST(Wakeups, CallsOnceOnTheThreadThatHints) {
  wakeups hints;
  auto who = hints.listen({mail, other});
  int called = 0;
  std::thread::id where;
  who.call_at_hint([&] {
    ++called;
    where = std::this_thread::get_id();
  });
  EXPECT_EQ(called, 0);
  std::thread([&] {
    hints.notify(other);
    EXPECT_EQ(called, 1);
    EXPECT_EQ(where, std::this_thread::get_id());
    hints.notify(mail);
  }).join();
  EXPECT_EQ(called, 1);
  EXPECT_FALSE(who.call_off());
}

TEST(Wakeups, CallsAtOnceWhenSomethingCameSinceTheLastLook) {
  wakeups hints;
  auto who = hints.listen({mail});
  hints.notify(mail);
  int called = 0;
  who.call_at_hint([&] { ++called; });
  EXPECT_EQ(called, 1);
  who.call_at_hint([&] { ++called; });
  EXPECT_EQ(called, 1);
}

TEST(Wakeups, WhatWasCalledOffIsNotCalled) {
  wakeups hints;
  auto who = hints.listen({mail});
  const auto held = std::make_shared<int>(0);
  who.call_at_hint([held] { ++*held; });
  EXPECT_TRUE(who.call_off());
  EXPECT_EQ(held.use_count(), 1);
  hints.notify(mail);
  EXPECT_EQ(*held, 0);
  EXPECT_FALSE(who.call_off());
}

TEST(Wakeups, ACallStandsInTheQueueWithThoseWhoSleep) {
  wakeups hints;
  sleepers all;
  const auto a = all.add(hints, {mail}, "a");
  auto caller = hints.listen({mail});
  bool called = false;
  caller.call_at_hint([&] { called = true; });
  const auto b = all.add(hints, {mail}, "b");
  hints.notify(mail, 1);
  EXPECT_THAT(all.woken(), ElementsAre("a"));
  EXPECT_FALSE(called);
  hints.notify(mail, 1);
  EXPECT_TRUE(called);
  EXPECT_THAT(all.woken(), ElementsAre("a"));
  // It was called, and ends without having acted on the hint: the next one has to.
  caller = hints.listen({other});
  EXPECT_THAT(all.woken(), ElementsAre("a", "b"));
}

TEST(Wakeups, ACallMayHintAndListenAgain) {
  wakeups hints;
  auto who = hints.listen({mail});
  int called = 0;
  who.call_at_hint([&] {
    ++called;
    who.call_at_hint([&] { ++called; });
    hints.notify(mail);
  });
  hints.notify(mail);
  EXPECT_EQ(called, 2);
}

}  // namespace
}  // namespace millrace::engine
