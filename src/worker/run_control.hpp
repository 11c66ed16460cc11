#pragma once

#include <millrace/engine/job.hpp>
#include <millrace/worker/handler.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace millrace::worker_detail {

/// What a handler has reported and nobody has been told yet.
struct run_report {
  std::optional<double> value;
  std::optional<std::string> message;
  std::vector<std::string> log;
  std::optional<std::string> checkpoint;

  [[nodiscard]] bool tells_progress() const noexcept { return value || message || !log.empty(); }
};

/// What the worker and the handler of one run share.
///
/// Threading: every member from any thread, `stopped` excepted (on `strand` only).
class run_control final : public std::enable_shared_from_this<run_control> {
public:
  using time_point = std::chrono::steady_clock::time_point;

  struct setup {
    engine::leased_job leased;
    time_point hard_deadline{time_point::max()};
    /// Where the handler runs. A strand where its context has several threads.
    asio::any_io_executor strand;
    /// Called, from any thread, with the first report after each `take_report`.
    std::function<void()> reported;
  };
  explicit run_control(setup with);

  [[nodiscard]] const engine::leased_job& leased() const noexcept { return leased_; }
  [[nodiscard]] time_point hard_deadline() const noexcept { return hard_deadline_; }
  [[nodiscard]] const asio::any_io_executor& strand() const noexcept { return strand_; }

  void progress(double value, std::string message);
  void log(std::string line);
  result<void> save_checkpoint(std::string json);
  [[nodiscard]] run_report take_report();
  /// Nothing is taken any more, and `reported` is not called again once this has returned.
  void close();

  /// Only ever grows more urgent; the reason is that of the most urgent.
  void stop(stop_urgency urgency, stop_reason reason);
  [[nodiscard]] stop_urgency urgency() const noexcept { return urgency_.load(); }
  [[nodiscard]] stop_reason reason() const noexcept { return reason_.load(); }
  [[nodiscard]] awaitable<stop_urgency> stopped(stop_urgency known);

private:
  // Calls `reported` for the first since the last `take_report`. Requires: the mutex is held.
  void mark_reported();

  const engine::leased_job leased_;
  const time_point hard_deadline_;
  const asio::any_io_executor strand_;

  std::atomic<stop_urgency> urgency_{stop_urgency::none};
  std::atomic<stop_reason> reason_{stop_reason::none};
  // Never expires; cancelled to wake. Only on `strand_`.
  asio::steady_timer stop_changed_;

  std::mutex mutex_;
  // All below: under `mutex_`.
  std::function<void()> reported_;
  bool closed_{false};
  bool waits_{false};
  std::optional<double> value_;
  std::optional<std::string> message_;
  std::deque<std::string> log_;
  std::size_t log_left_out_{0};
  std::optional<std::string> checkpoint_;
};

}  // namespace millrace::worker_detail
