#include <millrace/worker/worker.hpp>

#include "worker_state.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/base/backoff.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <thread>
#include <unistd.h>

namespace millrace {
namespace {

using std::chrono::steady_clock;
using worker_detail::held_run;
using worker_detail::step_for;

constexpr backoff_spec outage_backoff{.strategy = backoff_strategy::exponential,
                                      .base = std::chrono::milliseconds{100},
                                      .max = std::chrono::milliseconds{5'000},
                                      .jitter = backoff_jitter::equal};
/// Of the delivery of the last outcomes, once two stops have been asked for.
constexpr std::chrono::seconds last_delivery_hurried{1};

std::string default_name() {
  char host[256] = "worker";
  ::gethostname(host, sizeof host - 1);
  return fmt::format("{}:{}", host, ::getpid()).substr(0, 128);
}

result<void> check_span(std::string_view field, duration span, duration min, duration max) {
  if (span >= min && span <= max) return {};
  return invalid(std::string{field}, fmt::format("{} has to be from {} to {}", field,
                                                 format_duration(min), format_duration(max)));
}

result<void> check_runs(std::string_view field, std::uint32_t runs) {
  if (runs >= 1 && runs <= worker_concurrency_max) return {};
  return invalid(std::string{field},
                 fmt::format("{} has to be from 1 to {}", field, worker_concurrency_max));
}

result<void> check(const worker_options& options) {
  constexpr duration none{0};
  constexpr duration longest = engine::delay_max;
  if (options.queues.empty()) return invalid("queues", "a worker needs at least one queue");
  if (options.name.size() > 128) return invalid("name", "the name has at most 128 bytes");
  if (options.prefetch > worker_batch_max) {
    return invalid("prefetch", fmt::format("prefetch has to be at most {}", worker_batch_max));
  }
  auto checked = check_runs("concurrency", options.concurrency);
  if (checked && options.scale) checked = check_runs("scale.min", options.scale->min);
  if (checked && options.scale) checked = check_runs("scale.max", options.scale->max);
  if (checked && options.scale && options.scale->min > options.scale->max) {
    checked = invalid("scale.min", "the minimum is larger than the maximum");
  }
  if (checked) checked = check_span("lease", options.lease, engine::lease_min, engine::lease_max);
  if (checked) checked = check_span("poll", options.poll, none, std::chrono::seconds{60});
  if (checked) checked = check_span("soft_limit", options.soft_limit, none, longest);
  if (checked) checked = check_span("hard_limit", options.hard_limit, none, longest);
  if (checked) checked = check_span("stop_grace", options.stop_grace, none, longest);
  if (checked) checked = check_span("drain_timeout", options.drain_timeout, none, longest);
  if (checked && options.hard_limit > none && options.soft_limit > options.hard_limit) {
    checked = invalid("soft_limit", "the soft limit is beyond the hard limit");
  }
  return checked;
}

worker_options completed_with_defaults(worker_options options) {
  if (options.concurrency == 0) {
    options.concurrency =
        std::clamp(std::thread::hardware_concurrency(), 1U, worker_concurrency_max);
  }
  if (options.name.empty()) options.name = default_name();
  return options;
}

}  // namespace

duration worker_detail::outage_pause::next() noexcept {
  thread_local std::minstd_rand entropy{std::random_device{}()};
  return backoff_delay(outage_backoff, ++failures_, entropy());
}

worker::state::state(asio::any_io_executor with, job_source& from, async_handler how,
                     worker_options said)
    : executor(std::move(with)),
      strand(asio::make_strand(executor)),
      source(from),
      handler(std::move(how)),
      options(std::move(said)),
      concurrency(options.concurrency),
      fetch_alarm(strand),
      settle_alarm(strand),
      report_alarm(strand),
      limit_alarm(strand),
      main_alarm(strand),
      fetchers(strand),
      loops(strand) {
  if (options.scale) {
    scale.emplace(*options.scale);
    concurrency = scale->current();
  }
  shown_concurrency = concurrency;
}

void worker::state::log(severity how, std::string_view what) const {
  if (options.log) options.log(how, what);
}

awaitable<void> worker::state::pause_for(duration span) const {
  asio::steady_timer timer{strand, span};
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

void worker::state::set_concurrency_now(std::uint32_t runs_at_a_time) {
  if (runs_at_a_time == concurrency) return;
  log(severity::debug, fmt::format("concurrency {} -> {}", concurrency, runs_at_a_time));
  concurrency = runs_at_a_time;
  shown_concurrency = runs_at_a_time;
  if (stopping) return;
  start_ready();
  fetch_alarm.ring();
}

awaitable<result<void>> worker::state::work(std::shared_ptr<state> self) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  self->running = true;
  self->loops.spawn(self->heartbeat_loop());
  self->loops.spawn(self->limit_loop());
  self->loops.spawn(self->report_loop());
  self->loops.spawn(self->settle_loop());
  self->fetchers.spawn(self->fetch_loop());
  while (self->stops_asked == 0 && !self->refusal) co_await self->main_alarm.wait();
  co_await self->drain();
  co_await self->loops.stop();
  self->running = false;
  if (self->refusal) co_return std::unexpected(*self->refusal);
  co_return result<void>{};
}

awaitable<void> worker::state::drain() {
  stopping = true;
  log(severity::info, fmt::format("stopping: {} running, {} held", handlers_running, ready.size()));
  co_await fetchers.stop();
  hand_back_ready();
  const auto drained_by = steady_clock::now() + options.drain_timeout;
  while (handlers_running > 0 && stops_asked < 2 && steady_clock::now() < drained_by) {
    co_await main_alarm.wait(drained_by);
  }
  hurry_running(stops_asked >= 2);
  bool hurried = stops_asked >= 2;
  while (handlers_running > 0) {
    co_await main_alarm.wait();
    if (stops_asked >= 2 && !std::exchange(hurried, true)) hurry_running(true);
  }
  co_await deliver_the_rest();
}

awaitable<void> worker::state::deliver_the_rest() {
  const auto begun = steady_clock::now();
  while (!outcomes.empty() || being_settled > 0) {
    // A source that is away longer than a lease has given the jobs to others by then, or will.
    const duration patience =
        stops_asked >= 2 ? duration{last_delivery_hurried} : std::max(options.lease, {});
    const auto until = begun + patience;
    if (steady_clock::now() >= until) {
      log(severity::error, fmt::format("{} outcomes could not be delivered; their jobs run again",
                                       outcomes.size() + being_settled));
      co_return;
    }
    co_await main_alarm.wait(until);
  }
}

void worker::state::hand_back_ready() {
  for (const run_ptr& run : std::exchange(ready, {})) {
    give_outcome(run, step_for(run->leased(), {.said = job_snoozed{}}));
  }
  shown_held = 0;
}

void worker::state::hurry_running(bool at_once) {
  for (const auto& [serial, run] : runs) {
    if (run->stage != held_run::phase::running) continue;
    if (at_once) {
      make_end(run, stop_reason::shutdown);
    } else {
      ask_to_end(run, stop_reason::shutdown);
    }
  }
}

worker::worker(std::shared_ptr<state> s) noexcept : state_(std::move(s)) {}

worker::~worker() { MILLRACE_ASSERT(!state_->running); }

result<std::unique_ptr<worker>> worker::create(asio::any_io_executor executor, job_source& source,
                                               async_handler handler, worker_options options) {
  worker_options complete = completed_with_defaults(std::move(options));
  if (auto checked = check(complete); !checked) return std::unexpected(std::move(checked.error()));
  return std::unique_ptr<worker>{new worker{std::make_shared<state>(
      std::move(executor), source, std::move(handler), std::move(complete))}};
}

awaitable<result<void>> worker::run() {
  return asio::co_spawn(state_->strand, state::work(state_), asio::use_awaitable);
}

void worker::stop() {
  asio::post(state_->strand, [self = state_] {
    ++self->stops_asked;
    self->main_alarm.ring();
  });
}

result<void> worker::set_concurrency(std::uint32_t runs) {
  if (auto checked = check_runs("concurrency", runs); !checked) return checked;
  asio::post(state_->strand, [self = state_, runs] {
    // Whoever sets a number does not want it followed any more.
    self->scale.reset();
    self->set_concurrency_now(runs);
  });
  return {};
}

worker_stats worker::stats() const noexcept {
  return {.running = state_->shown_running,
          .held = state_->shown_held,
          .concurrency = state_->shown_concurrency,
          .completed = state_->completed,
          .failed = state_->failed,
          .handed_back = state_->handed_back,
          .lost = state_->lost};
}

}  // namespace millrace
