#include "worker_state.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace millrace {
namespace {

using std::chrono::steady_clock;
using worker_detail::classify;
using worker_detail::delivery;
using worker_detail::held_run;
using worker_detail::run_clock;
using worker_detail::step_for;

}  // namespace

// One call for all leases. Young leases are left out: a job that takes less than half a heartbeat
// is never renewed, and none goes unrenewed for longer than half its lease.
awaitable<void> worker::state::heartbeat_loop() {
  const auto period = options.lease / 3;
  bool failed_last = false;
  for (;;) {
    co_await pause_for(failed_last ? period / 2 : period);
    const auto young = steady_clock::now() - period / 2;
    std::vector<run_ptr> due;
    for (const auto& [serial, run] : runs) {
      if (run->is_ours() && run->renewed_at <= young) due.push_back(run);
    }
    if (due.empty()) continue;
    const bool renewed = co_await renew(std::move(due));
    if (!renewed && !failed_last) {
      log(severity::warning, "leases cannot be renewed; the runs go on, renewing is tried again");
    }
    failed_last = !renewed;
  }
}

awaitable<bool> worker::state::renew(std::vector<run_ptr> due) {
  bool all_answered = true;
  for (std::size_t begin = 0; begin < due.size(); begin += worker_batch_max) {
    const std::size_t end = std::min(begin + worker_batch_max, due.size());
    std::vector<engine::extend_lease> steps;
    for (std::size_t i = begin; i < end; ++i) {
      const engine::leased_job& leased = due[i]->leased();
      steps.push_back({.id = leased.what.id,
                       .token = leased.token,
                       .lease = options.lease,
                       .checkpoint = std::nullopt});
    }
    const auto sent_at = steady_clock::now();
    const auto answers = co_await source.extend(std::move(steps));
    for (std::size_t i = 0; i < answers.size(); ++i) {
      extended(due[begin + i], answers[i], sent_at);
      if (!answers[i] && classify(answers[i].error()) != delivery::lost) all_answered = false;
    }
  }
  co_return all_answered;
}

void worker::state::extended(const run_ptr& run, const result<engine::lease_extended>& answer,
                             time_point sent_at) {
  if (!answer) {
    if (classify(answer.error()) == delivery::lost) lose(run);
    return;
  }
  run->renewed_at = sent_at;
  if (!answer->cancel_requested || !run->is_ours() || run->outcome) return;
  if (run->stage == held_run::phase::ready) {
    // Handed back, it is cancelled.
    std::erase(ready, run);
    give_outcome(run, step_for(run->leased(), {.said = job_snoozed{}}));
  } else {
    ask_to_end(run, stop_reason::cancelled);
  }
}

void worker::state::lose(const run_ptr& run) {
  // An outcome under way may be the very reason why the token no longer counts: its own answer will
  // tell.
  if (!run->is_ours() || run->outcome) return;
  run->lost = true;
  ++lost;
  log(severity::warning,
      fmt::format("job {} (token {}): the lease is lost; the run is ended and its outcome dropped",
                  run->leased().what.id.text(), run->leased().token));
  if (run->stage == held_run::phase::ready) {
    std::erase(ready, run);
    run->stage = held_run::phase::returned;
    forget_if_over(run);
    fetch_alarm.ring();
    return;
  }
  make_end(run, stop_reason::lease_lost);
}

awaitable<void> worker::state::limit_loop() {
  for (;;) {
    const auto next = deadlines.empty() ? time_point::max() : deadlines.begin()->first;
    co_await limit_alarm.wait(next);
    const auto now = steady_clock::now();
    while (!deadlines.empty() && deadlines.begin()->first <= now) {
      const run_ptr run = runs.at(deadlines.begin()->second);
      const auto due = run->clock->take_due(now);
      switch (due.what) {
        case run_clock::action::ask: ask_to_end(run, due.why); break;
        case run_clock::action::force: make_end(run, due.why); break;
        case run_clock::action::abandon: abandon(run); break;
        case run_clock::action::none: break;
      }
      arm(run);
    }
  }
}

// Puts the run where its clock says, or nowhere.
void worker::state::arm(const run_ptr& run) {
  const auto next = run->clock ? run->clock->next() : time_point::max();
  if (next == run->armed_for) return;
  if (run->armed_for != time_point::max()) deadlines.erase({run->armed_for, run->serial});
  run->armed_for = next;
  if (next == time_point::max()) return;
  const auto placed = deadlines.emplace(next, run->serial).first;
  if (placed == deadlines.begin()) limit_alarm.ring();
}

void worker::state::ask_to_end(const run_ptr& run, stop_reason why) {
  if (run->stage != held_run::phase::running) return;
  // The soft limit has the hard one behind it; the others have only this grace.
  if (why != stop_reason::soft_limit) {
    run->clock->asked(why, steady_clock::now(), options.stop_grace);
  }
  if (run->control->urgency() == stop_urgency::none) {
    log(severity::info, fmt::format("job {}: asked to end ({})", run->leased().what.id.text(),
                                    why == stop_reason::cancelled    ? "cancelled"
                                    : why == stop_reason::soft_limit ? "soft time limit"
                                                                     : "the worker stops"));
  }
  run->control->stop(stop_urgency::asked, why);
  arm(run);
}

void worker::state::make_end(const run_ptr& run, stop_reason why) {
  if (run->stage != held_run::phase::running) return;
  run->clock->forced(steady_clock::now());
  run->control->stop(stop_urgency::at_once, why);
  run->cancel.emit(asio::cancellation_type::terminal);
  arm(run);
}

void worker::state::abandon(const run_ptr& run) {
  log(severity::error,
      fmt::format("job {}: its handler does not end; its slot stays taken until it does",
                  run->leased().what.id.text()));
  if (run->lost || run->outcome) return;
  give_outcome(run, step_for(run->leased(), {.said = job_failed{"the handler does not end"},
                                             .stopped_for = run->control->reason(),
                                             .limits = run->limits}));
}

}  // namespace millrace
