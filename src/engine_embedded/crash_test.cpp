#include "fault_vfs.hpp"
#include "ledger_run.hpp"
#include "test_directory.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_embedded/embedded_store.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <random>
#include <set>
#include <signal.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace millrace::embedded {
namespace {

namespace blocking = engine::blocking;

// A new one each time; MILLRACE_SEED repeats a run.
std::uint64_t any_seed() {
  const char* const wanted = std::getenv("MILLRACE_SEED");
  const std::uint64_t seed =
      wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : std::random_device{}();
  std::cout << "MILLRACE_SEED=" << seed << '\n';
  return seed;
}

// What was confirmed is on the disk: of everything written since a file was last synced, any part
// may be gone. Leases may be lost; their jobs are available again then.
TEST(PowerLoss, LosesNothingThatWasConfirmed) {
  std::mt19937_64 chance(any_seed());
  for (int round = 0; round < 30; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const test_directory directory;
    const manual_clock clock;
    ledger_run ledger(chance());
    fault_vfs::watch_unsynced();
    options with{.directory = directory.path(),
                 .clock = &clock,
                 .prepared_log_bytes = 65'536,
                 .checkpoint_bytes = 60'000,
                 .vfs = fault_vfs::name()};
    for (int loss = 0; loss < 3; ++loss) {
      const auto left = directory.beside("left" + std::to_string(loss));
      {
        auto store = embedded_store::open(with);
        ASSERT_TRUE(store) << store.error().detail;
        ASSERT_EQ(ledger.compare(**store, false), std::nullopt);
        ledger.forget_leases(**store);
        for (std::uint64_t i = chance() % 40; i > 0; --i) ledger.step(**store);
        fault_vfs::copy_after_power_loss(with.directory, left, chance);
        if (chance() % 2 == 0) std::filesystem::remove(left / "leases");
      }
      with.directory = left;
    }
    ASSERT_EQ(ledger.surprise(), std::nullopt);
  }
}

// ---- SIGKILL

// One line of the victim's diary: written once it had its answer.
struct diary_entry {
  enum class kind : std::uint8_t { enqueued, leased, completed };
  kind what{kind::enqueued};
  std::uint64_t stamp{0};
  std::uint64_t token{0};
};

void write_diary(int pipe, const diary_entry& entry) {
  MILLRACE_ASSERT(::write(pipe, &entry, sizeof entry) == static_cast<ssize_t>(sizeof entry));
}

engine::committed commit(engine::store& store, engine::step what) {
  engine::transaction one;
  one.steps.push_back(std::move(what));
  auto done = blocking::commit(store, std::move(one));
  MILLRACE_ASSERT(done.has_value());
  return std::move(*done);
}

void produce(engine::store& store, int diary) {
  while (true) {
    const auto done = commit(store, engine::enqueue_job{.queue = {.name = "q"}});
    const auto& made = std::get<engine::job_enqueued>(done.outcomes[0]).made;
    write_diary(diary, {diary_entry::kind::enqueued, made.id.stamp});
  }
}

void consume(engine::store& store, int diary) {
  while (true) {
    const auto taken = commit(store, engine::lease_jobs{.queues = {{.name = "q"}}, .max = 3});
    for (const auto& each : std::get<engine::jobs_leased>(taken.outcomes[0]).jobs) {
      write_diary(diary, {diary_entry::kind::leased, each.what.id.stamp, each.token});
      if (each.what.id.stamp % 3 == 0) continue;
      commit(store, engine::ack_job{.id = each.what.id, .token = each.token});
      write_diary(diary, {diary_entry::kind::completed, each.what.id.stamp});
    }
  }
}

[[noreturn]] void be_killed(const std::filesystem::path& directory, int diary) {
  auto store = embedded_store::open({.directory = directory, .checkpoint_bytes = 200'000});
  MILLRACE_ASSERT(store.has_value());
  std::jthread producer([&] { produce(**store, diary); });
  std::jthread other([&] { produce(**store, diary); });
  consume(**store, diary);
  std::abort();
}

// What the process had been told before it died, over all its lives.
struct diary {
  std::set<std::uint64_t> enqueued;
  std::set<std::uint64_t> completed;
  std::map<std::uint64_t, std::uint64_t> tokens;
  std::uint64_t greatest{0};

  void take(const diary_entry& entry) {
    switch (entry.what) {
      case diary_entry::kind::enqueued: enqueued.insert(entry.stamp); break;
      case diary_entry::kind::leased: tokens[entry.stamp] = entry.token; break;
      case diary_entry::kind::completed: completed.insert(entry.stamp); break;
    }
    greatest = std::max({greatest, entry.stamp, entry.token});
  }
};

void live_and_die(const std::filesystem::path& directory, diary& into, std::mt19937_64& chance) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    be_killed(directory, ends[1]);
  }
  ::close(ends[1]);
  // Death comes after a number of entries, so that no round is empty, and at any instant then.
  const std::uint64_t last = 50 + chance() % 2000;
  diary_entry entry;
  for (std::uint64_t count = 0; ::read(ends[0], &entry, sizeof entry) == sizeof entry;) {
    into.take(entry);
    if (++count == last) ::kill(child, SIGKILL);
  }
  ::close(ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

void expect_kept(engine::store& store, const diary& what) {
  for (const std::uint64_t stamp : what.enqueued) {
    const auto found = blocking::ask(store, engine::find_job{{.tag = "q", .stamp = stamp}});
    ASSERT_TRUE(found && *found) << stamp << " was lost";
    const engine::job& job = **found;
    if (what.completed.contains(stamp)) {
      ASSERT_EQ(job.status, engine::job_status::completed) << stamp;
    } else if (const auto at = what.tokens.find(stamp); at != what.tokens.end()) {
      // The ack may have been done without being answered.
      const bool acked = job.status == engine::job_status::completed && stamp % 3 != 0;
      ASSERT_TRUE(acked || job.status == engine::job_status::running) << stamp;
      ASSERT_EQ(job.token, at->second) << stamp;
    }
  }
}

TEST(Kill, LosesNothingThatWasConfirmed) {
  std::mt19937_64 chance(any_seed());
  const test_directory directory;
  diary told;
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    live_and_die(directory.path(), told, chance);
    if (HasFatalFailure()) return;
    auto store = embedded_store::open({.directory = directory.path()});
    ASSERT_TRUE(store) << store.error().detail;
    expect_kept(**store, told);
    if (HasFatalFailure()) return;
    const auto next = commit(**store, engine::enqueue_job{.queue = {.name = "other"}});
    const auto& made = std::get<engine::job_enqueued>(next.outcomes[0]).made;
    ASSERT_GT(made.id.stamp, told.greatest);
  }
  EXPECT_GT(told.completed.size(), 100U);
}

}  // namespace
}  // namespace millrace::embedded
