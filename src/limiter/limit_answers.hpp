#pragma once

#include <millrace/engine/limit_steps.hpp>
#include <millrace/limiter/limiter.hpp>

#include <cstdint>
#include <vector>

namespace millrace {

/// What the store has said, in the words of those who asked.
[[nodiscard]] limit_answer answer_of(const std::vector<wanted_limit>& limits,
                                     const engine::limits_checked& checked);

[[nodiscard]] inline bool is_of_permits(const wanted_limit& each) noexcept {
  return each.check.algorithm == engine::limit_algorithm::concurrency;
}

/// Numbers of permits that a process gives without the store are from here on; the store's are
/// times in microseconds, which get here in the year 2112.
inline constexpr std::uint64_t first_own_permit = std::uint64_t{1} << 52U;

}  // namespace millrace
