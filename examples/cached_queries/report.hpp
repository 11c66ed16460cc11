#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace demo {

/// What one way to serve the workload came to.
struct outcome {
  std::string_view name;
  std::uint64_t queries{0};
  std::chrono::duration<double> took{};
  /// Of each read.
  std::vector<std::chrono::duration<double, std::milli>> reads;
};

/// Both side by side.
void print(outcome plain, outcome cached);
/// Which of these it does not come to, with what it comes to: a hit rate above 80 %, 90 % fewer
/// queries, answers in 30 % of the time.
[[nodiscard]] std::vector<std::string> broken_promises(const outcome& plain, const outcome& cached);

}  // namespace demo
