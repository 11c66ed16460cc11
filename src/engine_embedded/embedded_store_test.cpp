#include <millrace/engine_embedded/embedded_store.hpp>

#include "test_directory.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine/limits.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::embedded {
namespace {

namespace blocking = engine::blocking;

std::unique_ptr<embedded_store> open_store(const std::filesystem::path& directory,
                                           const clock_source& clock) {
  auto store = embedded_store::open({.directory = directory, .clock = &clock});
  EXPECT_TRUE(store) << store.error().detail;
  return store ? std::move(*store) : nullptr;
}

template <class Outcome>
Outcome commit_one(engine::store& store, engine::step what) {
  engine::transaction one;
  one.steps.push_back(std::move(what));
  engine::commit_result done = blocking::commit(store, std::move(one));
  EXPECT_TRUE(done) << done.error().why.code << ": " << done.error().why.detail;
  return done ? std::get<Outcome>(std::move(done->outcomes.front())) : Outcome{};
}

engine::job enqueue(engine::store& store, std::string data, std::string queue = "q") {
  engine::enqueue_job step{.queue = {.name = std::move(queue)}};
  step.spec.data = std::move(data);
  return commit_one<engine::job_enqueued>(store, std::move(step)).made;
}

std::vector<engine::leased_job> lease(engine::store& store, std::uint32_t max = 1,
                                      std::string queue = "q") {
  return commit_one<engine::jobs_leased>(
             store, engine::lease_jobs{.queues = {{.name = std::move(queue)}}, .max = max})
      .jobs;
}

TEST(EmbeddedStore, KeepsJobsAcrossReopening) {
  const test_directory directory;
  const manual_clock clock;
  engine::job_id done_id;
  engine::job_id waiting_id;
  {
    const auto store = open_store(directory.path(), clock);
    done_id = enqueue(*store, "1").id;
    waiting_id = enqueue(*store, "2").id;
    const auto leased = lease(*store);
    ASSERT_EQ(leased.size(), 1U);
    EXPECT_EQ(leased[0].what.id, done_id);
    EXPECT_EQ(leased[0].what.spec.data, "1");
    commit_one<engine::job_changed>(
        *store, engine::ack_job{.id = done_id, .token = leased[0].token, .result = "42"});
  }
  const auto store = open_store(directory.path(), clock);
  const auto done = blocking::ask(*store, engine::find_job{done_id});
  ASSERT_TRUE(done && *done);
  EXPECT_EQ((*done)->status, engine::job_status::completed);
  EXPECT_EQ((*done)->result, "42");
  const auto leased = lease(*store, 10);
  ASSERT_EQ(leased.size(), 1U);
  EXPECT_EQ(leased[0].what.id, waiting_id);
  EXPECT_EQ(leased[0].what.attempts, 1U);
}

TEST(EmbeddedStore, KeepsLeasesAcrossReopeningForOneFullInterval) {
  const test_directory directory;
  manual_clock clock;
  engine::leased_job before;
  {
    const auto store = open_store(directory.path(), clock);
    enqueue(*store, "1");
    before = lease(*store).at(0);
  }
  clock.advance(std::chrono::hours{5});
  const auto store = open_store(directory.path(), clock);
  EXPECT_TRUE(lease(*store).empty());
  const auto running = blocking::ask(*store, engine::find_job{before.what.id});
  ASSERT_TRUE(running && *running);
  EXPECT_EQ((*running)->status, engine::job_status::running);
  EXPECT_EQ((*running)->token, before.token);
  EXPECT_EQ((*running)->attempts, 1U);
  EXPECT_EQ((*running)->started_at, before.what.started_at);
  EXPECT_EQ((*running)->leased_until, clock.now() + engine::lease_default);
  commit_one<engine::job_changed>(*store,
                                  engine::ack_job{.id = before.what.id, .token = before.token});
}

TEST(EmbeddedStore, NeverGivesAStampTwiceThoughTheClockGoesBack) {
  const test_directory directory;
  manual_clock clock;
  engine::job_id first;
  {
    const auto store = open_store(directory.path(), clock);
    first = enqueue(*store, "1").id;
  }
  clock.set(clock.now() - std::chrono::hours{48});
  const auto store = open_store(directory.path(), clock);
  EXPECT_GT(enqueue(*store, "2").id.stamp, first.stamp);
}

TEST(EmbeddedStore, RefusesASecondOwnerOfTheDirectoryAndNamesTheFirst) {
  const test_directory directory;
  const manual_clock clock;
  const auto store = open_store(directory.path(), clock);
  const auto second = embedded_store::open({.directory = directory.path(), .clock = &clock});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "directory_in_use");
  EXPECT_NE(second.error().detail.find(std::to_string(::getpid())), std::string::npos);
}

TEST(EmbeddedStore, RefusesAFileThatIsNoDatabase) {
  const test_directory directory;
  std::filesystem::create_directories(directory.path());
  std::ofstream(directory.path() / "millrace.db") << std::string(10'000, 'x');
  const auto store = embedded_store::open({.directory = directory.path()});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind, errc::corrupted);
  EXPECT_EQ(store.error().code, "database_corrupt");
  EXPECT_NE(store.error().detail.find("millrace restore"), std::string::npos);
}

TEST(EmbeddedStore, RefusesADirectoryItCannotMake) {
  const auto store = embedded_store::open({.directory = "/proc/nowhere/data"});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, "directory_unwritable");
}

TEST(EmbeddedStore, WritesItsLogBackBeforeItIsLongerThanPrepared) {
  const test_directory directory;
  const auto store = embedded_store::open(
      {.directory = directory.path(), .prepared_log_bytes = std::size_t{256} << 10U});
  ASSERT_TRUE(store) << store.error().detail;
  // Each is a page at least: 2.4 MB, most of them while the log is being written back.
  for (int i = 0; i < 600; ++i) enqueue(**store, "1");
  EXPECT_LT(std::filesystem::file_size(directory.path() / "millrace.db-wal"), 1'200'000U);
}

TEST(EmbeddedStore, CallersWhoExecuteForTheWriterTakeTurnsWithIt) {
  const test_directory directory;
  constexpr int callers = 4;
  constexpr int each = 150;
  const auto store = embedded_store::open({.directory = directory.path()});
  ASSERT_TRUE(store) << store.error().detail;
  {
    std::vector<std::jthread> threads;
    for (int caller = 0; caller < callers; ++caller) {
      threads.emplace_back([&, caller] {
        for (int i = 0; i < each; ++i) {
          enqueue(**store, std::to_string(caller * each + i));
          // Now all at once, now one by one, when the writer sleeps.
          for (int rest = (i / 10 + caller) % 3 * 50; rest > 0; --rest) std::this_thread::yield();
        }
      });
    }
  }
  std::vector<int> last(callers, -1);
  int count = 0;
  for (const auto& leased : lease(**store, engine::lease_jobs_max)) {
    const int number = std::stoi(leased.what.spec.data);
    EXPECT_GT(number % each, last[static_cast<std::size_t>(number / each)]);
    last[static_cast<std::size_t>(number / each)] = number % each;
    ++count;
  }
  EXPECT_EQ(count, callers * each);
}

TEST(EmbeddedStore, AnswersNobodyFromWithinTheCall) {
  const test_directory directory;
  const auto store = embedded_store::open({.directory = directory.path()});
  ASSERT_TRUE(store) << store.error().detail;
  for (int i = 0; i < 20; ++i) {
    std::promise<std::thread::id> answered;
    engine::transaction one;
    one.steps.emplace_back(engine::enqueue_job{.queue = {.name = "q"}});
    std::vector<engine::transaction> batch;
    batch.push_back(std::move(one));
    (*store)->submit(std::move(batch), [&](std::vector<engine::commit_result>) {
      answered.set_value(std::this_thread::get_id());
    });
    EXPECT_NE(answered.get_future().get(), std::this_thread::get_id());
  }
}

TEST(EmbeddedStore, KeepsItsFilesPrivate) {
  const test_directory directory;
  const manual_clock clock;
  const auto store = open_store(directory.path(), clock);
  enqueue(*store, "1");
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(directory.path()).permissions(), perms::owner_all);
  for (const auto& each : std::filesystem::directory_iterator(directory.path())) {
    EXPECT_EQ(each.status().permissions(), perms::owner_read | perms::owner_write) << each.path();
  }
}

}  // namespace
}  // namespace millrace::embedded
