// Checks of limits: P7 of the performance goals.
//
//   limits_bench [--redis redis://127.0.0.1:6379] [--jobs 200000] [--callers 50] [--runs 5]
//   [--once]
//   [--json]
//
// In one process's memory (`limit_table`, one thread), and on Redis where one is named: one limit
// a check, three that are charged all or none, and one of which the process holds shares. `--jobs`
// counts checks. Every check is counted: what was allowed has to be what the limits say, or the run
// ends with an error.
#include "open_redis.hpp"
#include "queue_load.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine/limit_table.hpp>
#include <millrace/limiter/limiter.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t users = 1000;

// Of user `n`: the first `count` of three limits. None of them is reached but the last.
std::vector<engine::limit_check> checks_of(std::size_t n, std::size_t count) {
  std::vector<engine::limit_check> all{
      {.scope = "user", .id = std::to_string(n % users), .limit = 100, .window = 1s},
      {.scope = "ip", .id = fmt::format("10.0.0.{}", n % 250), .limit = 100'000, .window = 60s},
      {.scope = "global", .id = "all", .limit = 1'000'000'000, .window = 60s}};
  all.resize(count);
  return all;
}

double in_memory(const settings& with, std::size_t limits) {
  engine::limit_table table;
  std::vector<engine::take_limits> steps;
  for (std::size_t n = 0; n < users; ++n) steps.push_back({.checks = checks_of(n, limits)});
  timestamp now = from_micros(1'767'225'600'000'000);
  const std::size_t count = with.jobs * 10;
  std::size_t allowed = 0;
  const auto begin = steady::now();
  for (std::size_t i = 0; i < count; ++i) {
    const engine::take_limits& step = steps[i % users];
    // Each user comes a thousand times in a second: nine of ten are refused.
    if (i % users == 0) now += 1ms;
    if (table.check(step, now)) stop("the table is full");
    if (table.take(step, now).allowed) ++allowed;
  }
  const double took = seconds_since(begin);
  if (allowed == 0 || allowed > count) stop("the limits are not kept");
  return static_cast<double>(count) / took;
}

struct progress {
  engine::store& store;
  std::size_t limits;
  std::size_t wanted;
  std::size_t begun{0};
  std::size_t ended{0};
};

awaitable<void> call(progress& in) {
  while (in.begun < in.wanted) {
    engine::transaction one{.level = engine::durability::memory};
    one.steps.emplace_back(engine::take_limits{.checks = checks_of(in.begun++, in.limits)});
    const engine::commit_result done = co_await engine::commit(in.store, std::move(one));
    if (!done) stop(done.error().why.detail);
    if (std::get<engine::limits_checked>(done->outcomes[0]).limits.size() != in.limits) {
      stop("not every limit was answered");
    }
    ++in.ended;
  }
}

double on_store(engine::store& store, const settings& with, std::size_t limits) {
  progress in{.store = store, .limits = limits, .wanted = with.jobs};
  asio::io_context loop(1);
  std::vector<awaitable<void>> callers;
  for (std::size_t i = 0; i < with.callers; ++i) callers.push_back(call(in));
  const double took = run_callers(loop, std::move(callers));
  if (in.ended != in.wanted) stop(fmt::format("{} of {} checks", in.ended, in.wanted));
  return static_cast<double>(in.wanted) / took;
}

// A limit that no thread reaches, of which this process holds shares: most checks need nobody.
double leased(engine::store& store, const settings& with, std::size_t threads) {
  limit_settings limits;
  limits.policies.emplace(
      "hot",
      limit_policy{
          .rules = {{.scope = "global", .limit = 100'000'000'000, .window = 60s, .lease = 0.01}}});
  limiter of{store, limits};
  const limit_request asked{.policy = "hot"};
  auto ready = of.prepare(asked);
  if (!ready) stop(ready.error().detail);
  const std::size_t each = with.jobs * 50;
  std::vector<std::thread> running;
  const auto begin = steady::now();
  for (std::size_t t = 0; t < threads; ++t) {
    running.emplace_back([&] {
      asio::io_context loop(1);
      for (std::size_t i = 0; i < each; ++i) {
        if (ready->try_take()) continue;
        asio::co_spawn(
            loop,
            [&]() -> awaitable<void> {
              const auto answer = co_await of.take(asked, engine::take_mode::all);
              if (!answer || !answer->allowed) stop("a check was not allowed");
            },
            asio::detached);
        loop.restart();
        loop.run();
      }
    });
  }
  for (std::thread& one : running) one.join();
  const double took = seconds_since(begin);
  const std::uint64_t allowed = of.numbers().at("hot").allowed;
  if (allowed != each * threads) stop(fmt::format("{} of {} checks", allowed, each * threads));
  return static_cast<double>(allowed) / took;
}

std::string counted(std::size_t limits) {
  return limits == 1 ? "1 limit" : fmt::format("{} limits", limits);
}

int run(int argc, char** argv) {
  const settings with = parse(argc, argv);
  report out(with.json);
  for (int i = 0; i < with.runs; ++i) {
    for (const std::size_t limits : {1U, 3U}) {
      out.add({"millrace", "in memory, " + counted(limits), in_memory(with, limits), "checks/s",
               "one thread; sliding, all or none"});
    }
    if (with.redis.empty()) continue;
    const auto store = open_redis(with);
    for (const std::size_t limits : {1U, 3U}) {
      out.add({"millrace", "Redis, " + counted(limits), on_store(*store, with, limits), "checks/s",
               fmt::format("{} callers, all or none", with.callers)});
    }
    for (const std::size_t threads : {1U, 2U}) {
      out.add({"millrace",
               fmt::format("leased from Redis, {} thread{}", threads, threads > 1 ? "s" : ""),
               leased(*store, with, threads), "checks/s", "one limit, shares of 1 %"});
    }
  }
  out.print();
  return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) { return millrace::bench::run(argc, argv); }
