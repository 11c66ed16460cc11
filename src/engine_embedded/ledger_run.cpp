#include "ledger_run.hpp"

#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

namespace millrace::embedded {

using engine::job_status;
namespace blocking = engine::blocking;

namespace {

engine::transaction single(engine::step what, engine::durability level) {
  engine::transaction one{.level = level};
  one.steps.push_back(std::move(what));
  return one;
}

engine::queue_key some_queue(std::uint64_t number) { return {.name = number % 3 == 0 ? "b" : "a"}; }

}  // namespace

void ledger_run::step(engine::store& on, engine::durability level) {
  switch (chance_() % 10) {
    case 0:
    case 1:
    case 2:
    case 3: return enqueue(on, level);
    case 4:
    case 5: return lease(on, level);
    case 6:
    case 7: return end_run(on, level);
    case 8: return end_and_lease(on);
    default: return cancel_or_delete(on, level);
  }
}

bool ledger_run::take(const engine::commit_result& answer, const engine::job_id& id,
                      std::optional<state> perhaps) {
  if (answer) {
    ++done_;
    return true;
  }
  const error& why = answer.error().why;
  if (why.kind == errc::outcome_unknown) {
    ++unknown_;
    const auto at = jobs_.find(id);
    if (at != jobs_.end()) at->second.perhaps = perhaps;
    lease_unknown_ = true;
  } else if (why.kind == errc::storage_full || why.kind == errc::unavailable) {
    ++refused_;
  } else if (!surprise_) {
    surprise_ = fmt::format("{}: {}: {}", id.text(), why.code, why.detail);
  }
  return false;
}

std::optional<engine::job_id> ledger_run::any(state in) {
  std::vector<engine::job_id> found;
  for (const auto& [id, job] : jobs_) {
    if (job.now == in && !job.perhaps) found.push_back(id);
  }
  if (found.empty()) return std::nullopt;
  return found[chance_() % found.size()];
}

void ledger_run::enqueue(engine::store& on, engine::durability level) {
  // Several transactions together, as one group.
  std::vector<engine::transaction> batch;
  std::vector<std::string> data;
  const std::uint64_t count = 1 + chance_() % 8;
  for (std::uint64_t i = 0; i < count; ++i) {
    engine::enqueue_job step{.queue = some_queue(chance_()), .level = level};
    // Now and then larger than a page.
    step.spec.data = fmt::format("\"{:04}{}\"", ++made_,
                                 std::string(chance_() % 20 == 0 ? 10'000 : chance_() % 300, 'x'));
    step.spec.max_attempts = 1;
    step.spec.priority = static_cast<std::uint8_t>(chance_() % 10);
    data.push_back(step.spec.data);
    batch.push_back(single(std::move(step), level));
  }
  const auto results = blocking::commit_each(on, std::move(batch));
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!take(results[i], {}, std::nullopt)) continue;
    const auto& made = std::get<engine::job_enqueued>(results[i]->outcomes[0]).made;
    jobs_[made.id] = {.data = data[i]};
  }
}

void ledger_run::note_leased(const engine::jobs_leased& leased) {
  for (const engine::leased_job& each : leased.jobs) {
    record& job = jobs_[each.what.id];
    // A job whose enqueue was answered "unknown" shows itself here.
    if (job.data.empty()) job.data = each.what.spec.data;
    job.perhaps.reset();
    job.now = state::running;
    job.token = each.token;
    if (each.what.spec.data != job.data && !surprise_) {
      surprise_ = each.what.id.text() + " has other data";
    }
  }
}

void ledger_run::lease(engine::store& on, engine::durability level) {
  engine::lease_jobs step{.queues = {some_queue(0), some_queue(1)},
                          .max = static_cast<std::uint32_t>(1 + chance_() % 4)};
  const auto answer = blocking::commit(on, single(std::move(step), level));
  if (take(answer, {}, std::nullopt)) {
    note_leased(std::get<engine::jobs_leased>(answer->outcomes[0]));
  }
}

void ledger_run::end_run(engine::store& on, engine::durability level) {
  const auto id = any(state::running);
  if (!id) return;
  record& job = jobs_[*id];
  if (chance_() % 3 == 0) {
    engine::fail_job step{.id = *id, .token = job.token, .error = "broken", .permanent = true};
    const auto answer = blocking::commit(on, single(std::move(step), level));
    if (take(answer, *id, state::dead)) job.now = state::dead;
    return;
  }
  job.result = fmt::format("{}", chance_() % 1000);
  engine::ack_job step{.id = *id, .token = job.token, .result = job.result};
  const auto answer = blocking::commit(on, single(std::move(step), level));
  if (take(answer, *id, state::completed)) job.now = state::completed;
}

void ledger_run::end_and_lease(engine::store& on) {
  const auto id = any(state::running);
  if (!id) return;
  record& job = jobs_[*id];
  job.result = "7";
  engine::transaction both;
  both.steps.push_back(engine::ack_job{.id = *id, .token = job.token, .result = job.result});
  both.steps.push_back(engine::lease_jobs{.queues = {some_queue(0), some_queue(1)}});
  const auto answer = blocking::commit(on, std::move(both));
  if (!take(answer, *id, state::completed)) return;
  job.now = state::completed;
  note_leased(std::get<engine::jobs_leased>(answer->outcomes[1]));
}

void ledger_run::cancel_or_delete(engine::store& on, engine::durability level) {
  const bool remove = chance_() % 2 == 0;
  const auto id = any(remove ? state::completed : state::waiting);
  if (!id) return;
  const state then = remove ? state::gone : state::cancelled;
  const auto answer = blocking::commit(
      on, remove ? single(engine::delete_job{*id}, level) : single(engine::cancel_job{*id}, level));
  if (take(answer, *id, then)) jobs_[*id].now = then;
}

void ledger_run::forget_leases(engine::store& with) {
  for (auto& [id, job] : jobs_) {
    if (job.now != state::running) continue;
    const auto found = blocking::ask(with, engine::find_job{id});
    if (found && *found && (*found)->status == job_status::queued) job.now = state::waiting;
  }
}

std::optional<std::string> ledger_run::compare(engine::store& with, bool leases_kept) const {
  for (const auto& [id, expected] : jobs_) {
    if (auto what = compare_job(with, id, expected, leases_kept)) return what;
  }
  return std::nullopt;
}

std::optional<std::string> ledger_run::compare_job(engine::store& with, const engine::job_id& id,
                                                   const record& expected, bool leases_kept) const {
  const auto answer = blocking::ask(with, engine::find_job{id});
  if (!answer) return fmt::format("{} cannot be read: {}", id.text(), answer.error().detail);
  const std::optional<engine::job>& job = *answer;
  const auto fits = [&](state wanted) {
    if (wanted == state::gone) return !job;
    if (!job || job->spec.data != expected.data) return false;
    switch (wanted) {
      case state::waiting:
        if (lease_unknown_ && job->status == job_status::running) return true;
        return job->status == job_status::queued;
      case state::running:
        if (!leases_kept && job->status == job_status::queued) return true;
        return job->status == job_status::running && job->token == expected.token;
      case state::completed:
        return job->status == job_status::completed && job->result == expected.result;
      case state::dead: return job->status == job_status::dead && job->error == "broken";
      default: return job->status == job_status::cancelled;
    }
  };
  if (fits(expected.now) || (expected.perhaps && fits(*expected.perhaps))) return std::nullopt;
  return fmt::format(
      "{} was said to be in state {}{}, but {}", id.text(), static_cast<int>(expected.now),
      expected.perhaps ? fmt::format(" or {}", static_cast<int>(*expected.perhaps)) : "",
      job ? fmt::format("is {}", to_string(job->status)) : "is not there");
}

}  // namespace millrace::embedded
