// Locks on Redis: P8 of the performance goals.
//
//   locks_bench --redis redis://127.0.0.1:6379 [--jobs 200000] [--callers 50] [--runs 5] [--once]
//   [--json]
//
// A pair is taking a lock that is free and releasing it, each call awaited; every caller has locks
// of its own: by an engine with a thread of its own, by one on the event loop of its callers
// (`millrace, loop`), and by one that also stays awake for its answers (`millrace, loop, awake`:
// `busy_poll` of 200 us). `--jobs` counts pairs. Every grant is looked at: one that is refused, or
// whose fence does not grow, ends the run with an error.
#include "open_redis.hpp"
#include "queue_load.hpp"

#include <millrace/locks/locks.hpp>

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace millrace::bench {
namespace {

struct progress {
  locks holders;
  std::size_t wanted;
  std::size_t begun{0};
  std::size_t ended{0};
};

awaitable<void> call(progress& in, std::size_t caller) {
  const engine::lock_key key{.resource = fmt::format("bench-{}", caller)};
  std::uint64_t fence = 0;
  while (in.begun < in.wanted) {
    ++in.begun;
    const std::string token = make_lock_token();
    const auto taken = co_await in.holders.acquire({.key = key, .token = token}, duration{0});
    if (!taken) stop(taken.error().detail);
    if (!taken->granted || taken->lock.fence <= fence) stop("a lock was not granted in order");
    fence = taken->lock.fence;
    const auto released = co_await in.holders.release({.key = key, .token = token});
    if (!released) stop(released.error().detail);
    ++in.ended;
  }
}

double pairs_per_second(asio::io_context& loop, engine::store& store, std::size_t pairs,
                        std::size_t count) {
  progress in{.holders = locks{store}, .wanted = pairs};
  std::vector<awaitable<void>> callers;
  for (std::size_t i = 0; i < count; ++i) callers.push_back(call(in, i));
  const double took = run_callers(loop, std::move(callers));
  if (in.ended != in.wanted) stop(fmt::format("{} of {} pairs", in.ended, in.wanted));
  return static_cast<double>(pairs) / took;
}

/// How the engine lives.
struct arrangement {
  std::string system;
  bool on_loop{false};
  std::chrono::microseconds busy_poll{0};
};

void one_run(const settings& with, const arrangement& how, report& out) {
  asio::io_context loop(1);
  const auto store = open_redis(with, how.on_loop ? &loop : nullptr, how.busy_poll);
  const std::string guarantee = "a fence that grows; released by the holder only";
  (void)pairs_per_second(loop, *store, with.jobs / 20, with.callers);
  out.add({how.system, fmt::format("{} callers", with.callers),
           pairs_per_second(loop, *store, with.jobs, with.callers), "pairs/s", guarantee});
  out.add({how.system, "1 caller", pairs_per_second(loop, *store, with.jobs / 10, 1), "pairs/s",
           guarantee});
}

int run(int argc, char** argv) {
  const settings with = parse(argc, argv);
  report out(with.json);
  for (int i = 0; i < with.runs; ++i) {
    one_run(with, {.system = "millrace"}, out);
    one_run(with, {.system = "millrace, loop", .on_loop = true}, out);
    one_run(with,
            {.system = "millrace, loop, awake",
             .on_loop = true,
             .busy_poll = std::chrono::microseconds{200}},
            out);
  }
  out.print();
  return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) { return millrace::bench::run(argc, argv); }
