#include "progress_bar.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <unistd.h>

namespace pipeline {
namespace {
constexpr std::size_t bar_cells = 32;
}

progress_bar::progress_bar()
    : terminal_(isatty(STDOUT_FILENO) == 1), started_(std::chrono::steady_clock::now()) {}

std::string progress_bar::line(const run_counts& counts) const {
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - started_;
  const std::size_t filled =
      counts.total == 0 ? bar_cells : bar_cells * counts.ended() / counts.total;
  std::string bar;
  for (std::size_t i = 0; i < bar_cells; ++i) bar += i < filled ? "█" : "░";
  return fmt::format("{} {:>4}/{} done  {} dead  {} retrying  {} running  {:.1f} s", bar,
                     counts.completed, counts.total, counts.dead, counts.retrying, counts.running,
                     passed.count());
}

void progress_bar::draw(const run_counts& counts) {
  const auto now = std::chrono::steady_clock::now();
  if (terminal_) {
    fmt::print("\r\x1b[K{}", line(counts));
    std::fflush(stdout);
  } else if (now - drawn_ >= std::chrono::seconds{2}) {
    fmt::print("{}\n", line(counts));
    std::fflush(stdout);
    drawn_ = now;
  }
}

void progress_bar::finish(const run_counts& counts) {
  fmt::print("{}{}\n", terminal_ ? "\r\x1b[K" : "", line(counts));
  std::fflush(stdout);
}

}  // namespace pipeline
