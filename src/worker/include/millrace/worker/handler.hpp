#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/job.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace millrace {

namespace worker_detail {
class run_control;
}

struct job_succeeded {
  /// JSON text; empty counts as null.
  std::string result{"null"};
};

struct job_failed {
  std::string error;
  /// Running it again cannot help: it goes to the dead letters at once.
  bool permanent{false};
  /// When to try again; empty: the job's backoff.
  std::optional<duration> retry_in{};
};

/// Not now: back to the queue after `delay`, and this run does not count as an attempt.
struct job_snoozed {
  duration delay{0};
};

/// What one run came to.
using handler_result = std::variant<job_succeeded, job_failed, job_snoozed>;

/// How urgently a run has to end. Only ever grows.
enum class stop_urgency : std::uint8_t {
  none,
  /// Come to an end: finish what is begun, or fail. Programs get SIGTERM.
  asked,
  /// The outcome no longer counts or there is no more time. Programs get SIGKILL.
  at_once,
};

enum class stop_reason : std::uint8_t {
  none,
  /// Somebody cancelled the job.
  cancelled,
  soft_limit,
  hard_limit,
  /// The lease ended or belongs to another worker: the outcome will be dropped.
  lease_lost,
  /// The worker stops; unless the run succeeds, its job goes back with its attempt intact.
  shutdown,
};

/// What a handler has in its hands during one run of a job. A copy is a further handle to the same.
///
/// Threading: every member from any thread, `stopped` excepted.
/// Lifetime:  may outlive the run; what is reported afterwards is dropped.
class job_context final {
public:
  explicit job_context(std::shared_ptr<worker_detail::run_control> run) noexcept;

  [[nodiscard]] const engine::leased_job& leased() const noexcept;
  [[nodiscard]] const engine::job& job() const noexcept;
  /// The fencing token of this run: larger than that of every earlier one. Hand it to whatever the
  /// handler writes to, so that it can refuse a run that has been overtaken.
  [[nodiscard]] std::uint64_t token() const noexcept;
  /// 1 for the first.
  [[nodiscard]] std::uint32_t attempt() const noexcept;
  /// JSON text, as the producer sent it.
  [[nodiscard]] const std::string& data() const noexcept;
  /// JSON text the last attempt left; empty for none.
  [[nodiscard]] const std::string& checkpoint() const noexcept;
  /// When the run is ended by force.
  [[nodiscard]] std::chrono::steady_clock::time_point hard_deadline() const noexcept;

  /// How far the run has come, 0 to 1 (beyond is cut), and where it stands; an empty message keeps
  /// the last. Sent within `report_interval`, the latest only.
  void progress(double value, std::string message = {}) const;
  /// A line for the job's log; of many at once the last `engine::log_lines_max` are kept.
  void log(std::string line) const;
  /// Kept for the next attempt, should there be one. Errors: malformed, too_large.
  result<void> save_checkpoint(std::string json) const;

  /// The run should come to an end; look at it in every loop that takes long.
  [[nodiscard]] bool cancelled() const noexcept;
  [[nodiscard]] stop_urgency urgency() const noexcept;
  [[nodiscard]] stop_reason reason() const noexcept;

  /// Waits until the run has to end more urgently than `known`, and answers how urgently.
  ///
  /// Threading:    only on the executor the handler was started on.
  /// Cancellation: terminal and total.
  [[nodiscard]] awaitable<stop_urgency> stopped(stop_urgency known = stop_urgency::none) const;

private:
  std::shared_ptr<worker_detail::run_control> run_;
};

/// Runs a job. An exception fails the run with its `what()`. When the run has to end at once, the
/// coroutine is cancelled (terminal); when it is asked to, `job_context::stopped` tells.
///
/// Runs on a strand of its own over the worker's executor: it must not block.
using async_handler = std::function<awaitable<handler_result>(job_context)>;

/// The same for work that blocks or computes for long.
using blocking_handler = std::function<handler_result(job_context&)>;

/// Runs `run` on `threads` (the executor of a thread pool with a thread for each run at a time). It
/// cannot be interrupted: it has to look at `job_context::cancelled`.
[[nodiscard]] async_handler on_threads(asio::any_io_executor threads, blocking_handler run);

}  // namespace millrace
