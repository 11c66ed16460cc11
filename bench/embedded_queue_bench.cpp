// The embedded engine alone, in process: P1, P3 and part of P12 of the performance goals.
//
//   embedded_queue_bench [--jobs 200000] [--callers 64] [--runs 5] [--dir DIRECTORY] [--once]
//   [--json]
//
// Every figure is a median of the runs with its spread; --once makes one run, --json prints one
// JSON object a figure for `bench/queue_bench`. Every job is counted: a run that loses or doubles
// one ends with an error. The limits of the machine are measured in the same runs.
#include "disk_limits.hpp"
#include "queue_load.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine_embedded/embedded_store.hpp>

#include <fmt/format.h>
#include <malloc.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

namespace millrace::bench {
namespace {

using engine::durability;

std::unique_ptr<embedded::embedded_store> open_store(embedded::options with) {
  auto opened = embedded::embedded_store::open(std::move(with));
  if (!opened) stop(opened.error().detail);
  return std::move(*opened);
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
  asio::io_context loop(1);
  static_cast<void>(enqueue_all(loop, *open_store(frugal), with, durability::async));
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

void one_pickup(const std::filesystem::path& directory, report& out) {
  const auto store = open_store({.directory = directory / "store"});
  const sync_latency idle = sync_latency_when_idle(directory);
  out.add({"limit", "sync when idle p50", idle.p50_ms, "ms", "fdatasync of 16 KiB"});
  out.add({"limit", "sync when idle p99", idle.p99_ms, "ms", "fdatasync of 16 KiB"});
  asio::io_context loop(1);
  measure_pickup(loop, *store, "millrace", out);
}

void one_run(const settings& with, const std::filesystem::path& directory, report& out) {
  const std::string durable = "durable: synced before the answer";
  const auto rate = [&](double took) { return static_cast<double>(with.jobs) / took; };
  out.add({"limit", "syncs", syncs_per_second(directory), "1/s", "fdatasync of 16 KiB"});
  const double bare = rows_per_second(directory, with.jobs, with.callers);
  out.add({"limit", "enqueue", bare, "jobs/s",
           fmt::format("bare SQLite, a sync a group of {}", with.callers)});
  asio::io_context loop(1);
  {
    const auto store = open_store({.directory = directory / "store"});
    const double enqueued = enqueue_all(loop, *store, with, durability::durable);
    const double finished = finish_all(loop, *store, with);
    out.add({"millrace", "enqueue", rate(enqueued), "jobs/s", durable});
    out.add({"millrace", "enqueue, share of the limit", rate(enqueued) / bare * 100, "%", durable});
    out.add({"millrace", "take → done", rate(finished), "jobs/s", "durable; ack and lease in one"});
    out.add({"millrace", "enqueue → done", rate(enqueued + finished), "jobs/s", durable});
    const double again = enqueue_all(loop, *store, with, durability::durable);
    const double apart = finish_all_in_two_calls(loop, *store, with);
    out.add(
        {"millrace", "take → done, two calls", rate(apart), "jobs/s", "durable; lease, then ack"});
    out.add({"millrace", "enqueue → done, two calls", rate(again + apart), "jobs/s", durable});
    const double async = enqueue_all(loop, *store, with, durability::async);
    out.add({"millrace", "enqueue async", rate(async), "jobs/s", "on disk within 50 ms"});
    static_cast<void>(finish_all(loop, *store, with));
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
  one_pickup(directory, out);
  out.add({"millrace", "resident memory after", resident_mb(), "MB", "caches included"});
}

int run(int argc, char** argv) {
  const settings with = parse(argc, argv);
  report out(with.json);
  for (int i = 0; i < with.runs; ++i) {
    std::string name = (with.directory / "millrace-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      stop(fmt::format("{} is no directory to write to", with.directory.string()));
    const std::filesystem::path directory = name;
    if (with.pickup_only) {
      one_pickup(directory, out);
    } else {
      one_run(with, directory, out);
    }
    std::filesystem::remove_all(directory);
  }
  out.print();
  return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) { return millrace::bench::run(argc, argv); }
