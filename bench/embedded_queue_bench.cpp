// The embedded engine alone, in process: P1, P3 and part of P12 of the performance goals.
//
//   embedded_queue_bench [--jobs 200000] [--callers 64] [--runs 5] [--dir DIRECTORY] [--once]
//   [--json]
//
// Every figure is a median of the runs with its spread; --once makes one run, --json prints one
// JSON object a figure for `bench/queue_bench`. Every job is counted: a run that loses or doubles
// one ends with an error. The limits of the machine are measured in the same runs.
#include "disk_limits.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine_embedded/embedded_store.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace millrace::bench {
namespace {

using steady = std::chrono::steady_clock;
using engine::durability;

struct settings {
  std::size_t jobs{200'000};
  std::size_t callers{64};
  int runs{5};
  std::filesystem::path directory{std::filesystem::temp_directory_path()};
  bool json{false};
};

[[noreturn]] void stop(std::string_view why) {
  fmt::print(stderr, "embedded_queue_bench: {}\n", why);
  std::exit(1);
}

double seconds_since(steady::time_point begin) {
  return std::chrono::duration<double>(steady::now() - begin).count();
}

// ---- the figures

struct figure {
  std::string system;
  std::string metric;
  double value{0};
  std::string unit;
  std::string guarantee;
};

class report final {
public:
  explicit report(bool json) noexcept : json_(json) {}

  void add(const figure& one) {
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

  void print() {
    if (json_) return;
    fmt::print("{:<36} {:<9} {:>12} {:>12} {:>12}  {:<7} {}\n", "METRIC", "SYSTEM", "MEDIAN", "MIN",
               "MAX", "UNIT", "GUARANTEE");
    for (const figure& one : order_) {
      std::vector<double>& values = samples_[one.system + one.metric];
      std::ranges::sort(values);
      const int digits = one.unit == "ms" ? 3 : 1;
      fmt::print("{:<36} {:<9} {:>12.{}f} {:>12.{}f} {:>12.{}f}  {:<7} {}\n", one.metric,
                 one.system, values[values.size() / 2], digits, values.front(), digits,
                 values.back(), digits, one.unit, one.guarantee);
    }
  }

private:
  bool json_;
  std::vector<figure> order_;
  std::map<std::string, std::vector<double>> samples_;
};

// ---- the work

std::unique_ptr<embedded::embedded_store> open_store(embedded::options with) {
  auto opened = embedded::embedded_store::open(std::move(with));
  if (!opened) stop(opened.error().detail);
  return std::move(*opened);
}

engine::queue_key queue() { return {.name = "bench"}; }

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

awaitable<void> produce(phase& in, durability level) {
  while (in.begun < in.wanted) {
    ++in.begun;
    engine::enqueue_job step{.queue = queue(), .level = level};
    step.spec.data = R"({"text":")" + std::string(88, 'x') + R"("})";
    engine::transaction one{.level = level};
    one.steps.push_back(std::move(step));
    engine::commit_result done = co_await engine::commit(in.store, std::move(one));
    static_cast<void>(checked(std::move(done)));
    ++in.ended;
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
double run_phase(phase& in, std::size_t callers, Caller caller) {
  asio::io_context loop(1);
  for (std::size_t i = 0; i < callers; ++i) asio::co_spawn(loop, caller(in), asio::detached);
  const auto begin = steady::now();
  loop.run();
  const double took = seconds_since(begin);
  if (in.ended != in.wanted) stop(fmt::format("{} of {} jobs", in.ended, in.wanted));
  return took;
}

double enqueue_all(engine::store& store, const settings& with, durability level) {
  phase in{store, with.jobs};
  return run_phase(in, with.callers, [level](phase& each) { return produce(each, level); });
}

template <class Consumer>
double finish_all(engine::store& store, const settings& with, Consumer consumer) {
  phase in{store, with.jobs};
  in.seen.reserve(with.jobs);
  return run_phase(in, with.callers, consumer);
}

/// Durable enqueue called → job in the hands of a consumer that was asleep.
awaitable<void> sleep_for_jobs(engine::store& store, steady::time_point& called,
                               std::vector<double>& micros, std::size_t wanted) {
  engine::wakeups::listener listener =
      store.hints().listen({engine::queue_topic("default", "bench")});
  while (micros.size() < wanted) {
    engine::transaction take;
    take.steps.push_back(engine::lease_jobs{.queues = {queue()}});
    engine::commit_result taken = co_await engine::commit(store, std::move(take));
    taken = checked(std::move(taken));
    const auto& jobs = std::get<engine::jobs_leased>(taken->outcomes[0]).jobs;
    if (jobs.empty()) {
      co_await listener.wait(std::chrono::seconds{5});
      continue;
    }
    micros.push_back(seconds_since(called) * 1e6);
    engine::transaction ack;
    ack.steps.push_back(engine::ack_job{.id = jobs[0].what.id, .token = jobs[0].token});
    engine::commit_result done = co_await engine::commit(store, std::move(ack));
    static_cast<void>(checked(std::move(done)));
  }
}

void measure_pickup(engine::store& store, report& out) {
  constexpr std::size_t wanted = 1000;
  std::vector<double> micros;
  steady::time_point called;
  asio::io_context loop(1);
  asio::co_spawn(loop, sleep_for_jobs(store, called, micros, wanted), asio::detached);
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
  const std::string guarantee = "durable enqueue called → job leased";
  out.add({"millrace", "pickup when idle p50", micros[wanted / 2] / 1000, "ms", guarantee});
  out.add({"millrace", "pickup when idle p99", micros[wanted * 99 / 100] / 1000, "ms", guarantee});
}

double resident_mb() {
  std::ifstream status("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  status >> total >> resident;
  return static_cast<double>(resident) * 4096 / 1e6;
}

void measure_opening(const std::filesystem::path& directory, std::string metric, report& out) {
  const auto begin = steady::now();
  const auto store = open_store({.directory = directory});
  const double took = seconds_since(begin);
  auto found = engine::blocking::ask(*store, engine::find_queue{queue()});
  if (!found || !*found) stop("the queue is not there");
  out.add({"millrace", std::move(metric), took * 1000, "ms",
           fmt::format("{} ended jobs kept", (*found)->completed)});
}

/// What as many waiting jobs as the other phases had cost: to open, and in memory. With the
/// smallest caches, so that what is measured is what every job needs.
void measure_waiting(const settings& with, const std::filesystem::path& directory, report& out) {
  const embedded::options frugal{
      .directory = directory, .hot_jobs_bytes = 0, .page_cache_bytes = std::size_t{1} << 20U};
  enqueue_all(*open_store(frugal), with, durability::async);
  ::malloc_trim(0);
  const double before = resident_mb();
  const auto begin = steady::now();
  const auto store = open_store(frugal);
  const double took = seconds_since(begin);
  const double each = (resident_mb() - before) * 1e6 / static_cast<double>(with.jobs);
  const std::string waiting = fmt::format("{} jobs waiting", with.jobs);
  out.add({"millrace", "open, jobs waiting", took * 1000, "ms", waiting});
  out.add({"millrace", "memory of a waiting job", each, "B", waiting + ", the payload on disk"});
}

void one_run(const settings& with, const std::filesystem::path& directory, report& out) {
  const std::string durable = "durable: synced before the answer";
  const auto rate = [&](double took) { return static_cast<double>(with.jobs) / took; };
  out.add({"limit", "syncs", syncs_per_second(directory), "1/s", "fdatasync of 16 KiB"});
  const double bare = rows_per_second(directory, with.jobs, with.callers);
  out.add({"limit", "enqueue", bare, "jobs/s",
           fmt::format("bare SQLite, a sync a group of {}", with.callers)});
  {
    const auto store = open_store({.directory = directory / "store"});
    const double enqueued = enqueue_all(*store, with, durability::durable);
    const double finished = finish_all(*store, with, consume_combined);
    out.add({"millrace", "enqueue", rate(enqueued), "jobs/s", durable});
    out.add({"millrace", "enqueue, share of the limit", rate(enqueued) / bare * 100, "%", durable});
    out.add({"millrace", "take → done", rate(finished), "jobs/s", "durable; ack and lease in one"});
    out.add({"millrace", "enqueue → done", rate(enqueued + finished), "jobs/s", durable});
    const double again = enqueue_all(*store, with, durability::durable);
    const double apart = finish_all(*store, with, consume);
    out.add(
        {"millrace", "take → done, two calls", rate(apart), "jobs/s", "durable; lease, then ack"});
    out.add({"millrace", "enqueue → done, two calls", rate(again + apart), "jobs/s", durable});
    const double async = enqueue_all(*store, with, durability::async);
    out.add({"millrace", "enqueue async", rate(async), "jobs/s", "on disk within 50 ms"});
    finish_all(*store, with, consume_combined);
    // What a process that is killed now leaves to the next one. The log first: a checkpoint that
    // goes on meanwhile only copies from it into the file.
    std::filesystem::create_directory(directory / "killed");
    for (const char* each : {"millrace.db-wal", "millrace.db", "leases"}) {
      std::filesystem::copy(directory / "store" / each, directory / "killed" / each);
    }
  }
  measure_opening(directory / "killed", "open, killed", out);
  measure_waiting(with, directory / "waiting", out);
  measure_opening(directory / "store", "open, cleanly closed", out);
  const auto store = open_store({.directory = directory / "store"});
  const sync_latency idle = sync_latency_when_idle(directory);
  out.add({"limit", "sync when idle p50", idle.p50_ms, "ms", "fdatasync of 16 KiB"});
  out.add({"limit", "sync when idle p99", idle.p99_ms, "ms", "fdatasync of 16 KiB"});
  measure_pickup(*store, out);
  out.add({"millrace", "resident memory after", resident_mb(), "MB", "caches included"});
}

settings parse(int argc, char** argv) {
  settings out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--json") {
      out.json = true;
    } else if (name == "--once") {
      out.runs = 1;
    } else if (i + 1 == argc) {
      stop(fmt::format("{} needs a value", name));
    } else if (name == "--dir") {
      out.directory = argv[++i];
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

int run(int argc, char** argv) {
  const settings with = parse(argc, argv);
  report out(with.json);
  for (int i = 0; i < with.runs; ++i) {
    std::string name = (with.directory / "millrace-bench-XXXXXX").string();
    const std::filesystem::path directory = ::mkdtemp(name.data());
    one_run(with, directory, out);
    std::filesystem::remove_all(directory);
  }
  out.print();
  return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) { return millrace::bench::run(argc, argv); }
