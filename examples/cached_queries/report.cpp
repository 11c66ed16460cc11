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
  fmt::print("{:<26} {:>12.3f} {:>12.3f} {:<5} {:>8.1f} %\n", what, plain, cached, unit,
             -less(plain, cached));
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

bool keeps_its_promise(const outcome& plain, const outcome& cached) {
  const double fewer =
      less(static_cast<double>(plain.queries), static_cast<double>(cached.queries));
  return hit_rate(cached) > 0.8 && fewer >= 90 && less(mean(plain), mean(cached)) >= 70;
}

}  // namespace demo
