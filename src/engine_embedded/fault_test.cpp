#include "fault_vfs.hpp"
#include "ledger_run.hpp"
#include "test_directory.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine_embedded/embedded_store.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <string>
#include <utility>

/// Every n-th file operation fails: nothing that was confirmed may be lost, nothing that was
/// refused may have happened, and the engine goes on where it can.
namespace millrace::embedded {
namespace {

using fault_vfs::operation;

std::atomic<int> sync_failures{0};

options faulty_options(const std::filesystem::path& directory, const clock_source& clock) {
  return {.directory = directory,
          .clock = &clock,
          .hot_jobs_bytes = 0,
          .page_cache_bytes = 65'536,
          .prepared_log_bytes = 65'536,
          .checkpoint_bytes = 100'000,
          .vfs = fault_vfs::name(),
          .on_sync_failure = [](const error&) { ++sync_failures; }};
}

// Work, during which the fault strikes. A store whose sync has failed is left at once, as its
// process would have ended.
void work_through_fault(ledger_run& ledger, const options& with) {
  sync_failures = 0;
  auto store = embedded_store::open(with);
  if (!store) {
    const error& why = store.error();
    EXPECT_TRUE(why.kind == errc::unavailable || why.kind == errc::storage_full ||
                why.kind == errc::outcome_unknown)
        << why.detail;
    return;
  }
  const auto sync_failed = [&ledger] { return sync_failures > 0 || ledger.unknown() > 0; };
  for (int i = 0; i < 60 && !sync_failed(); ++i) ledger.step(**store);
  if (sync_failed()) return;
  // The fault is over: what was refused can be done now, and memory is what it was before.
  fault_vfs::disarm();
  const std::uint64_t refused = ledger.refused();
  EXPECT_EQ(ledger.compare(**store, true), std::nullopt);
  for (int i = 0; i < 10; ++i) ledger.step(**store);
  EXPECT_EQ(ledger.refused(), refused) << "refuses though nothing fails any more";
}

void expect_survival_of(fault_vfs::plan fault, std::uint64_t seed) {
  const test_directory directory;
  const manual_clock clock;
  const options with = faulty_options(directory.path(), clock);
  ledger_run ledger(seed);
  {
    auto store = embedded_store::open(with);
    ASSERT_TRUE(store);
    for (int i = 0; i < 20; ++i) ledger.step(**store);
  }
  fault_vfs::arm(fault);
  work_through_fault(ledger, with);
  fault_vfs::disarm();
  auto store = embedded_store::open(with);
  ASSERT_TRUE(store) << store.error().detail;
  EXPECT_EQ(ledger.compare(**store, true), std::nullopt);
  EXPECT_EQ(ledger.surprise(), std::nullopt);
}

// How many operations of a kind a run without a fault has.
std::uint64_t operations_of(unsigned kinds) {
  expect_survival_of({.operations = kinds, .at = ~std::uint64_t{0}}, 1);
  const test_directory directory;
  const manual_clock clock;
  ledger_run ledger(1);
  const options with = faulty_options(directory.path(), clock);
  fault_vfs::arm({.operations = kinds, .at = ~std::uint64_t{0}});
  {
    auto store = embedded_store::open(with);
    for (int i = 0; i < 80; ++i) ledger.step(**store);
  }
  return fault_vfs::seen();
}

void fail_every_nth(unsigned kinds, bool full, std::uint64_t times) {
  const std::uint64_t count = operations_of(kinds);
  ASSERT_GT(count, 0U);
  // Places spread evenly, and a different history each. MILLRACE_FAULT_PLACES: more, for a
  // campaign.
  const char* const wanted = std::getenv("MILLRACE_FAULT_PLACES");
  const std::uint64_t places = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 40;
  const std::uint64_t stride =
      std::max<std::uint64_t>(1, count / std::max<std::uint64_t>(1, places));
  std::uint64_t struck = 0;
  for (std::uint64_t at = 1; at <= count; at += stride) {
    SCOPED_TRACE("operation " + std::to_string(at));
    expect_survival_of({.operations = kinds, .at = at, .times = times, .full = full}, at);
    struck += fault_vfs::failures() > 0 ? 1 : 0;
    if (testing::Test::HasFailure()) return;
  }
  // Rare operations come when the checkpointer finds time for them: more histories until one was
  // hit.
  for (std::uint64_t more = 1; struck == 0 && more <= 100; ++more) {
    expect_survival_of({.operations = kinds, .at = 1, .times = times, .full = full}, count + more);
    struck += fault_vfs::failures() > 0 ? 1 : 0;
  }
  EXPECT_GT(struck, 0U);
}

TEST(Faults, OfAWriteLoseNothing) {
  fail_every_nth(static_cast<unsigned>(operation::write), false, 1);
}

TEST(Faults, OfSeveralWritesLoseNothing) {
  fail_every_nth(static_cast<unsigned>(operation::write), false, 5);
}

TEST(Faults, OfAFullDiskLoseNothing) {
  fail_every_nth(static_cast<unsigned>(operation::write), true, 7);
}

TEST(Faults, OfAFullDiskLeaveReadsAlone) {
  const test_directory directory;
  const manual_clock clock;
  auto store = embedded_store::open(faulty_options(directory.path(), clock));
  ASSERT_TRUE(store);
  const auto enqueue = [&] {
    engine::transaction one;
    one.steps.push_back(engine::enqueue_job{.queue = {.name = "q"}});
    return engine::blocking::commit(**store, std::move(one));
  };
  const engine::commit_result before = enqueue();
  ASSERT_TRUE(before);
  const engine::job_id id = std::get<engine::job_enqueued>(before->outcomes[0]).made.id;

  fault_vfs::arm({.operations = static_cast<unsigned>(operation::write),
                  .at = 1,
                  .times = 1'000'000,
                  .full = true});
  for (int i = 0; i < 3; ++i) {
    // In one group with what is refused, and after it.
    std::promise<bool> asked;
    std::vector<engine::transaction> batch(1);
    batch[0].steps.push_back(engine::enqueue_job{.queue = {.name = "q"}});
    (*store)->submit(std::move(batch), [](auto) {});
    (*store)->ask(engine::find_job{id},
                  [&asked](auto found) { asked.set_value(found.has_value()); });
    EXPECT_TRUE(asked.get_future().get());
    const engine::commit_result refused = enqueue();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().why.kind, errc::storage_full);
    const auto queue = engine::blocking::ask(**store, engine::find_queue{{.name = "q"}});
    ASSERT_TRUE(queue) << queue.error().detail;
    EXPECT_EQ((*queue)->waiting, 1U) << "what was refused is not seen";
    EXPECT_FALSE(engine::blocking::ask(**store, engine::probe_store{}));
  }
  fault_vfs::disarm();
  EXPECT_TRUE(engine::blocking::ask(**store, engine::probe_store{}));
  EXPECT_TRUE(enqueue());
}

TEST(Faults, OfAReadLoseNothing) {
  fail_every_nth(static_cast<unsigned>(operation::read), false, 1);
}

TEST(Faults, OfATruncationLoseNothing) {
  fail_every_nth(static_cast<unsigned>(operation::truncate), false, 1);
}

TEST(Faults, OfASyncAnswerThatTheOutcomeIsUnknown) {
  fail_every_nth(static_cast<unsigned>(operation::sync), false, 1);
}

}  // namespace
}  // namespace millrace::embedded
