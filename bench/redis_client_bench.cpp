// How fast our Redis client is: GET and SET over one connection, so many of them under way at any
// time, and the round trip of one alone.
//
//   redis_client_bench [URL] [REQUESTS] [IN_FLIGHT] [PAYLOAD_BYTES] [--json]
//
// With --json it prints one line for what GET reaches, and nothing else.
//
// redis-benchmark -c 1 -P IN_FLIGHT is the same from the server's own hand.

#include <millrace/redis/connection.hpp>

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <utility>
#include <vector>

namespace {

using namespace millrace;
using namespace millrace::redis;
using steady = std::chrono::steady_clock;

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Sends `total` requests, `in_flight` at a time: each reply is followed by the next request.
class load final {
public:
  load(asio::io_context& context, connection& to, std::string_view name, std::size_t payload)
      : context_(context), to_(to), name_(name), value_(payload, 'x') {}

  /// Requests a second.
  double run(std::size_t total, std::size_t in_flight, bool quiet = false) {
    left_ = total;
    owed_ = 0;
    failed_ = 0;
    context_.restart();
    const auto started = steady::now();
    const double cpu = cpu_seconds();
    const auto writes = to_.status().writes;
    for (std::size_t i = 0; i < in_flight && left_ > 0; ++i) send();
    context_.run();
    const double took = std::chrono::duration<double>(steady::now() - started).count();
    const auto count = static_cast<double>(total);
    if (quiet) return failed_ == 0 ? count / took : 0;
    fmt::print("{} {} in flight: {:.0f} /s, {:.0f} ns of CPU each, {:.1f} a write, {} failed\n",
               name_, in_flight, count / took, (cpu_seconds() - cpu) / count * 1e9,
               count / static_cast<double>(to_.status().writes - writes), failed_);
    return count / took;
  }

private:
  void send() {
    --left_;
    ++owed_;
    command what{name_};
    what.key("bench:key");
    if (name_ == "SET") what.arg(value_);
    to_.send(std::move(what), {}, [this](const result<reply>& got) {
      if (!got) ++failed_;
      --owed_;
      if (left_ > 0) {
        send();
      } else if (owed_ == 0) {
        context_.stop();
      }
    });
  }

  asio::io_context& context_;
  connection& to_;
  std::string name_;
  std::string value_;
  std::size_t left_{0};
  std::size_t owed_{0};
  std::size_t failed_{0};
};

// One figure, for a program.
void print_json(load& work, std::size_t total, std::size_t in_flight) {
  work.run(std::min<std::size_t>(total, 100'000), in_flight, true);
  const double rate = work.run(total, in_flight, true);
  fmt::print(R"({{"system":"millrace","metric":"GET, {} in flight","value":{:.0f},"unit":"ops/s",)"
             R"("guarantee":"one connection, one thread"}})"
             "\n",
             in_flight, rate);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv, argv + argc);
  const bool json = std::erase(words, "--json") > 0;
  const auto number = [&words](std::size_t at, std::size_t otherwise) {
    return at < words.size() ? std::strtoull(words[at].c_str(), nullptr, 10) : otherwise;
  };
  auto where = parse_address(words.size() > 1 ? words[1] : "redis://127.0.0.1", "URL");
  if (!where) {
    fmt::print(stderr, "{}\n", where.error().detail);
    return 1;
  }
  const std::size_t total = number(2, 2'000'000);
  const std::size_t in_flight = number(3, 1000);
  const std::size_t payload = number(4, 16);
  asio::io_context context{1};
  connection_options options;
  options.where = std::move(*where);
  connection to{context.get_executor(), std::move(options)};
  for (const std::string_view name : {"SET", "GET"}) {
    load work{context, to, name, payload};
    if (json && name == "SET") work.run(1, 1, true);
    if (json && name == "GET") print_json(work, total, in_flight);
    if (json) continue;
    // The connection is made, and memory warm.
    work.run(std::min<std::size_t>(total, 10'000), in_flight);
    work.run(total, in_flight);
    work.run(std::min<std::size_t>(total, 50'000), 1);
  }
  to.close();
  context.restart();
  context.run();
  return 0;
}
