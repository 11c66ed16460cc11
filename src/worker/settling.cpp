#include "worker_state.hpp"

#include <millrace/engine/limits.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <variant>

namespace millrace {
namespace {

using std::chrono::steady_clock;
using worker_detail::classify;
using worker_detail::delivery;
using worker_detail::held_run;
using worker_detail::run_report;

// What was kept comes first.
run_report joined(run_report kept, run_report newer) {
  if (newer.value) kept.value = newer.value;
  if (newer.message) kept.message = std::move(newer.message);
  if (newer.checkpoint) kept.checkpoint = std::move(newer.checkpoint);
  kept.log.insert(kept.log.end(), std::make_move_iterator(newer.log.begin()),
                  std::make_move_iterator(newer.log.end()));
  if (kept.log.size() > engine::log_lines_max) {
    const auto surplus = kept.log.size() - engine::log_lines_max;
    kept.log.erase(kept.log.begin(), kept.log.begin() + static_cast<std::ptrdiff_t>(surplus));
  }
  return kept;
}

}  // namespace

// --- what handlers report ------------------------------------------------------------------------

awaitable<void> worker::state::report_loop() {
  for (;;) {
    while (reported.empty()) co_await report_alarm.wait();
    std::vector<run_ptr> runs_now;
    for (run_ptr& run : std::exchange(reported, {})) {
      // The last of it goes with the outcome.
      if (run->is_ours() && !run->outcome) runs_now.push_back(std::move(run));
    }
    co_await send_reports(std::move(runs_now));
    co_await pause_for(report_interval);
  }
}

awaitable<void> worker::state::send_reports(std::vector<run_ptr> from) {
  std::vector<run_report> reports;
  std::vector<engine::report_progress> steps;
  std::vector<std::size_t> step_of;
  for (std::size_t i = 0; i < from.size(); ++i) {
    held_run& run = *from[i];
    run.reporting = true;
    reports.push_back(joined(std::exchange(run.unsent, {}), run.control->take_report()));
    if (!reports.back().tells_progress()) continue;
    steps.push_back({.id = run.leased().what.id,
                     .token = run.leased().token,
                     .value = reports.back().value,
                     .message = reports.back().message,
                     .log = reports.back().log});
    step_of.push_back(i);
  }
  if (!steps.empty()) {
    const auto answers = co_await source.report(std::move(steps));
    std::vector<telling> told;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      run_report& report = reports[step_of[i]];
      if (answers[i] && report.value)
        told.push_back({from[step_of[i]], *report.value, report.message});
      const bool again = !answers[i] && classify(answers[i].error()) == delivery::again;
      if (!again) report = {.checkpoint = std::move(report.checkpoint)};
    }
    co_await tell_progress(told);
  }
  co_await send_checkpoints(from, reports);
  for (std::size_t i = 0; i < from.size(); ++i) {
    held_run& run = *from[i];
    run.reporting = false;
    const bool left = reports[i].tells_progress() || reports[i].checkpoint;
    run.unsent = joined(std::move(reports[i]), std::exchange(run.unsent, {}));
    if (left && !run.outcome) reported.push_back(from[i]);
    if (run.outcome) settle_alarm.ring();
  }
}

// borrows: awaited in place
awaitable<void> worker::state::send_checkpoints(const std::vector<run_ptr>& from,
                                                std::vector<run_report>& reports) {
  std::vector<engine::extend_lease> steps;
  std::vector<std::size_t> step_of;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (!reports[i].checkpoint || !from[i]->is_ours()) continue;
    const engine::leased_job& leased = from[i]->leased();
    steps.push_back({.id = leased.what.id,
                     .token = leased.token,
                     .lease = options.lease,
                     .checkpoint = reports[i].checkpoint});
    step_of.push_back(i);
  }
  if (steps.empty()) co_return;
  const auto sent_at = steady_clock::now();
  const auto answers = co_await source.extend(std::move(steps));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const run_ptr& run = from[step_of[i]];
    extended(run, answers[i], sent_at);
    const bool again = !answers[i] && classify(answers[i].error()) == delivery::again;
    if (!again) reports[step_of[i]].checkpoint.reset();
    if (!answers[i] && classify(answers[i].error()) == delivery::refused) {
      log(severity::error, fmt::format("job {}: the checkpoint is refused: {}",
                                       run->leased().what.id.text(), answers[i].error().detail));
    }
  }
}

// --- outcomes ------------------------------------------------------------------------------------

void worker::state::give_outcome(const run_ptr& run, settle_step outcome) {
  run->outcome = std::move(outcome);
  run->outcome_at = steady_clock::now();
  if (run->stage == held_run::phase::ready) run->stage = held_run::phase::returned;
  outcomes.push_back(run);
  settle_alarm.ring();
}

awaitable<void> worker::state::settle_loop() {
  worker_detail::outage_pause outage;
  for (;;) {
    // Whatever waits goes in one call; while that is under way the next gather.
    std::vector<run_ptr> batch;
    std::deque<run_ptr> later;
    while (!outcomes.empty() && batch.size() < worker_batch_max) {
      run_ptr run = std::move(outcomes.front());
      outcomes.pop_front();
      if (run->reporting) {
        later.push_back(std::move(run));
      } else {
        batch.push_back(std::move(run));
      }
    }
    std::ranges::move(later, std::back_inserter(outcomes));
    if (batch.empty()) {
      co_await settle_alarm.wait();
      continue;
    }
    const bool delivered = co_await settle_batch(std::move(batch));
    main_alarm.ring();
    fetch_alarm.ring();
    if (delivered) {
      if (outage.ongoing()) log(severity::info, "outcomes are delivered again");
      outage.over();
      continue;
    }
    if (!outage.ongoing()) log(severity::warning, "outcomes cannot be delivered; trying again");
    co_await pause_for(outage.next());
  }
}

awaitable<bool> worker::state::settle_batch(std::vector<run_ptr> batch) {
  being_settled = batch.size();
  std::vector<run_ptr> with_report;
  std::vector<settle_step> steps;
  for (const run_ptr& run : batch) {
    run->unsent = joined(std::exchange(run->unsent, {}), run->control->take_report());
    if (run->unsent.tells_progress() || run->unsent.checkpoint) with_report.push_back(run);
    steps.push_back(*run->outcome);
  }
  if (!with_report.empty()) co_await send_reports(std::move(with_report));
  const auto answers = co_await source.settle(std::move(steps));
  std::vector<run_ptr> ended;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i] && engine::is_final(answers[i]->status)) ended.push_back(batch[i]);
  }
  co_await tell_ends(ended);
  bool all_delivered = true;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (settle_answered(batch[i], answers[i])) continue;
    all_delivered = false;
    outcomes.push_back(batch[i]);
  }
  being_settled = 0;
  co_return all_delivered;
}

// False: the outcome has to be sent again.
bool worker::state::settle_answered(const run_ptr& run, const result<engine::job_changed>& answer) {
  const std::string id = run->leased().what.id.text();
  if (answer) {
    count(*run->outcome);
    run->settled = true;
    forget_if_over(run);
    return true;
  }
  switch (classify(answer.error())) {
    case delivery::again:
      if (steady_clock::now() - run->outcome_at < delivery_time_max) return false;
      log(severity::error,
          fmt::format(
              "job {}: the outcome could not be delivered for {} minutes and is dropped; the "
              "job will run again",
              id, delivery_time_max.count()));
      break;
    case delivery::lost:
      log(severity::warning, fmt::format("job {} (token {}): the outcome is dropped: {}", id,
                                         run->leased().token, answer.error().detail));
      break;
    case delivery::refused:
      log(severity::error,
          fmt::format("job {}: the outcome is refused: {}", id, answer.error().detail));
      if (std::holds_alternative<engine::ack_job>(*run->outcome)) {
        // A result that cannot be kept will not be better next time.
        run->outcome = engine::fail_job{.id = run->leased().what.id,
                                        .token = run->leased().token,
                                        .error = "the result is refused: " + answer.error().detail,
                                        .permanent = true,
                                        .retry_in = std::nullopt};
        outcomes.push_back(run);
        return true;
      }
      break;
  }
  run->lost = true;
  ++lost;
  forget_if_over(run);
  return true;
}

void worker::state::count(const settle_step& outcome) {
  if (std::holds_alternative<engine::ack_job>(outcome)) {
    ++completed;
  } else if (std::holds_alternative<engine::fail_job>(outcome)) {
    ++failed;
  } else {
    ++handed_back;
  }
}

void worker::state::forget_if_over(const run_ptr& run) {
  const bool handler_is_out = run->stage == held_run::phase::returned;
  if (handler_is_out && !run->is_ours()) runs.erase(run->serial);
}

}  // namespace millrace
