// What the local cache costs: a hit on one thread and on several at once, mixes of reads and
// writes, and how many bytes of memory it takes beside what it says.
//
//   local_cache_bench [--json] [ROUNDS] [THREADS]
//
// With --json it prints one line for each of the figures that others are compared with: a hit on
// one thread, by its processor time and by the clock, and hits on all threads by the clock.
//
// Keys by Zipf 0.99 of 10 000, which fit into the processor's caches, and of 100 000, which do not;
// values of 128 bytes, 64 MiB. Every figure is the median of the
// rounds, with the best beside it: processor time for a step, because a machine that others use too
// says little by the clock on the wall, and steps a second by that clock. The time is given to the
// cache; `with a clock` reads one for every get, `counted` counts it, `of a family` looks up before
// in which of 14 families the key is.

#include <millrace/base/clock.hpp>
#include <millrace/cache/access_stats.hpp>
#include <millrace/cache/family_set.hpp>
#include <millrace/cache/local_cache.hpp>
#include <millrace/cache/profiles.hpp>

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace millrace;
using namespace millrace::cache;
using steady = std::chrono::steady_clock;

constexpr std::size_t few_keys = 10'000;
constexpr std::size_t many_keys = 100'000;
constexpr std::size_t steps = 2'000'000;
constexpr std::uint64_t seed = 20261129;

struct workload {
  std::vector<std::string> keys;
  std::vector<std::uint32_t> order;
  std::string data = std::string(128, 'x');
};

workload make_workload(std::size_t key_count) {
  workload made;
  std::vector<double> sums;
  double sum = 0;
  for (std::size_t i = 1; i <= key_count; ++i) {
    made.keys.push_back(fmt::format("bot:{:08}", i * 2'654'435'761U % 100'000'007U));
    sum += std::pow(static_cast<double>(i), -0.99);
    sums.push_back(sum);
  }
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<> at(0, sum);
  for (std::size_t i = 0; i < steps; ++i) {
    const auto rank = std::ranges::lower_bound(sums, at(random)) - sums.begin();
    made.order.push_back(static_cast<std::uint32_t>(rank));
  }
  return made;
}

cached_value value_of(const workload& load, std::uint32_t key, timestamp now) {
  return cached_value::make(
      load.keys[key], {.version = 1, .created_at = now, .expires_at = now + std::chrono::hours{1}},
      "application/json", load.data);
}

// The clock: none, or a look at the machine's for every get.
enum class clock_use : std::uint8_t { given, read };

struct shape {
  std::string_view name;
  unsigned writes_percent{0};
  clock_use clock{clock_use::given};
  // Where hits are counted, as the cache does it for its families; null: nowhere.
  access_stats* stats{nullptr};
  // Where the family of each key is looked up; null: nowhere.
  const family_set* families{nullptr};
};

double thread_cpu() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e9 + static_cast<double>(used.tv_nsec);
}

// Nanoseconds a step of one thread: as the thread's processor time, and by the clock on the wall.
struct timing {
  double cpu{0};
  double wall{0};
};

timing run(local_cache& cache, const workload& load, const shape& what, unsigned threads) {
  const system_clock_source clock;
  const timestamp now = clock.now();
  std::barrier begin(static_cast<std::ptrdiff_t>(threads) + 1);
  std::atomic<std::uint64_t> seen{0};
  std::atomic<double> cpu{0};
  std::vector<std::thread> running;
  for (unsigned t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      std::uint64_t bytes = 0;
      begin.arrive_and_wait();
      const double started = thread_cpu();
      const std::size_t from = t * steps / threads;
      for (std::size_t i = 0; i < steps; ++i) {
        const std::uint32_t key = load.order[(i + from) % steps];
        // A caller has its key at hand; here it would come from afar.
        __builtin_prefetch(load.keys[load.order[(i + from + 8) % steps]].data());
        if (i % 100 < what.writes_percent) {
          cache.put(value_of(load, key, now), cache.ticket(), now);
          continue;
        }
        std::size_t family = key % 16;
        if (what.families != nullptr) family = what.families->family_of(load.keys[key])->number;
        const local_hit hit =
            cache.get(load.keys[key], what.clock == clock_use::read ? clock.now() : now);
        if (hit) bytes += hit.value.data().size();
        if (what.stats != nullptr) what.stats->hit(family, load.keys[key], hit.stale);
      }
      cpu += thread_cpu() - started;
      seen += bytes;
    });
  }
  begin.arrive_and_wait();
  const auto began = steady::now();
  for (std::thread& one : running) one.join();
  const double took = std::chrono::duration<double, std::nano>(steady::now() - began).count();
  if (seen == 0) fmt::print("nothing was hit\n");
  return {cpu.load() / static_cast<double>(steps * threads), took / static_cast<double>(steps)};
}

void measure(const workload& load, const shape& what, unsigned threads, unsigned rounds) {
  const auto cache = *local_cache::make({});
  const timestamp now = system_clock_source{}.now();
  for (std::uint32_t key = 0; key < load.keys.size(); ++key) {
    cache->put(value_of(load, key, now), cache->ticket(), now);
  }
  std::vector<double> cpu;
  std::vector<double> wall;
  for (unsigned i = 0; i < rounds; ++i) {
    const timing took = run(*cache, load, what, threads);
    cpu.push_back(took.cpu);
    wall.push_back(took.wall);
  }
  std::ranges::sort(cpu);
  std::ranges::sort(wall);
  const auto rate = [&](double nanoseconds) { return threads * 1e3 / nanoseconds; };
  fmt::print(
      "{:<18} {} thread{} {:>6.1f} ns of CPU (best {:.1f}); on the wall {:>6.1f} M/s "
      "(best {:.1f})\n",
      what.name, threads, threads == 1 ? " " : "s", cpu[cpu.size() / 2], cpu.front(),
      rate(wall[wall.size() / 2]), rate(wall.front()));
}

family_set families_of_a_backend() {
  auto joined = join_profiles(std::vector<std::string_view>{"chatbots", "documents"});
  return std::move(*family_set::make(std::move(joined->families), std::move(joined->rules)));
}

// What one round comes to at its middle, for a program.
void print_json(std::string_view metric, double value, std::string_view unit) {
  fmt::print(R"({{"system":"millrace","metric":"{}","value":{:.2f},"unit":"{}",)"
             R"("guarantee":"10 000 keys, Zipf 0.99, 128 bytes"}})"
             "\n",
             metric, value, unit);
}

void measure_json(unsigned threads, unsigned rounds) {
  const workload load = make_workload(few_keys);
  const auto cache = *local_cache::make({});
  const timestamp now = system_clock_source{}.now();
  for (std::uint32_t key = 0; key < load.keys.size(); ++key) {
    cache->put(value_of(load, key, now), cache->ticket(), now);
  }
  std::vector<double> cpu;
  std::vector<double> alone;
  std::vector<double> together;
  for (unsigned i = 0; i < rounds; ++i) {
    const timing one = run(*cache, load, {.name = "hit"}, 1);
    cpu.push_back(one.cpu);
    alone.push_back(one.wall);
    together.push_back(run(*cache, load, {.name = "hit"}, threads).wall);
  }
  for (auto* each : {&cpu, &alone, &together}) std::ranges::sort(*each);
  print_json("hit, one thread", cpu[rounds / 2], "ns");
  print_json("hits, one thread", 1e9 / alone[rounds / 2], "ops/s");
  print_json(fmt::format("hits, {} threads", threads), threads * 1e9 / together[rounds / 2],
             "ops/s");
}

void memory(const workload& load) {
  const auto in_use = [] { return static_cast<double>(::mallinfo2().uordblks); };
  const double before = in_use();
  const auto cache = *local_cache::make({.bytes = 16UL * 1024 * 1024});
  const timestamp now = system_clock_source{}.now();
  for (const std::uint32_t key : load.order) {
    if (!cache->get(load.keys[key], now)) {
      cache->put(value_of(load, key, now), cache->ticket(), now);
    }
  }
  const local_cache_usage usage = cache->usage();
  const double taken = in_use() - before;
  const double payload = static_cast<double>(load.keys[0].size() + load.data.size());
  fmt::print(
      "memory: {} of {} bytes said, {:.0f} taken ({:+.1f} %), {} entries, {:.0f} bytes each "
      "besides key and value\n",
      usage.bytes, usage.bytes_max, taken, (taken / static_cast<double>(usage.bytes_max) - 1) * 100,
      usage.entries,
      static_cast<double>(usage.bytes) / static_cast<double>(usage.entries) - payload);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  const bool json = std::erase(words, "--json") > 0;
  const auto number = [&words](std::size_t at, unsigned otherwise) {
    return at < words.size() ? static_cast<unsigned>(std::strtoul(words[at].c_str(), nullptr, 10))
                             : otherwise;
  };
  const unsigned rounds = std::max(1U, number(0, 7));
  const unsigned threads = std::max(1U, number(1, 2));
  if (json) {
    measure_json(threads, rounds);
    return 0;
  }
  fmt::print("{} steps a thread and round, {} rounds, seed {}\n", steps, rounds, seed);
  access_stats stats;
  const family_set families = families_of_a_backend();
  for (const std::size_t keys : {few_keys, many_keys}) {
    const workload load = make_workload(keys);
    fmt::print("{} keys\n", keys);
    for (const unsigned count : {1U, threads}) {
      measure(load, {.name = "hit"}, count, rounds);
      measure(load, {.name = "hit, counted", .stats = &stats}, count, rounds);
      measure(load, {.name = "hit, of a family", .stats = &stats, .families = &families}, count,
              rounds);
      measure(load, {.name = "hit, with a clock", .clock = clock_use::read}, count, rounds);
    }
    for (const unsigned percent : {5U, 25U, 99U}) {
      const std::string name = fmt::format("{} % writes", percent);
      measure(load, {.name = name, .writes_percent = percent}, threads, rounds);
    }
  }
  const workload load = make_workload(many_keys);
  memory(load);
  return 0;
}
