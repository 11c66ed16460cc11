// The same requests twice: straight from PostgreSQL, and through a cache in front of it.
//
//   cached_queries CONNECTION [REQUESTS] [CALLERS] [SEED]
//
// CONNECTION is as libpq takes it: "host=/tmp/x dbname=postgres". Ends with 1 where the cache does
// not do what is promised of it.

#include "database.hpp"
#include "report.hpp"
#include "workload.hpp"

#include <millrace/cache/near_cache.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine_embedded/embedded_store.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace demo;
using millrace::awaitable;
using millrace::result;
using namespace std::chrono_literals;
namespace cache = millrace::cache;
using steady = std::chrono::steady_clock;

constexpr std::size_t connections = 8;

/// What the callers share.
struct run {
  const std::vector<request>& requests;
  database& data;
  /// Empty: every read asks the database.
  cache::shared_cache* cached{nullptr};
  std::size_t next{0};
  std::vector<std::chrono::duration<double, std::milli>> reads{};
};

awaitable<result<std::optional<cache::loaded_value>>> load(database* from, request what) {
  auto row = co_await from->read(what);
  if (!row) co_return std::unexpected(std::move(row.error()));
  // What a bot is made of is its own record; what was searched in it goes with it.
  co_return cache::loaded_value{
      .value = std::move(*row), .content_type = "application/json", .tags = {tag_of(what)}};
}

cache::fill_options options_of(kind what) {
  cache::fill_options with{.ttl = 10min, .jitter = 0.1, .stale_for = 1min, .early = 1};
  if (what == kind::search) with.ttl = 5min;
  return with;
}

awaitable<void> read(run* in, request what) {
  const auto began = steady::now();
  if (in->cached == nullptr) {
    const auto row = co_await in->data.read(what);
    if (!row) throw std::runtime_error(row.error().detail);
  } else {
    database* const data = &in->data;
    const cache::loader loader = [data, what] { return load(data, what); };
    const auto got =
        co_await in->cached->get_or_set({.key = key_of(what)}, loader, options_of(what.of));
    if (!got) throw std::runtime_error(got.error().detail);
  }
  in->reads.emplace_back(steady::now() - began);
}

awaitable<void> write(run* in, request what) {
  const auto done = co_await in->data.write(what);
  if (!done) throw std::runtime_error(done.error().detail);
  // After the database has it: it is the source of truth.
  if (in->cached != nullptr) {
    const auto gone = co_await in->cached->invalidate("default", tag_of(what));
    if (!gone) throw std::runtime_error(gone.error().detail);
  }
}

awaitable<void> call(run* in) {
  while (in->next < in->requests.size()) {
    const request what = in->requests[in->next++];
    if (what.writes) {
      co_await write(in, what);
    } else {
      co_await read(in, what);
    }
  }
}

outcome serve(std::string_view name, run& in, std::size_t callers) {
  const std::uint64_t before = in.data.queries();
  millrace::asio::io_context loop{1};
  const auto began = steady::now();
  for (std::size_t i = 0; i < callers; ++i) {
    millrace::asio::co_spawn(loop, call(&in), [](const std::exception_ptr& thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }
  loop.run();
  const std::chrono::duration<double> took = steady::now() - began;
  if (in.cached != nullptr) {
    loop.restart();
    millrace::asio::co_spawn(loop, in.cached->stop(), [](const std::exception_ptr&) {});
    loop.run();
  }
  return {.name = name,
          .queries = in.data.queries() - before,
          .took = took,
          .reads = std::move(in.reads)};
}

int show(const std::string& where, std::size_t count, std::size_t callers, std::uint64_t seed) {
  fmt::print("filling the database …\n");
  auto data = database::open(where, connections);
  if (!data) throw std::runtime_error(data.error().detail);
  const std::vector<request> requests = make_workload(count, seed);

  fmt::print("{} requests of {} callers, seed {}: without a cache …\n", count, callers, seed);
  run plain{.requests = requests, .data = **data};
  outcome without = serve("without", plain, callers);

  fmt::print("… and with one\n");
  const auto directory = std::filesystem::temp_directory_path() /
                         fmt::format("cached-queries-{}", steady::now().time_since_epoch().count());
  auto near = cache::near_cache::make({});
  auto opened = millrace::embedded::embedded_store::open({.directory = directory});
  if (!near || !opened) throw std::runtime_error("the cache does not open");
  outcome with;
  {
    cache::near_store store(std::move(*opened), **near);
    cache::shared_cache cached(store, {.near = near->get()});
    run again{.requests = requests, .data = **data, .cached = &cached};
    with = serve("with", again, callers);
  }
  std::filesystem::remove_all(directory);
  print(without, with);
  const std::vector<std::string> broken = broken_promises(without, with);
  for (const std::string& one : broken) fmt::print("\nNot kept: {}", one);
  if (broken.empty()) {
    fmt::print(
        "\nPromised and kept: hit rate above 80 %, 90 % fewer queries, answers in less than "
        "30 % of the time.");
  }
  fmt::print("\n");
  return broken.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  const auto number = [&words](std::size_t at, std::size_t otherwise) {
    return at < words.size() ? std::strtoull(words[at].c_str(), nullptr, 10) : otherwise;
  };
  if (words.size() < 2) {
    fmt::print(stderr, "usage: {} CONNECTION [REQUESTS] [CALLERS] [SEED]\n", words[0]);
    return 2;
  }
  try {
    return show(words[1], number(2, 60'000), number(3, 32), number(4, 1));
  } catch (const std::exception& e) {
    fmt::print(stderr, "cached_queries: {}\n", e.what());
    return 1;
  }
}
