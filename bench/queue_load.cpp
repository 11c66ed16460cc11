#include "queue_load.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/queue/queue.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <unordered_set>
#include <utility>

namespace millrace::bench {
namespace {

/// What the callers of one phase share; all on one thread.
struct phase {
  engine::store& store;
  std::size_t wanted;
  std::size_t begun{0};
  std::size_t ended{0};
  std::unordered_set<std::uint64_t> seen{};
};

engine::commit_result checked(engine::commit_result done) {
  if (!done) stop(done.error().why.detail);
  return done;
}

engine::transaction enqueue_of(std::size_t jobs, engine::durability level) {
  engine::transaction out{.level = level};
  for (std::size_t i = 0; i < jobs; ++i) {
    engine::enqueue_job step{.queue = queue(), .level = level};
    step.spec.data = R"({"text":")" + std::string(88, 'x') + R"("})";
    out.steps.push_back(std::move(step));
  }
  return out;
}

awaitable<void> produce(phase& in, engine::durability level, std::size_t a_call) {
  while (in.begun < in.wanted) {
    const std::size_t jobs = std::min(a_call, in.wanted - in.begun);
    in.begun += jobs;
    engine::commit_result done = co_await engine::commit(in.store, enqueue_of(jobs, level));
    static_cast<void>(checked(std::move(done)));
    in.ended += jobs;
  }
}

void take_in(phase& in, const engine::leased_job& job) {
  if (!in.seen.insert(job.what.id.stamp).second) stop("a job was handed out twice");
}

/// Lease one, ack one: a round trip each.
awaitable<void> consume(phase& in) {
  while (true) {
    engine::transaction take;
    take.steps.push_back(engine::lease_jobs{.queues = {queue()}});
    engine::commit_result taken = co_await engine::commit(in.store, std::move(take));
    taken = checked(std::move(taken));
    auto& jobs = std::get<engine::jobs_leased>(taken->outcomes[0]).jobs;
    if (jobs.empty()) co_return;
    take_in(in, jobs[0]);
    engine::transaction ack;
    ack.steps.push_back(engine::ack_job{.id = jobs[0].what.id, .token = jobs[0].token});
    engine::commit_result done = co_await engine::commit(in.store, std::move(ack));
    static_cast<void>(checked(std::move(done)));
    ++in.ended;
  }
}

/// Ack the last and lease the next in one commit.
awaitable<void> consume_combined(phase& in) {
  std::vector<engine::leased_job> mine;
  while (true) {
    engine::transaction next;
    if (!mine.empty()) {
      next.steps.push_back(engine::ack_job{.id = mine[0].what.id, .token = mine[0].token});
    }
    next.steps.push_back(engine::lease_jobs{.queues = {queue()}});
    engine::commit_result done = co_await engine::commit(in.store, std::move(next));
    done = checked(std::move(done));
    if (!mine.empty()) ++in.ended;
    mine = std::move(std::get<engine::jobs_leased>(done->outcomes.back()).jobs);
    if (mine.empty()) co_return;
    take_in(in, mine[0]);
  }
}

template <class Caller>
double run_phase(asio::io_context& loop, phase& in, std::size_t count, Caller caller) {
  std::vector<awaitable<void>> callers;
  for (std::size_t i = 0; i < count; ++i) callers.push_back(caller(in));
  const double took = run_callers(loop, std::move(callers));
  if (in.ended != in.wanted) stop(fmt::format("{} of {} jobs", in.ended, in.wanted));
  return took;
}

awaitable<void> sleep_for_jobs(queues& from, steady::time_point& called,
                               std::vector<double>& micros, std::size_t wanted) {
  const reserve_request request{.queues = {{.queue = queue()}}, .wait = std::chrono::seconds{5}};
  while (micros.size() < wanted) {
    auto jobs = co_await from.reserve(request);
    if (!jobs) stop(jobs.error().detail);
    if (jobs->empty()) continue;
    micros.push_back(seconds_since(called) * 1e6);
    const auto done = co_await from.ack({.id = (*jobs)[0].what.id, .token = (*jobs)[0].token});
    if (!done) stop(done.error().detail);
  }
}

}  // namespace

void stop(std::string_view why) {
  fmt::print(stderr, "bench: {}\n", why);
  std::exit(1);
}

double seconds_since(steady::time_point begin) {
  return std::chrono::duration<double>(steady::now() - begin).count();
}

void report::add(const figure& one) {
  if (json_) {
    fmt::print(R"({{"system":"{}","metric":"{}","value":{:.3f},"unit":"{}","guarantee":"{}"}})"
               "\n",
               one.system, one.metric, one.value, one.unit, one.guarantee);
    return;
  }
  const auto [at, fresh] = samples_.try_emplace(one.system + one.metric);
  if (fresh) order_.push_back(one);
  at->second.push_back(one.value);
}

void report::print() {
  if (json_) return;
  fmt::print("{:<36} {:<14} {:>12} {:>12} {:>12}  {:<7} {}\n", "METRIC", "SYSTEM", "MEDIAN", "MIN",
             "MAX", "UNIT", "GUARANTEE");
  for (const figure& one : order_) {
    std::vector<double>& values = samples_[one.system + one.metric];
    std::ranges::sort(values);
    const int digits = one.unit == "ms" ? 3 : 1;
    fmt::print("{:<36} {:<14} {:>12.{}f} {:>12.{}f} {:>12.{}f}  {:<7} {}\n", one.metric, one.system,
               values[values.size() / 2], digits, values.front(), digits, values.back(), digits,
               one.unit, one.guarantee);
  }
}

engine::queue_key queue() { return {.name = "bench"}; }

double run_callers(asio::io_context& loop, std::vector<awaitable<void>> callers) {
  std::size_t left = callers.size();
  for (awaitable<void>& each : callers) {
    asio::co_spawn(loop, std::move(each), [&](const std::exception_ptr&) { --left; });
  }
  const auto begin = steady::now();
  // Who lives on the loop as well keeps it from coming to an end.
  loop.restart();
  while (left > 0) loop.run_one();
  return seconds_since(begin);
}

double enqueue_all(asio::io_context& loop, engine::store& store, const settings& with,
                   engine::durability level, std::size_t a_call) {
  phase in{store, with.jobs};
  return run_phase(loop, in, with.callers,
                   [level, a_call](phase& each) { return produce(each, level, a_call); });
}

double finish_all(asio::io_context& loop, engine::store& store, const settings& with) {
  phase in{store, with.jobs};
  in.seen.reserve(with.jobs);
  return run_phase(loop, in, with.callers, consume_combined);
}

double finish_all_in_two_calls(asio::io_context& loop, engine::store& store, const settings& with) {
  phase in{store, with.jobs};
  in.seen.reserve(with.jobs);
  return run_phase(loop, in, with.callers, consume);
}

void measure_pickup(asio::io_context& loop, engine::store& store, std::string_view system,
                    report& out) {
  constexpr std::size_t wanted = 1000;
  std::vector<double> micros;
  steady::time_point called;
  queues from{store};
  loop.restart();
  asio::co_spawn(loop, sleep_for_jobs(from, called, micros, wanted), asio::detached);
  for (std::size_t i = 0; i < wanted; ++i) {
    // Until the consumer is asleep again, and the machine idle.
    while (micros.size() == i && loop.run_for(std::chrono::milliseconds{2}) > 0) {
    }
    engine::transaction one;
    one.steps.push_back(engine::enqueue_job{.queue = queue()});
    std::vector<engine::transaction> batch;
    batch.push_back(std::move(one));
    called = steady::now();
    store.submit(std::move(batch), [](std::vector<engine::commit_result> done) {
      if (!done[0]) stop(done[0].error().why.detail);
    });
    while (micros.size() == i) loop.run_one();
  }
  loop.run_for(std::chrono::milliseconds{50});
  std::ranges::sort(micros);
  const std::string guarantee =
      fmt::format("{} enqueue called → job leased", to_string(store.traits().strongest));
  const std::string whose{system};
  out.add({whose, "pickup when idle p50", micros[wanted / 2] / 1000, "ms", guarantee});
  out.add({whose, "pickup when idle p99", micros[wanted * 99 / 100] / 1000, "ms", guarantee});
}

double resident_mb() {
  std::ifstream status("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  status >> total >> resident;
  return static_cast<double>(resident) * 4096 / 1e6;
}

settings parse(int argc, char** argv) {
  settings out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--json") {
      out.json = true;
    } else if (name == "--once") {
      out.runs = 1;
    } else if (name == "--pickup") {
      out.pickup_only = true;
    } else if (i + 1 == argc) {
      stop(fmt::format("{} needs a value", name));
    } else if (name == "--dir") {
      out.directory = argv[++i];
    } else if (name == "--redis") {
      out.redis = argv[++i];
    } else {
      const std::string_view text = argv[++i];
      std::size_t value = 0;
      const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
      if (read.ec != std::errc{} || value == 0) stop(fmt::format("{} needs a number", name));
      if (name == "--jobs") {
        out.jobs = value;
      } else if (name == "--callers") {
        out.callers = value;
      } else if (name == "--runs") {
        out.runs = static_cast<int>(value);
      } else {
        stop(fmt::format("unknown option {}", name));
      }
    }
  }
  return out;
}

}  // namespace millrace::bench
