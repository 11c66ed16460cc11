#pragma once

#include "fixture.hpp"

#include <string>
#include <utility>
#include <vector>

/// Short words for limits.
namespace millrace::conformance {

[[nodiscard]] inline limit_check per_minute(std::uint64_t limit, std::string id = "42",
                                            std::string scope = "user") {
  return {.scope = std::move(scope), .id = std::move(id), .limit = limit, .window = 60s};
}

[[nodiscard]] inline limit_check with_cost(limit_check what, std::uint64_t cost) {
  what.cost = cost;
  return what;
}

[[nodiscard]] inline limit_check bucket(std::uint64_t limit, duration window, std::uint64_t burst) {
  return {.scope = "user",
          .id = "42",
          .algorithm = limit_algorithm::token_bucket,
          .limit = limit,
          .window = window,
          .burst = burst};
}

/// A budget of the day, in UTC, that `now` is in.
[[nodiscard]] inline limit_check daily(std::uint64_t limit, timestamp now, std::string id = "42") {
  const timestamp start = std::chrono::floor<std::chrono::days>(now);
  return {.scope = "user",
          .id = std::move(id),
          .algorithm = limit_algorithm::calendar,
          .limit = limit,
          .period = limit_period::daily,
          .period_start = start,
          .period_end = start + std::chrono::days{1}};
}

/// At most so many at one time.
[[nodiscard]] inline limit_check at_once(std::uint64_t limit, duration ttl = 30s,
                                         std::string id = "42") {
  return {.scope = "user",
          .id = std::move(id),
          .algorithm = limit_algorithm::concurrency,
          .limit = limit,
          .window = ttl};
}

[[nodiscard]] inline limit_check with_penalty(limit_check what, std::uint32_t after,
                                              duration length) {
  what.penalty = {.after = after, .length = length};
  return what;
}

class limit_test : public engine_test {
protected:
  limits_checked take(std::vector<limit_check> checks, take_mode mode = take_mode::all) {
    return run(take_limits{.checks = std::move(checks), .mode = mode});
  }
  limits_checked take(limit_check what) { return take(std::vector{std::move(what)}); }
  [[nodiscard]] bool allows(limit_check what) { return take(std::move(what)).allowed; }
  [[nodiscard]] limit_state peek(limit_check what) {
    return take({std::move(what)}, take_mode::peek).limits.at(0);
  }
  [[nodiscard]] std::uint64_t count(limit_check what) { return peek(std::move(what)).count; }
  limit_state refund(limit_check what, std::optional<timestamp> taken_at = std::nullopt) {
    return run(refund_limits{.checks = {std::move(what)}, .taken_at = taken_at}).limits.at(0);
  }
  limits_checked block(std::string whose, duration length, std::string scope = "user") {
    return run(block_limit{.scope = std::move(scope), .whose = std::move(whose), .length = length});
  }
  /// Takes one at a time until it is refused; says how many were allowed.
  std::uint64_t exhaust(const limit_check& what) {
    std::uint64_t taken = 0;
    while (taken < 10'000 && allows(what)) ++taken;
    return taken;
  }
};

}  // namespace millrace::conformance

/// A suite about limits that runs on every engine.
// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): gtest's own macros take names.
#define MILLRACE_LIMIT_SUITE(suite)                                                            \
  class suite : public ::millrace::conformance::limit_test {};                                 \
  INSTANTIATE_TEST_SUITE_P(Engine, suite,                                                      \
                           ::testing::ValuesIn(::millrace::conformance::engines_under_test()), \
                           ::millrace::conformance::case_name)
