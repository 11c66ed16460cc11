#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace demo {
namespace {

using milliseconds = std::chrono::duration<double, std::milli>;

double mean(const outcome& of) {
  const milliseconds sum = std::accumulate(of.reads.begin(), of.reads.end(), milliseconds{0});
  return sum.count() / static_cast<double>(of.reads.size());
}

double quantile(outcome& of, double share) {
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(of.reads.size() - 1));
  std::ranges::nth_element(of.reads, of.reads.begin() + at);
  return of.reads[static_cast<std::size_t>(at)].count();
}

double less(double than, double now) { return 100 * (1 - now / than); }

double hit_rate(const outcome& of) {
  return 1 - static_cast<double>(of.queries) / static_cast<double>(of.reads.size());
}

void row(std::string_view what, double plain, double cached, std::string_view unit) {
  // What is counted has no fractions.
  const int digits = unit.empty() ? 0 : 3;
  fmt::print("{:<26} {:>12.{}f} {:>12.{}f} {:<5} {:>8.1f} %\n", what, plain, digits, cached, digits,
             unit, -less(plain, cached));
}

}  // namespace

void print(outcome plain, outcome cached) {
  fmt::print("\n{:<26} {:>12} {:>12} {:<5} {:>10}\n", "", plain.name, cached.name, "", "change");
  row("database queries", static_cast<double>(plain.queries), static_cast<double>(cached.queries),
      "");
  row("answer of a read, mean", mean(plain), mean(cached), "ms");
  row("answer of a read, p50", quantile(plain, 0.5), quantile(cached, 0.5), "ms");
  row("answer of a read, p95", quantile(plain, 0.95), quantile(cached, 0.95), "ms");
  row("all of it", plain.took.count(), cached.took.count(), "s");
  fmt::print("{:<26} {:>12} {:>11.1f} %\n", "hit rate", "-", 100 * hit_rate(cached));
}

std::vector<std::string> broken_promises(const outcome& plain, const outcome& cached) {
  std::vector<std::string> broken;
  const double hits = 100 * hit_rate(cached);
  if (hits <= 80) broken.push_back(fmt::format("a hit rate above 80 %: it is {:.1f} %", hits));
  const double fewer =
      less(static_cast<double>(plain.queries), static_cast<double>(cached.queries));
  if (fewer < 90) broken.push_back(fmt::format("90 % fewer queries: {:.1f} %", fewer));
  const double faster = less(mean(plain), mean(cached));
  if (faster < 70) {
    broken.push_back(fmt::format("answers in 30 % of the time: {:.1f} %", 100 - faster));
  }
  return broken;
}

}  // namespace demo
