// Which eviction policy keeps what is asked for: the hit ratios of W-TinyLFU, S3-FIFO, SIEVE, LRU
// and of S3-FIFO whose main queue is filled, which our local cache uses, on generated requests in
// the shapes of public traces.
//
//   cache_policy_bench [REQUESTS] [SEED]
//
// The caches hold a hundredth, a twentieth, a fifth and half of the bytes that a trace touches. The
// last lines say how far each policy is from the best of every column.

#include "cache_policies/lru.hpp"
#include "cache_policies/s3_fifo.hpp"
#include "cache_policies/sieve.hpp"
#include "cache_policies/traces.hpp"
#include "cache_policies/w_tiny_lfu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <unordered_set>

namespace {

using namespace millrace::policies;

constexpr std::array<std::string_view, 5> names{w_tiny_lfu::name, s3_fifo::name, sieve::name,
                                                lru::name, s3_fifo_filled::name};
using row = std::array<double, names.size()>;

template <class Policy>
double hit_percent(const trace& from, std::uint64_t capacity) {
  Policy policy(capacity);
  std::size_t hits = 0;
  for (const request& one : from.requests) hits += policy.access(one) ? 1 : 0;
  return 100.0 * static_cast<double>(hits) / static_cast<double>(from.requests.size());
}

std::uint64_t touched_bytes(const trace& from) {
  std::unordered_set<std::uint64_t> seen;
  std::uint64_t bytes = 0;
  for (const request& one : from.requests) {
    if (seen.insert(one.key).second) bytes += one.size;
  }
  return bytes;
}

void print_row(std::string_view what, const row& values) {
  fmt::print("{:<18}", what);
  for (const double value : values) fmt::print("{:>15.2f}", value);
  fmt::print("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t requests = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 20261129;
  fmt::print("hit ratio in percent, {} requests a trace, seed {}\n{:<18}", requests, seed, "");
  for (const std::string_view name : names) fmt::print("{:>15}", name);
  fmt::print("\n");

  row worst{};
  row sum{};
  int columns = 0;
  for (const trace& from : make_traces(requests, seed)) {
    fmt::print("{} ({})\n", from.name, from.shape);
    const std::uint64_t bytes = touched_bytes(from);
    for (const unsigned part : {100U, 20U, 5U, 2U}) {
      const std::uint64_t capacity = bytes / part;
      const row hits{hit_percent<w_tiny_lfu>(from, capacity), hit_percent<s3_fifo>(from, capacity),
                     hit_percent<sieve>(from, capacity), hit_percent<lru>(from, capacity),
                     hit_percent<s3_fifo_filled>(from, capacity)};
      print_row(fmt::format("  1/{} of it", part), hits);
      const double best = *std::ranges::max_element(hits);
      for (std::size_t i = 0; i < hits.size(); ++i) {
        worst[i] = std::max(worst[i], best - hits[i]);
        sum[i] += best - hits[i];
      }
      ++columns;
    }
  }
  fmt::print("points behind the best\n");
  for (double& value : sum) value /= columns;
  print_row("  on average", sum);
  print_row("  at most", worst);
  return 0;
}
