#include "worker_state.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <cmath>
#include <variant>

// The progress of the request that a job belongs to, so that whoever waits for the request need
// know nothing of jobs.
namespace millrace {
namespace {

using worker_detail::held_run;

/// The progress of a job is a share of one; that of a request has steps.
constexpr std::uint32_t steps_of_a_job = 100;

engine::put_progress change_of(const held_run& run) {
  return {.project = run.leased().what.queue.project,
          .correlation_id = run.leased().what.spec.correlation_id};
}

// There is none that goes on: it may be begun.
bool has_room(const error& why) {
  return why.code == "progress_not_found" || why.code == "progress_ended";
}

}  // namespace

// borrows: awaited in place
awaitable<void> worker::state::tell_progress(const std::vector<telling>& from) {
  co_await look_whose(from);
  std::vector<engine::put_progress> steps;
  std::vector<held_run*> of;
  for (const telling& each : from) {
    held_run& run = *each.run;
    if (run.request == held_run::request_progress::others ||
        run.request == held_run::request_progress::unknown) {
      continue;
    }
    engine::put_progress& step = steps.emplace_back(change_of(run));
    if (run.request == held_run::request_progress::free) step.total_steps = steps_of_a_job;
    step.step = static_cast<std::uint32_t>(std::lround(each.value * steps_of_a_job));
    step.message = each.message;
    of.push_back(&run);
  }
  if (steps.empty()) co_return;
  const auto answers = co_await source.tell(std::move(steps));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i]) {
      of[i]->request = held_run::request_progress::ours;
    } else if (has_room(answers[i].error())) {
      of[i]->request = held_run::request_progress::free;
    }
  }
}

// Somebody else may keep the progress of the request: the application in steps of its own, or
// another job of the same request. That is left alone. What an attempt before has begun goes on.
// borrows: awaited in place
awaitable<void> worker::state::look_whose(const std::vector<telling>& from) {
  std::vector<engine::put_progress> looks;
  std::vector<held_run*> of;
  for (const telling& each : from) {
    if (each.run->request != held_run::request_progress::unknown) continue;
    if (each.run->leased().what.spec.correlation_id.empty()) continue;
    looks.push_back(change_of(*each.run));
    of.push_back(each.run.get());
  }
  if (looks.empty()) co_return;
  const auto answers = co_await source.tell(std::move(looks));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i]) {
      const bool begun_before = of[i]->leased().what.attempts > 1 && *answers[i] == steps_of_a_job;
      of[i]->request =
          begun_before ? held_run::request_progress::ours : held_run::request_progress::others;
    } else if (has_room(answers[i].error())) {
      of[i]->request = held_run::request_progress::free;
    }
  }
}

// borrows: awaited in place
awaitable<void> worker::state::tell_ends(const std::vector<run_ptr>& ended) {
  std::vector<engine::put_progress> steps;
  for (const run_ptr& run : ended) {
    if (run->request != held_run::request_progress::ours) continue;
    engine::put_progress& step = steps.emplace_back(change_of(*run));
    if (const auto* why = std::get_if<engine::fail_job>(&*run->outcome)) {
      step.status = engine::progress_status::failed;
      step.message = why->error.substr(0, why->error.find('\n'));
      if (step.message->size() > engine::message_bytes_max) step.message.reset();
    } else {
      step.status = engine::progress_status::completed;
    }
  }
  // One that is not taken is forgotten by itself.
  if (!steps.empty()) (void)co_await source.tell(std::move(steps));
}

}  // namespace millrace
