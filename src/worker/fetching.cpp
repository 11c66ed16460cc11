#include "worker_state.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace millrace {
namespace {

using std::chrono::steady_clock;
using worker_detail::held_run;
using worker_detail::run_control;
using worker_detail::run_limits;

/// An answer that takes no longer was there when it was asked for.
constexpr std::chrono::milliseconds at_once{100};
/// After an empty answer that came at once, as from a server that is about to stop: an idle worker
/// must not ask without end.
constexpr std::chrono::milliseconds empty_pause{100};

}  // namespace

awaitable<handler_result> worker::state::call_handler(std::shared_ptr<state> self,
                                                      job_context context) {
  co_return co_await self->handler(std::move(context));
}

std::uint32_t worker::state::room() const noexcept {
  const std::size_t allowed = std::size_t{concurrency} + options.prefetch;
  const std::size_t taken = handlers_running + ready.size();
  const bool backed_up = outcomes.size() + being_settled >= undelivered_max;
  if (backed_up || taken >= allowed) return 0;
  return static_cast<std::uint32_t>(std::min(allowed - taken, worker_batch_max));
}

// A refusal of the request itself will not change by asking again.
bool worker::state::refuses_us(const error& why) {
  switch (why.kind) {
    case errc::malformed:
    case errc::invalid_argument:
    case errc::forbidden:
    case errc::unsupported: break;
    default: return false;
  }
  refusal = why;
  log(severity::error, fmt::format("the source refuses this worker: {}", why.detail));
  main_alarm.ring();
  return true;
}

awaitable<void> worker::state::fetch_loop() {
  worker_detail::outage_pause outage;
  while (!stopping) {
    const std::uint32_t wanted = room();
    if (wanted == 0) {
      co_await fetch_alarm.wait();
      continue;
    }
    const auto asked_at = steady_clock::now();
    auto jobs = co_await source.reserve({.queues = options.queues,
                                         .max = wanted,
                                         .wait = options.poll,
                                         .lease = options.lease,
                                         .worker = options.name});
    if (!jobs) {
      if (stopping || refuses_us(jobs.error())) co_return;
      if (!outage.ongoing()) {
        log(severity::warning, fmt::format("no jobs can be reserved: {}", jobs.error().detail));
      }
      const auto hint = jobs.error().retry_after.value_or(std::chrono::milliseconds{0});
      co_await pause_for(std::max<duration>(outage.next(), hint));
      continue;
    }
    if (outage.ongoing()) log(severity::info, "jobs can be reserved again");
    outage.over();
    const auto now = steady_clock::now();
    const auto got = static_cast<std::uint32_t>(jobs->size());
    for (engine::leased_job& leased : *jobs) accept(std::move(leased));
    const bool waited = now - asked_at > at_once;
    if (scale) {
      set_concurrency_now(scale->observe({.asked = wanted, .got = got, .waited = waited}, now));
    }
    if (stopping) co_return;
    start_ready();
    if (got == 0 && !waited) co_await pause_for(empty_pause);
  }
}

void worker::state::accept(engine::leased_job leased) {
  const std::uint64_t serial = next_serial++;
  const run_limits limits =
      run_limits{.soft = options.soft_limit, .hard = options.hard_limit}.cut_to(
          leased.what.spec.timeout);
  const auto now = steady_clock::now();
  // The context shows when the run would end by force if it began now.
  const auto deadline = worker_detail::run_clock{now, limits}.hard_deadline();
  auto control = std::make_shared<run_control>(
      run_control::setup{.leased = std::move(leased),
                         .hard_deadline = deadline,
                         .strand = asio::make_strand(executor),
                         .reported = [self = weak_from_this(), serial] {
                           const auto alive = self.lock();
                           if (!alive) return;
                           asio::post(alive->strand, [alive, serial] {
                             const auto found = alive->runs.find(serial);
                             if (found == alive->runs.end()) return;
                             alive->reported.push_back(found->second);
                             alive->report_alarm.ring();
                           });
                         }});
  auto run = std::make_shared<held_run>(serial, std::move(control), limits, now);
  runs.emplace(serial, run);
  ready.push_back(std::move(run));
  shown_held = static_cast<std::uint32_t>(ready.size());
}

void worker::state::start_ready() {
  while (handlers_running < concurrency && !ready.empty()) {
    const run_ptr run = std::move(ready.front());
    ready.pop_front();
    start(run);
  }
  shown_held = static_cast<std::uint32_t>(ready.size());
}

void worker::state::start(const run_ptr& run) {
  run->stage = held_run::phase::running;
  run->clock.emplace(steady_clock::now(), run->limits);
  arm(run);
  shown_running = ++handlers_running;
  auto end = [self = shared_from_this(), run](const std::exception_ptr& thrown,
                                              handler_result said) {
    self->returned(run, thrown, std::move(said));
  };
  asio::co_spawn(run->control->strand(),
                 call_handler(shared_from_this(), job_context{run->control}),
                 asio::bind_cancellation_slot(run->cancel.slot(),
                                              asio::bind_executor(strand, std::move(end))));
}

void worker::state::returned(const run_ptr& run, const std::exception_ptr& thrown,
                             handler_result said) {
  run->stage = held_run::phase::returned;
  run->control->close();
  run->clock.reset();
  arm(run);
  shown_running = --handlers_running;
  if (run->lost) {
    forget_if_over(run);
  } else if (!run->outcome) {
    if (thrown) said = worker_detail::failure_of(thrown);
    give_outcome(run, worker_detail::step_for(run->leased(), {.said = std::move(said),
                                                              .stopped_for = run->control->reason(),
                                                              .limits = run->limits}));
  } else {
    forget_if_over(run);
  }
  if (!stopping) {
    start_ready();
    fetch_alarm.ring();
  }
  main_alarm.ring();
}

}  // namespace millrace
