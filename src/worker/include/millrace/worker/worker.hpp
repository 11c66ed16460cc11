#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/queue/queue.hpp>
#include <millrace/worker/concurrency_policy.hpp>
#include <millrace/worker/handler.hpp>
#include <millrace/worker/job_source.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

enum class severity : std::uint8_t { debug, info, warning, error };

/// Takes one line about what the worker does. Called on the worker's strand: it must be quick.
using log_sink = std::function<void(severity, std::string_view)>;

struct worker_options {
  /// 1 to 64 queues of one project, with their weights.
  std::vector<weighted_queue> queues;
  /// Runs at a time, 1 to `worker_concurrency_max`. Zero: as many as the machine has cores.
  std::uint32_t concurrency{0};
  /// Where it is given, the number follows the backlog in here, and `concurrency` counts for
  /// nothing.
  std::optional<concurrency_range> scale;
  /// Jobs held ready besides those that run. Default none: a job that waits here could run
  /// elsewhere. Raise it where jobs take less time than a call to the source.
  std::uint32_t prefetch{0};
  /// What a killed worker costs at most before its jobs run again. 1 s to 24 h. All leases are
  /// renewed together, at a third of it.
  duration lease{std::chrono::seconds{5}};
  /// How long a reserve call waits for work, up to 60 s.
  duration poll{std::chrono::seconds{20}};
  /// A run that takes longer is asked to end, and by the hard limit it is made to. Zero: no limit.
  /// A job's own `timeout` counts as hard limit where it is smaller, less a tenth (at most 1 s) so
  /// that its failure is told while the lease still counts; the soft limit is then at most 5/6 of
  /// it.
  duration soft_limit{std::chrono::seconds{1500}};
  duration hard_limit{std::chrono::seconds{1800}};
  /// How long a run that was asked to end, because its job was cancelled or the drain time is over,
  /// may take before it is made to.
  duration stop_grace{std::chrono::seconds{10}};
  /// How long `stop` waits for the runs before they are asked to end and their jobs handed back.
  duration drain_timeout{std::chrono::seconds{30}};
  /// For people, at most 128 bytes. Empty: host name and process id.
  std::string name;
  log_sink log;
};

struct worker_stats {
  /// Handlers that have not returned, and jobs held ready.
  std::uint32_t running{0}, held{0};
  std::uint32_t concurrency{0};
  /// Outcomes delivered since the start.
  std::uint64_t completed{0}, failed{0}, handed_back{0};
  /// Runs whose lease was lost, their outcome dropped.
  std::uint64_t lost{0};
};

/// Takes jobs from a source, runs them, and tells what became of them.
///
/// Guarantees: never holds more jobs than it has free slots for, plus `prefetch`. A job's outcome
/// is
///             delivered, or its lease has been lost and its outcome dropped, or the job handed
///             back with its attempt intact. A run whose lease is lost is ended at once.
/// Threading:  works on a strand of its own over `executor`; `stop`, `set_concurrency` and `stats`
///             from any thread. Handlers run on strands of their own.
/// Lifetime:   the source must outlive it; it must outlive `run`.
/// Errors:     a source that is away is tried again with growing pauses (up to 5 s); runs go on.
class worker final {
public:
  /// Errors: invalid_argument, naming the option.
  [[nodiscard]] static result<std::unique_ptr<worker>> create(asio::any_io_executor executor,
                                                              job_source& source,
                                                              async_handler handler,
                                                              worker_options options);
  ~worker();
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  /// Works until `stop` has been carried out, or the source refuses the worker itself (a wrong
  /// queue name, a key without the right): then that error. Returns when the last handler has.
  /// Once.
  ///
  /// Cancellation: none; `stop` is how it ends.
  [[nodiscard]] awaitable<result<void>> run();

  /// First call: reserve nothing more, hand back what has not begun, wait up to `drain_timeout` for
  /// the rest, then end it and hand it back. Second call: do not wait.
  void stop();

  /// Errors: invalid_argument. Raising takes effect at once, lowering as runs end.
  [[nodiscard]] result<void> set_concurrency(std::uint32_t runs);

  [[nodiscard]] worker_stats stats() const noexcept;

private:
  struct state;
  explicit worker(std::shared_ptr<state> s) noexcept;
  std::shared_ptr<state> state_;
};

}  // namespace millrace
