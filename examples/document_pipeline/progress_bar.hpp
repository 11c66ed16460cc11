#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace pipeline {

struct run_counts {
  std::size_t total{0}, completed{0}, dead{0}, running{0}, retrying{0};
  [[nodiscard]] std::size_t ended() const noexcept { return completed + dead; }
};

/// One line that is drawn anew on a terminal, and printed every two seconds elsewhere.
class progress_bar final {
public:
  progress_bar();

  void draw(const run_counts& counts);
  /// Draws the last state and leaves the line.
  void finish(const run_counts& counts);

private:
  [[nodiscard]] std::string line(const run_counts& counts) const;

  bool terminal_;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace pipeline
