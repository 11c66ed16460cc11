#pragma once

#include "alarm.hpp"
#include "run_clock.hpp"
#include "run_control.hpp"
#include "run_outcome.hpp"

#include <millrace/base/task_group.hpp>
#include <millrace/worker/limits.hpp>
#include <millrace/worker/worker.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace {

namespace worker_detail {

using time_point = std::chrono::steady_clock::time_point;

/// One job in the worker's hands, from its reservation until its handler has returned and its
/// outcome is with the source.
struct held_run {
  enum class phase : std::uint8_t { ready, running, returned };
  /// Who keeps the progress of the request it belongs to.
  enum class request_progress : std::uint8_t { unknown, free, ours, others };

  held_run(std::uint64_t number, std::shared_ptr<run_control> with, run_limits within,
           time_point reserved_at)
      : serial(number), control(std::move(with)), limits(within), renewed_at(reserved_at) {}

  [[nodiscard]] const engine::leased_job& leased() const noexcept { return control->leased(); }
  /// The source still counts on this run.
  [[nodiscard]] bool is_ours() const noexcept { return !lost && !settled; }

  const std::uint64_t serial;
  const std::shared_ptr<run_control> control;
  const run_limits limits;
  phase stage{phase::ready};
  /// When the lease was last seen to be good.
  time_point renewed_at;
  bool lost{false};
  std::optional<settle_step> outcome;
  time_point outcome_at{};
  /// The source has the outcome.
  bool settled{false};
  /// What could not be sent yet.
  run_report unsent;
  /// A report is on its way; the outcome waits for it, so as not to overtake it.
  bool reporting{false};
  request_progress request{request_progress::unknown};
  /// From the start of its handler on.
  std::optional<run_clock> clock;
  time_point armed_for{time_point::max()};
  asio::cancellation_signal cancel;
};

using run_ptr = std::shared_ptr<held_run>;

/// Growing pauses with jitter while the source is away.
class outage_pause final {
public:
  [[nodiscard]] duration next() noexcept;
  void over() noexcept { failures_ = 0; }
  [[nodiscard]] bool ongoing() const noexcept { return failures_ > 0; }

private:
  std::uint32_t failures_{0};
};

}  // namespace worker_detail

// Everything that is not atomic belongs to `strand`.
struct worker::state : public std::enable_shared_from_this<worker::state> {
  using run_ptr = worker_detail::run_ptr;
  using time_point = worker_detail::time_point;

  state(asio::any_io_executor with, job_source& from, async_handler how, worker_options said);

  // worker.cpp: the life of the worker.
  static awaitable<result<void>> work(std::shared_ptr<state> self);
  awaitable<void> drain();
  awaitable<void> deliver_the_rest();
  void hand_back_ready();
  void hurry_running(bool at_once);
  void log(severity how, std::string_view what) const;
  void set_concurrency_now(std::uint32_t runs);
  [[nodiscard]] awaitable<void> pause_for(duration span) const;

  // fetching.cpp: from the source into slots.
  awaitable<void> fetch_loop();
  [[nodiscard]] std::uint32_t room() const noexcept;
  [[nodiscard]] bool refuses_us(const error& why);
  void accept(engine::leased_job leased);
  void start_ready();
  void start(const run_ptr& run);
  static awaitable<handler_result> call_handler(std::shared_ptr<state> self, job_context context);
  void returned(const run_ptr& run, const std::exception_ptr& thrown, handler_result said);

  // lease_keeping.cpp: leases and time limits.
  awaitable<void> heartbeat_loop();
  awaitable<bool> renew(std::vector<run_ptr> runs);
  void extended(const run_ptr& run, const result<engine::lease_extended>& answer,
                time_point sent_at);
  void lose(const run_ptr& run);
  awaitable<void> limit_loop();
  void arm(const run_ptr& run);
  void ask_to_end(const run_ptr& run, stop_reason why);
  void make_end(const run_ptr& run, stop_reason why);
  void abandon(const run_ptr& run);

  // settling.cpp: reports and outcomes back to the source.
  awaitable<void> report_loop();
  awaitable<void> send_reports(std::vector<run_ptr> runs);
  awaitable<void> send_checkpoints(const std::vector<run_ptr>& runs,
                                   std::vector<worker_detail::run_report>& reports);
  // telling.cpp: the progress of requests.
  struct telling {
    run_ptr run;
    double value{0};
    std::optional<std::string> message;
  };
  awaitable<void> tell_progress(const std::vector<telling>& from);
  awaitable<void> look_whose(const std::vector<telling>& from);
  awaitable<void> tell_ends(const std::vector<run_ptr>& ended);

  awaitable<void> settle_loop();
  awaitable<bool> settle_batch(std::vector<run_ptr> runs);
  [[nodiscard]] bool settle_answered(const run_ptr& run, const result<engine::job_changed>& answer);
  void give_outcome(const run_ptr& run, settle_step outcome);
  void count(const settle_step& outcome);
  void forget_if_over(const run_ptr& run);

  const asio::any_io_executor executor;
  const asio::strand<asio::any_io_executor> strand;
  job_source& source;
  const async_handler handler;
  const worker_options options;

  std::uint32_t concurrency;
  std::optional<concurrency_policy> scale;

  std::uint64_t next_serial{1};
  std::unordered_map<std::uint64_t, run_ptr> runs;
  std::deque<run_ptr> ready;
  /// Handlers that have not returned.
  std::uint32_t handlers_running{0};
  /// Outcomes to be delivered, oldest first; those being delivered are in neither.
  std::deque<run_ptr> outcomes;
  std::size_t being_settled{0};
  std::vector<run_ptr> reported;
  /// When which run has to be looked at.
  std::set<std::pair<time_point, std::uint64_t>> deadlines;

  bool stopping{false};
  std::uint32_t stops_asked{0};
  std::optional<error> refusal;
  bool running{false};

  worker_detail::alarm fetch_alarm;
  worker_detail::alarm settle_alarm;
  worker_detail::alarm report_alarm;
  worker_detail::alarm limit_alarm;
  worker_detail::alarm main_alarm;

  // For `stats`, from any thread.
  std::atomic<std::uint32_t> shown_running{0}, shown_held{0}, shown_concurrency{0};
  std::atomic<std::uint64_t> completed{0}, failed{0}, handed_back{0}, lost{0};

  task_group fetchers;
  task_group loops;
};

}  // namespace millrace
