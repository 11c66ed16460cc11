#include "operation.hpp"

#include <array>
#include <utility>

/// The limits of random runs: few, and small, so that they are reached.
namespace millrace::conformance {

using namespace std::chrono_literals;
using engine::limit_algorithm;
using engine::limit_check;

namespace {

constexpr std::size_t sorts = 5;

limit_check sort_of_limit(std::size_t which) {
  switch (which) {
    case 1: return {.scope = "ip", .id = "a", .limit = 1200, .window = 20s};
    case 2:
      return {
          .scope = "ip", .id = "a", .algorithm = limit_algorithm::fixed, .limit = 9, .window = 10s};
    case 3:
      return {.scope = "bot",
              .id = "b:1",
              .algorithm = limit_algorithm::token_bucket,
              .limit = 7,
              .window = 20s,
              .burst = 5};
    case 4:
      return {.scope = "user",
              .id = "c",
              .algorithm = limit_algorithm::calendar,
              .limit = 30,
              .period = engine::limit_period::daily};
    default: return {.scope = "user", .id = "c", .limit = 6, .window = 10s};
  }
}

}  // namespace

std::vector<limit_check> limits_of(const operation& op, timestamp now) {
  std::vector<limit_check> checks;
  const std::size_t count = 1 + op.choose(0, 3);
  for (std::size_t i = 0; i < count; ++i) {
    limit_check each = sort_of_limit((op.choose(1, sorts) + i) % sorts);
    each.cost = 1 + op.choose(2, i == 1 ? 3 : 5);
    if (each.limit > 1000) each.cost *= 100;
    if (op.choose(3, 6) == 5) each.limit += 3;
    each.dry_run = i > 0 && op.choose(4, 8) == 7;
    each.period_start = std::chrono::floor<std::chrono::days>(now);
    each.period_end = each.period_start + std::chrono::days{1};
    checks.push_back(std::move(each));
  }
  return checks;
}

std::vector<limit_check> fleeting_limits() {
  std::vector<limit_check> checks;
  for (std::size_t which = 0; which < 4; ++which) checks.push_back(sort_of_limit(which));
  return checks;
}

}  // namespace millrace::conformance
