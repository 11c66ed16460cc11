#include <millrace/base/clock.hpp>

namespace millrace {

timestamp system_clock_source::now() const noexcept {
  return std::chrono::time_point_cast<duration>(std::chrono::system_clock::now());
}

manual_clock::manual_clock(timestamp start) noexcept : micros_(to_micros(start)) {}

timestamp manual_clock::now() const noexcept { return from_micros(micros_.load()); }

void manual_clock::advance(duration by) noexcept { micros_.fetch_add(by.count()); }

void manual_clock::set(timestamp at) noexcept { micros_.store(to_micros(at)); }

timestamp manual_clock::default_start() noexcept {
  return timestamp{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
}

}  // namespace millrace
