// The Redis engine alone, in process, on a server that is there: P2 and P3 of the performance
// goals.
//
//   redis_queue_bench --redis redis://127.0.0.1:6379 [--jobs 200000] [--callers 50] [--runs 5]
//   [--once] [--json]
//
// Every figure is a median of the runs with its spread; --once makes one run, --json prints one
// JSON object a figure for `bench/queue_bench`. Every job is counted: a run that loses or doubles
// one ends with an error. The server should hold nothing else.
#include "queue_load.hpp"

#include <millrace/engine_redis/redis_store.hpp>

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

namespace millrace::bench {
namespace {

std::unique_ptr<engine_redis::redis_store> open_store(const settings& with) {
  auto where = redis::parse_address(with.redis, "--redis");
  if (!where) stop(where.error().detail);
  auto opened = engine_redis::redis_store::open({.where = std::move(*where)});
  if (!opened) stop(opened.error().detail);
  return std::move(*opened);
}

void one_run(const settings& with, report& out) {
  constexpr std::size_t bulk = 50;
  const auto store = open_store(with);
  const engine::durability level = store->traits().strongest;
  const std::string kept{to_string(level)};
  const auto rate = [&](double took) { return static_cast<double>(with.jobs) / took; };
  const double enqueued = enqueue_all(*store, with, level);
  const double finished = finish_all(*store, with);
  out.add({"millrace", "enqueue", rate(enqueued), "jobs/s", kept + ", answered one by one"});
  out.add({"millrace", "take → done", rate(finished), "jobs/s",
           kept + "; ack and lease in one, result and status kept"});
  out.add({"millrace", "enqueue → done", rate(enqueued + finished), "jobs/s", kept});
  const double in_bulk = enqueue_all(*store, with, level, bulk);
  out.add({"millrace", fmt::format("enqueue, {} a call", bulk), rate(in_bulk), "jobs/s",
           kept + ", all or none of a call"});
  const double apart = finish_all_in_two_calls(*store, with);
  out.add({"millrace", "take → done, two calls", rate(apart), "jobs/s", kept});
  measure_pickup(*store, kept, out);
}

int run(int argc, char** argv) {
  const settings with = parse(argc, argv);
  if (with.redis.empty()) stop("--redis URL is needed");
  report out(with.json);
  for (int i = 0; i < with.runs; ++i) one_run(with, out);
  out.print();
  return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) { return millrace::bench::run(argc, argv); }
