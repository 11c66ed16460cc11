#include "workload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

namespace demo {
namespace {

constexpr double exponent = 1.1;
constexpr double writes = 0.01;

class zipf final {
public:
  explicit zipf(std::uint32_t count) {
    double sum = 0;
    for (std::uint32_t i = 1; i <= count; ++i) {
      sum += std::pow(static_cast<double>(i), -exponent);
      sums_.push_back(sum);
    }
  }
  std::uint32_t operator()(std::mt19937_64& random) const {
    const double at = std::uniform_real_distribution<>(0, sums_.back())(random);
    return static_cast<std::uint32_t>(std::ranges::lower_bound(sums_, at) - sums_.begin()) + 1;
  }

private:
  std::vector<double> sums_;
};

std::uint32_t bot_of_search(std::uint32_t id) { return id % bots + 1; }

}  // namespace

std::string_view to_string(kind of) {
  constexpr std::array<std::string_view, kinds> names{"bot", "user", "source", "search"};
  return names[static_cast<std::size_t>(of)];
}

std::vector<request> make_workload(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::array<zipf, kinds> popular{zipf(bots), zipf(users), zipf(sources), zipf(searches)};
  std::discrete_distribution<std::size_t> which{50, 25, 15, 10};
  std::bernoulli_distribution changes(writes);
  std::vector<request> out;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t of = which(random);
    // Searches are not written; what they look through is.
    const bool write = changes(random) && of != static_cast<std::size_t>(kind::search);
    out.push_back({.of = static_cast<kind>(of), .id = popular[of](random), .writes = write});
  }
  return out;
}

std::string key_of(const request& one) {
  if (one.of == kind::search) return fmt::format("vector:{}:{}", bot_of_search(one.id), one.id);
  return fmt::format("{}:{}", to_string(one.of), one.id);
}

std::string tag_of(const request& one) {
  if (one.of == kind::search) return fmt::format("bot:{}", bot_of_search(one.id));
  return fmt::format("{}:{}", to_string(one.of), one.id);
}

}  // namespace demo
