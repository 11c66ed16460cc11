// The Redis engine alone, in process, on a server that is there: P2 and P3 of the performance
// goals.
//
//   redis_queue_bench --redis redis://127.0.0.1:6379 [--jobs 200000] [--callers 50] [--runs 5]
//   [--once] [--json] [--pickup]
//
// Every figure is a median of the runs with its spread; --once makes one run, --json prints one
// JSON object a figure for `bench/queue_bench`, --pickup measures that alone: by an engine with a
// thread of its own, and by one on the event loop of its callers (`millrace, loop`). Every job is
// counted: a run that loses or doubles one ends with an error. The server should hold nothing else.
#include "open_redis.hpp"
#include "queue_load.hpp"

#include <millrace/redis/connection.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::bench {
namespace {

/// What the server itself spends: Redis does one thing at a time, so this is the limit of what can
/// be had from it, also while the machine does other things.
class server_cpu final {
public:
  explicit server_cpu(const std::string& url) {
    auto where = redis::parse_address(url, "--redis");
    if (!where) stop(where.error().detail);
    link_ = std::make_unique<redis::connection>(
        context_.get_executor(), redis::connection_options{.where = std::move(*where)});
    last_ = read();
  }

  /// Microseconds a job of `jobs`, since the last time.
  [[nodiscard]] double per_job(std::size_t jobs) {
    const double now = read();
    return (now - std::exchange(last_, now)) * 1e6 / static_cast<double>(jobs);
  }

private:
  [[nodiscard]] double read() {
    double out = 0;
    context_.restart();
    link_->send(redis::command("INFO").arg("cpu"), {}, [&](const result<redis::reply>& got) {
      if (!got) stop(got.error().detail);
      for (const std::string_view field : {"used_cpu_user:", "used_cpu_sys:"}) {
        const auto at = got->text().find(field);
        if (at == std::string_view::npos) stop("INFO tells nothing of the processor");
        const std::string_view value = got->text().substr(at + field.size());
        double seconds = 0;
        std::from_chars(value.data(), value.data() + value.size(), seconds);
        out += seconds;
      }
      context_.stop();
    });
    context_.run();
    return out;
  }

  asio::io_context context_{1};
  std::unique_ptr<redis::connection> link_;
  double last_{0};
};

/// The least that a job which is handed over can take: a PING and its answer over a bare socket,
/// with a pause before each.
void measure_round_trip(const settings& with, report& out) {
  constexpr std::size_t wanted = 1000;
  constexpr std::string_view ping = "PING\r\n";
  constexpr std::string_view pong = "+PONG\r\n";
  auto where = redis::parse_address(with.redis, "--redis");
  if (!where) stop(where.error().detail);
  asio::io_context context(1);
  asio::ip::tcp::socket socket(context);
  asio::connect(socket,
                asio::ip::tcp::resolver(context).resolve(where->host, std::to_string(where->port)));
  socket.set_option(asio::ip::tcp::no_delay(true));
  std::vector<double> micros;
  std::array<char, pong.size()> answer{};
  for (std::size_t i = 0; i < wanted; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
    const auto began = steady::now();
    asio::write(socket, asio::buffer(ping));
    asio::read(socket, asio::buffer(answer));
    micros.push_back(std::chrono::duration<double, std::micro>(steady::now() - began).count());
    if (std::string_view{answer.data(), answer.size()} != pong) stop("PING is not answered");
  }
  std::ranges::sort(micros);
  const std::string guarantee = "a PING and its answer, bare socket";
  out.add({"limit", "pickup when idle p50", micros[wanted / 2] / 1000, "ms", guarantee});
  out.add({"limit", "pickup when idle p99", micros[wanted * 99 / 100] / 1000, "ms", guarantee});
}

void one_pickup(const settings& with, report& out) {
  measure_round_trip(with, out);
  asio::io_context loop(1);
  measure_pickup(loop, *open_redis(with), "millrace", out);
  measure_pickup(loop, *open_redis(with, &loop), "millrace, loop", out);
}

void one_run(const settings& with, report& out) {
  constexpr std::size_t bulk = 50;
  server_cpu cpu(with.redis);
  asio::io_context loop(1);
  auto store = open_redis(with);
  const engine::durability level = store->traits().strongest;
  const std::string kept{to_string(level)};
  const auto rate = [&](double took) { return static_cast<double>(with.jobs) / took; };
  const auto add_cpu = [&](std::string_view what) {
    out.add({"millrace", fmt::format("{}, CPU of Redis", what), cpu.per_job(with.jobs), "us/job",
             kept});
  };
  const double enqueued = enqueue_all(loop, *store, with, level);
  add_cpu("enqueue");
  const double finished = finish_all(loop, *store, with);
  add_cpu("take → done");
  out.add({"millrace", "enqueue", rate(enqueued), "jobs/s", kept + ", answered one by one"});
  out.add({"millrace", "take → done", rate(finished), "jobs/s",
           kept + "; ack and lease in one, result and status kept"});
  out.add({"millrace", "enqueue → done", rate(enqueued + finished), "jobs/s", kept});
  const double in_bulk = enqueue_all(loop, *store, with, level, bulk);
  out.add({"millrace", fmt::format("enqueue, {} a call", bulk), rate(in_bulk), "jobs/s",
           kept + ", all or none of a call"});
  add_cpu("enqueue in bulk");
  const double apart = finish_all_in_two_calls(loop, *store, with);
  out.add({"millrace", "take → done, two calls", rate(apart), "jobs/s", kept});
  add_cpu("take → done, two calls");
  store.reset();
  one_pickup(with, out);
}

int run(int argc, char** argv) {
  const settings with = parse(argc, argv);
  if (with.redis.empty()) stop("--redis URL is needed");
  report out(with.json);
  for (int i = 0; i < with.runs; ++i) {
    if (with.pickup_only) {
      one_pickup(with, out);
    } else {
      one_run(with, out);
    }
  }
  out.print();
  return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) { return millrace::bench::run(argc, argv); }
