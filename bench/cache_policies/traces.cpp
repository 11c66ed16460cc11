#include "traces.hpp"

#include "sketch.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace millrace::policies {

namespace {

using random_source = std::mt19937_64;

// Ranks by Zipf's law, drawn by bisection of the summed weights.
class zipf final {
public:
  zipf(std::size_t items, double skew) {
    sums_.reserve(items);
    double sum = 0;
    for (std::size_t i = 1; i <= items; ++i) {
      sum += std::pow(static_cast<double>(i), -skew);
      sums_.push_back(sum);
    }
  }
  std::uint64_t operator()(random_source& random) const {
    const double at = std::uniform_real_distribution<>(0, sums_.back())(random);
    return static_cast<std::uint64_t>(std::ranges::lower_bound(sums_, at) - sums_.begin());
  }

private:
  std::vector<double> sums_;
};

constexpr std::uint64_t once = std::uint64_t{1} << 40;

std::vector<request> only_zipf(std::size_t count, std::size_t items, double skew,
                               random_source& random) {
  const zipf ranks(items, skew);
  std::vector<request> made(count);
  for (request& one : made) one.key = ranks(random);
  return made;
}

// Over and over through the same keys, like a nightly job or a full-table report.
std::vector<request> loop(std::size_t count, std::size_t items) {
  std::vector<request> made(count);
  for (std::size_t i = 0; i < count; ++i) made[i].key = i % items;
  return made;
}

// A popular set that is interrupted by long reads of keys nobody asks for again.
std::vector<request> with_scans(std::size_t count, random_source& random) {
  const zipf ranks(50'000, 0.9);
  std::vector<request> made(count);
  std::uint64_t fresh = once;
  for (std::size_t i = 0; i < count; ++i) {
    made[i].key = i % 50'000 >= 35'000 ? fresh++ : ranks(random);
  }
  return made;
}

// Content delivery: many objects of which a third is asked for once; sizes over four decades.
std::vector<request> content(std::size_t count, random_source& random) {
  const zipf ranks(300'000, 0.8);
  std::lognormal_distribution<> sizes(8.5, 1.5);
  std::uint64_t fresh = once;
  std::vector<request> made(count);
  for (request& one : made) {
    one.key = random() % 100 < 15 ? fresh++ : ranks(random);
    random_source own(mixed(one.key));
    one.size = static_cast<std::uint32_t>(std::clamp(sizes(own), 256.0, 2e5));
  }
  return made;
}

// Key-value of a social network: very popular keys whose popularity moves on.
std::vector<request> moving(std::size_t count, random_source& random) {
  const zipf ranks(100'000, 1.0);
  std::vector<request> made(count);
  for (std::size_t i = 0; i < count; ++i) {
    made[i].key = ranks(random) + (i / 20'000) * 2'000;
    made[i].size = 256 + static_cast<std::uint32_t>(mixed(made[i].key) % 512);
  }
  return made;
}

// Transactions: what was used is used again soon, by a distance that is log-normal; and runs.
std::vector<request> recent(std::size_t count, random_source& random) {
  std::lognormal_distribution<> distances(6.5, 2.0);
  std::vector<request> made(count);
  std::uint64_t fresh = once;
  for (std::size_t i = 0; i < count; ++i) {
    const auto back = static_cast<std::size_t>(distances(random)) + 1;
    made[i].key = back <= i && random() % 10 < 8 ? made[i - back].key : fresh++;
  }
  return made;
}

// Storage of a search engine: a popular set, loops longer than the cache, and scans, in turns.
std::vector<request> storage(std::size_t count, random_source& random) {
  const zipf ranks(60'000, 0.75);
  std::vector<request> made(count);
  std::uint64_t fresh = 2 * once;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t turn = i / 30'000 % 4;
    made[i].key = turn == 3 ? fresh++ : i % 2 == 0 ? once + i / 2 % 40'000 : ranks(random);
  }
  return made;
}

// An application's backend: bots, users and sources beside vector queries, most of them seen once.
std::vector<request> backend(std::size_t count, random_source& random) {
  const zipf bots(2'000, 1.0);
  const zipf users(20'000, 0.9);
  const zipf queries(500'000, 0.85);
  std::vector<request> made(count);
  for (request& one : made) {
    const auto kind = random() % 10;
    if (kind < 3) {
      one = {.key = bots(random), .size = 1500};
    } else if (kind < 6) {
      one = {.key = once + users(random), .size = 600};
    } else {
      one.key = 2 * once + queries(random);
      one.size = 2000 + static_cast<std::uint32_t>(mixed(one.key) % 12'000);
    }
  }
  return made;
}

}  // namespace

std::vector<trace> make_traces(std::size_t requests, std::uint64_t seed) {
  random_source random(seed);
  std::vector<trace> made;
  made.push_back({"zipf-0.99", "200 000 keys", only_zipf(requests, 200'000, 0.99, random)});
  made.push_back({"zipf-0.7", "200 000 keys", only_zipf(requests, 200'000, 0.7, random)});
  made.push_back({"loop", "30 000 keys in turn", loop(requests, 30'000)});
  made.push_back({"scans", "Zipf 0.9, 30 % in scans", with_scans(requests, random)});
  made.push_back({"content", "Zipf 0.8, 15 % once, log-normal sizes", content(requests, random)});
  made.push_back({"moving", "Zipf 1.0 whose ranks move on", moving(requests, random)});
  made.push_back({"recent", "log-normal distance of reuse", recent(requests, random)});
  made.push_back({"storage", "Zipf 0.75, loops and scans", storage(requests, random)});
  made.push_back({"backend", "bots, users and vector queries", backend(requests, random)});
  return made;
}

}  // namespace millrace::policies
