#include "coherence_run.hpp"
#include "cutting_proxy.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <random>
#include <vector>

namespace millrace::cache::proof {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t seconds_default = 4;
constexpr std::size_t actors = 4;
constexpr std::size_t bytes_before_a_cut = 100'000;

/// What happens to the processes and their connections meanwhile.
enum class trouble : std::uint8_t {
  none,
  cuts,
  kills_and_stops,
  /// Nobody tells them of what others change.
  deaf,
};

struct proxy_ledger {
  std::atomic<std::uint16_t> port{0};
  std::atomic<std::size_t> cuts{0};
};

class Coherence : public testing::Test {
protected:
  void run(trouble with, std::chrono::milliseconds bound) {
    const std::uint64_t seed = number_from("MILLRACE_COHERENCE_SEED", std::random_device{}());
    const std::uint64_t seconds = number_from("MILLRACE_COHERENCE_SECONDS", seconds_default);
    std::cout << "MILLRACE_COHERENCE_SEED=" << seed << '\n';
    random_.seed(seed);
    if (with == trouble::deaf) source_ = near_source::own;
    std::uint16_t port = server_.port();
    if (with == trouble::cuts) port = start_proxy();
    for (std::size_t slot = 0; slot < actors; ++slot) start(slot, port, bound);
    const std::int64_t end = shared_now() + static_cast<std::int64_t>(seconds) * 1'000'000;
    while (shared_now() < end && ledger_->wrong == 0) {
      rest(std::chrono::milliseconds{50 + random_() % 400});
      if (with == trouble::kills_and_stops) disturb(port, bound);
    }
    ledger_->over = true;
    for (std::size_t slot = 0; slot < actors; ++slot) EXPECT_TRUE(ended_well(running_[slot]));
    if (proxy_ != -1) kill_now(proxy_);
    report(with);
  }

private:
  void start(std::size_t slot, std::uint16_t port, std::chrono::milliseconds bound) {
    const std::uint64_t seed = random_();
    running_[slot] =
        fork_to([=, this] { coherence_actor(*ledger_, slot, port, bound, seed, source_).run(); });
  }

  std::uint16_t start_proxy() {
    const auto seed = static_cast<std::uint32_t>(random_());
    // A process of its own, so that this one has one thread when it forks.
    proxy_ = fork_to([this, seed] {
      redis::testing::cutting_proxy proxy(server_.port(), bytes_before_a_cut, seed);
      proxies_->port = proxy.port();
      while (true) {
        rest(20ms);
        proxies_->cuts = proxy.cuts();
      }
    });
    while (proxies_->port == 0) rest(1ms);
    return proxies_->port;
  }

  void disturb(std::uint16_t port, std::chrono::milliseconds bound) {
    const std::size_t slot = random_() % actors;
    if (random_() % 2 == 0) {
      kill_now(running_[slot]);
      start(slot, port, bound);
      return;
    }
    // It goes on when what it has kept is too old.
    ::kill(running_[slot], SIGSTOP);
    rest(bound + std::chrono::milliseconds{random_() % 200});
    ::kill(running_[slot], SIGCONT);
  }

  void report(trouble with) {
    const coherence_ledger& all = *ledger_;
    std::cout << fmt::format(
        "{} reads ({} from near memory), {} writes, {} failed, {} cuts; {} reads behind, by {} us "
        "at most\n",
        all.reads.load(), all.near_hits.load(), all.writes.load(), all.failed.load(),
        proxies_->cuts.load(), all.behind.load(), all.furthest_behind.load());
    if (with == trouble::deaf) {
      EXPECT_GT(all.wrong, 0U);
      return;
    }
    EXPECT_EQ(all.wrong, 0U) << all.what.data();
    // It tries what it is meant to try.
    EXPECT_GT(all.near_hits, 100U);
    EXPECT_GT(all.writes, 50U);
    if (with == trouble::cuts) EXPECT_GT(proxies_->cuts, 0U);
  }

  redis::testing::redis_server server_;
  shared_ledger<coherence_ledger> ledger_;
  shared_ledger<proxy_ledger> proxies_;
  near_source source_{near_source::told};
  std::array<pid_t, actors> running_{};
  pid_t proxy_{-1};
  std::mt19937_64 random_;
};

TEST_F(Coherence, HoldsBetweenProcesses) { run(trouble::none, 1s); }

// The same with processes that are told nothing: it is found out.
TEST_F(Coherence, IsFoundMissingWhereItIs) { run(trouble::deaf, 200ms); }

TEST_F(Coherence, HoldsWhenConnectionsAreCut) { run(trouble::cuts, 600ms); }

TEST_F(Coherence, HoldsWhenProcessesAreKilledAndStopped) { run(trouble::kills_and_stops, 600ms); }

}  // namespace
}  // namespace millrace::cache::proof
