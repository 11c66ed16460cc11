#pragma once

#include "router.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace millrace::http {

/// Counts what the routes answered.
///
/// Threading: `record` and `append_to` from any thread.
/// Cost:      three additions a request.
class http_metrics final {
public:
  explicit http_metrics(std::span<const route> table);

  /// `route_index` is the place in the table, or its size where none matched.
  void record(std::size_t route_index, unsigned status,
              std::chrono::steady_clock::duration took) noexcept;

  /// Appends the Prometheus text format.
  void append_to(std::string& out) const;

  std::atomic<std::int64_t> open_connections{0};
  std::atomic<std::uint64_t> refused_connections{0};

private:
  // Every status that is answered anywhere; the last place counts whatever else.
  static constexpr std::array<unsigned, 23> statuses{200, 201, 204, 304, 400, 403, 404, 405,
                                                     408, 409, 412, 413, 415, 417, 422, 429,
                                                     431, 500, 501, 503, 504, 507, 0};
  // Upper bounds in microseconds. A long poll is slow by intention, hence the last ones.
  static constexpr std::array<std::int64_t, 9> bounds_us{
      250, 1'000, 2'500, 10'000, 50'000, 250'000, 1'000'000, 10'000'000, 60'000'000};
  // On cache lines of its own, so that two threads on different routes do not share one.
  struct alignas(64) counters {
    std::array<std::atomic<std::uint64_t>, statuses.size()> by_status{};
    std::array<std::atomic<std::uint64_t>, bounds_us.size() + 1> by_time{};
    std::atomic<std::uint64_t> total_us{0};
  };

  void append_requests(std::string& out) const;
  void append_times(std::string& out) const;
  [[nodiscard]] std::string_view name_of(std::size_t route_index) const noexcept;
  [[nodiscard]] std::string_view method_of(std::size_t route_index) const noexcept;

  std::span<const route> table_;
  std::unique_ptr<counters[]> counters_;
};

/// Appends the text as the value of a Prometheus label, without its quotes.
void append_label_value(std::string& out, std::string_view text);

}  // namespace millrace::http
