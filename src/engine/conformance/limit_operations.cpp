#include "operation.hpp"

#include <array>
#include <utility>

/// The limits of random runs: few, and small, so that they are reached.
namespace millrace::conformance {

using namespace std::chrono_literals;
using engine::limit_algorithm;
using engine::limit_check;

namespace {

constexpr std::size_t sorts = 6;

limit_check permit_limit() {
  return {.scope = "user",
          .id = "c",
          .algorithm = limit_algorithm::concurrency,
          .limit = 6,
          .window = 12s};
}

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
    case 5: return permit_limit();
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
    // Refusals of a budget are forgotten when an engine is opened, and the budget is not.
    const bool fleeting = each.algorithm != limit_algorithm::calendar;
    if (fleeting && op.choose(0, 5) == 4) each.penalty = {.after = 2, .length = 15s};
    each.period_start = std::chrono::floor<std::chrono::days>(now);
    each.period_end = each.period_start + std::chrono::days{1};
    checks.push_back(std::move(each));
  }
  return checks;
}

std::vector<limit_check> fleeting_limits() {
  std::vector<limit_check> checks;
  for (std::size_t which = 0; which < 4; ++which) checks.push_back(sort_of_limit(which));
  checks.push_back(permit_limit());
  return checks;
}

engine::step step_of_permits(const operation& op, std::uint64_t permit) {
  if (op.choose(3, 3) == 0) return engine::renew_limit_permit{"default", {permit_limit()}, permit};
  return engine::release_limit_permit{"default", {permit_limit()}, permit};
}

engine::block_limit block_of(const operation& op) {
  const limit_check whose = sort_of_limit(op.choose(3, sorts));
  const duration length = op.choose(5, 4) == 3 ? duration{0} : span_of(op);
  return {.scope = whose.scope, .whose = whose.id, .length = length};
}

}  // namespace millrace::conformance
