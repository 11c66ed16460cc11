#include "twin_run.hpp"

#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

namespace millrace::conformance {

using namespace std::chrono_literals;
using namespace engine;

namespace {

bool is_step(const operation& op) { return op.what < operation::kind::advance; }

std::string parted(const std::string& what, const std::string& model,
                   const std::string& under_test) {
  return fmt::format("{}\n model:      {}\n under test: {}", what, model, under_test);
}

// The item so many back from the last, or the first.
template <class Items>
const auto* back_from(const Items& items, std::size_t back) {
  return items.empty() ? nullptr : &items[items.size() - 1 - std::min(back, items.size() - 1)];
}

std::uint32_t most_of(const operation& op) {
  return static_cast<std::uint32_t>(1 + op.choose(2, 4));
}

}  // namespace

twin_run::twin_run(model::model_store& model, opened_engine& under_test, manual_clock& clock)
    : reference_(model),
      engine_(under_test),
      model_{&model, describer(clock.now())},
      under_test_{&under_test.store(), describer(clock.now())},
      clock_(clock) {}

std::optional<std::string> twin_run::difference(const std::vector<operation>& run) {
  for (std::size_t next = 0; next < run.size();) {
    const std::size_t at = next;
    found what = difference_at(run, next);
    if (!what) what = offences();
    if (!what) continue;
    std::ostringstream where;
    where << "after operation " << at << ", " << run[at] << ":\n" << *what;
    return where.str();
  }
  found what = compare_state();
  if (!what) what = offences();
  if (what) return "at the end:\n" + *what;
  return std::nullopt;
}

twin_run::found twin_run::offences() const {
  if (!model_.seen.offence().empty()) return "the model: " + model_.seen.offence();
  if (under_test_.seen.offence().empty()) return std::nullopt;
  return "the engine under test: " + under_test_.seen.offence();
}

twin_run::found twin_run::difference_at(const std::vector<operation>& run, std::size_t& next) {
  const operation& op = run[next++];
  switch (op.what) {
    case operation::kind::compare: return compare_state();
    case operation::kind::advance:
      clock_.advance(goes_back(op) ? -span_of(op) : span_of(op));
      return std::nullopt;
    case operation::kind::restart:
      // A look, so that nothing is left that should have happened before the end.
      if (found what = ask_both(read_clock{}, "the clock")) return what;
      if (found what = forget_fleeting()) return what;
      restart(op);
      return compare_state();
    case operation::kind::together:
    case operation::kind::batched: break;
    default: return commit({{op}});
  }
  std::vector<operation> company;
  while (company.size() < company_of(op) && next < run.size() && is_step(run[next])) {
    company.push_back(run[next++]);
  }
  if (company.empty()) return std::nullopt;
  if (op.what == operation::kind::together) return commit({company});
  std::vector<std::vector<operation>> each;
  for (const operation& one : company) each.push_back({one});
  return commit(each);
}

twin_run::found twin_run::forget_fleeting() {
  transaction one;
  one.steps.emplace_back(reset_limits{.checks = fleeting_limits()});
  const std::string expected = model_.seen.text(blocking::commit(*model_.store, one));
  const std::string got = under_test_.seen.text(blocking::commit(*under_test_.store, one));
  if (expected == got) return std::nullopt;
  return parted("forgetting counts differs", expected, got);
}

void twin_run::restart(const operation& op) {
  // Only ids and tokens never go back over a restart; the time begins anew with the clock, which is
  // therefore not behind what the store has told.
  const result<timestamp> told = blocking::ask(reference_, read_clock{});
  engine_.end(ending_of(op));
  clock_.set(std::max(clock_.now(), told.value_or(clock_.now())));
  clock_.advance(away_of(op));
  engine_.open_again();
  reference_.restart();
  under_test_.store = &engine_.store();
  under_test_.seen.note_restart();
  model_.seen.note_restart();
}

step twin_run::step_of(const operation& op, const side& on) const {
  switch (op.what) {
    case operation::kind::enqueue: return enqueue_job{.queue = queue_of(op), .spec = spec_of(op)};
    case operation::kind::lease: {
      lease_jobs step{.queues = {queue_of(op)}, .max = most_of(op)};
      if (op.choose(3, 3) == 2) step.queues.push_back({.name = "a"});
      if (op.choose(4, 2) == 1) step.lease = std::max<duration>(lease_min, span_of(op));
      return step;
    }
    case operation::kind::purge:
      return purge_jobs{.queue = queue_of(op),
                        .target = static_cast<purge_target>(op.choose(1, 3)),
                        .max = most_of(op)};
    case operation::kind::configure: {
      configure_queue step{.queue = queue_of(op), .settings = settings_of(op)};
      if (op.choose(2, 4) == 3) step.paused = op.choose(3, 3) == 2;
      if (op.choose(4, 4) == 3) step.draining = op.choose(5, 3) == 2;
      return step;
    }
    case operation::kind::save_cron:
    case operation::kind::fire_slot:
    case operation::kind::drop_cron: return step_of_cron(op, on);
    case operation::kind::cache: return step_of_cache(op, on);
    case operation::kind::take_some:
    case operation::kind::give_some_back:
    case operation::kind::forget_some: return step_of_limits(op, on);
    default: return step_of_run(op, on);
  }
}

step twin_run::step_of_run(const operation& op, const side& on) const {
  // Before the first job and the first run there is one that does not exist.
  const bool apt = likely_apt(op);
  const bool dead = apt && op.what == operation::kind::requeue && !on.seen.dead().empty();
  const job_id* const known = back_from(dead ? on.seen.dead() : on.seen.jobs(), back_of(op));
  const job_id id = known != nullptr ? *known : job_id{.tag = "a", .stamp = 1};
  const bool open = apt && !on.seen.open_runs().empty();
  const auto& runs = open ? on.seen.open_runs() : on.seen.runs();
  const describer::run* const granted = back_from(runs, back_of(op));
  describer::run run = granted != nullptr ? *granted : describer::run{id, 1};
  if (op.choose(5, 10) == 9) run.token = 1;
  const std::string text = "row " + std::to_string(op.dice[2]) + (op.choose(2, 2) == 1 ? " x" : "");
  switch (op.what) {
    case operation::kind::ack: return ack_job{.id = run.id, .token = run.token, .result = "[1 ]"};
    case operation::kind::fail: {
      fail_job step{.id = run.id, .token = run.token, .error = text};
      step.permanent = op.choose(3, 5) == 4;
      if (op.choose(4, 4) == 3) step.retry_in = span_of(op);
      return step;
    }
    case operation::kind::extend: {
      extend_lease step{.id = run.id, .token = run.token};
      if (op.choose(3, 2) == 1) step.lease = std::max<duration>(lease_min, span_of(op));
      if (op.choose(4, 2) == 1) step.checkpoint = std::to_string(op.dice[2]);
      return step;
    }
    case operation::kind::snooze: {
      const duration delay = op.choose(3, 2) == 0 ? duration{0} : span_of(op);
      return snooze_job{.id = run.id, .token = run.token, .delay = delay};
    }
    case operation::kind::report: {
      report_progress step{.id = run.id, .token = run.token};
      if (op.choose(3, 2) == 0) step.value = static_cast<double>(op.choose(2, 5)) / 4;
      if (op.choose(4, 2) == 1) step.message = text;
      step.log.assign(op.choose(2, 3), text);
      return step;
    }
    case operation::kind::cancel: return cancel_job{id};
    case operation::kind::requeue: return requeue_dead{id};
    default: return delete_job{id};
  }
}

step twin_run::step_of_cron(const operation& op, const side& on) const {
  const std::string name = cron_name_of(op);
  const bool last_slot = op.choose(4, 6) == 5;
  if (op.what == operation::kind::drop_cron) return delete_cron{.project = "default", .name = name};
  if (op.what == operation::kind::save_cron) {
    cron_entry entry{.name = name,
                     .queue = queue_of(op).name,
                     .schedule = "* * * * *",
                     .job = spec_of(op),
                     .overlap = overlap_of(op)};
    entry.paused = op.choose(5, 5) == 4;
    if (!last_slot) entry.next_at = clock_.now() + span_of(op);
    return put_cron{entry};
  }
  const std::optional<cron_entry> known = on.seen.cron(name);
  fire_cron step{.project = "default", .name = name, .version = 1, .slot = clock_.now()};
  if (known) {
    step.version = known->version;
    step.slot = known->next_at.value_or(step.slot);
  }
  if (op.choose(5, 6) == 5) ++step.version;
  if (!last_slot) step.next_at = step.slot + span_of(op);
  step.pass_over = op.choose(3, 6) == 5;
  return step;
}

step twin_run::step_of_limits(const operation& op, const side& on) const {
  if (op.what == operation::kind::give_some_back && op.choose(4, 4) == 1) return block_of(op);
  if (op.what == operation::kind::give_some_back && op.choose(4, 4) > 1) {
    const std::uint64_t* const permit = back_from(on.seen.permits(), back_of(op));
    return step_of_permits(op, permit != nullptr ? *permit : 1);
  }
  const std::vector<limit_check> checks = limits_of(op, clock_.now());
  if (op.what == operation::kind::forget_some) return reset_limits{.checks = checks};
  if (op.what == operation::kind::give_some_back) {
    refund_limits step{.checks = checks};
    if (op.choose(5, 2) == 1) step.taken_at = clock_.now() - span_of(op);
    return step;
  }
  return take_limits{.checks = checks,
                     .mode = static_cast<take_mode>(op.choose(5, 5) % 3),
                     .required = (op.dice[1] + op.dice[4]) % 8 == 7};
}

transaction twin_run::transaction_of(const std::vector<operation>& steps, const side& on) const {
  transaction out;
  for (const operation& op : steps) out.steps.push_back(step_of(op, on));
  const operation& first = steps.front();
  if (first.what == operation::kind::enqueue && key_of(first) != 0) {
    out.idempotency = idempotency_key{.project = "default",
                                      .route = "r",
                                      .key = std::to_string(key_of(first)),
                                      .fingerprint = first.choose(1, 3)};
  }
  return out;
}

twin_run::found twin_run::commit(const std::vector<std::vector<operation>>& transactions) {
  std::vector<transaction> asked;
  std::vector<transaction> of_model;
  for (const std::vector<operation>& steps : transactions) {
    of_model.push_back(transaction_of(steps, model_));
    asked.push_back(transaction_of(steps, under_test_));
  }
  const auto model = blocking::commit_each(*model_.store, of_model);
  const auto under_test = blocking::commit_each(*under_test_.store, asked);
  if (under_test.size() != model.size()) return "not one result a transaction";
  for (std::size_t i = 0; i < model.size(); ++i) {
    const std::string expected = model_.seen.text(model[i]);
    const std::string got = under_test_.seen.text(under_test[i]);
    if (expected != got) return parted("the answers differ", expected, got);
    if (found what = compare_hints(asked[i], model[i], under_test[i])) return what;
  }
  return std::nullopt;
}

// When to look again may be too early, never too late.
twin_run::found twin_run::compare_hints(const transaction& asked, const commit_result& model,
                                        const commit_result& under_test) {
  if (!model || model->replayed) return std::nullopt;
  for (std::size_t i = 0; i < asked.steps.size(); ++i) {
    const auto* const step = std::get_if<lease_jobs>(&asked.steps[i]);
    if (step == nullptr) continue;
    const auto& expected = std::get<jobs_leased>(model->outcomes[i]);
    const auto& got = std::get<jobs_leased>(under_test->outcomes[i]);
    if (expected.jobs.size() == step->max || !expected.next_at) continue;
    if (!got.next_at) return "a lease that found too little says that only a step can help";
    if (*got.next_at > *expected.next_at) {
      return fmt::format("a lease says to look again {} us too late",
                         (*got.next_at - *expected.next_at).count());
    }
  }
  return std::nullopt;
}

twin_run::found twin_run::ask_both(query model, query under_test, const std::string& name) {
  const std::string expected = model_.seen.text(blocking::ask_any(*model_.store, std::move(model)));
  const std::string got =
      under_test_.seen.text(blocking::ask_any(*under_test_.store, std::move(under_test)));
  if (expected == got) return std::nullopt;
  return parted(name + " differs", expected, got);
}

twin_run::found twin_run::ask_both(const query& what, const std::string& name) {
  return ask_both(what, what, name);
}

twin_run::found twin_run::compare_state() {
  // The newest jobs: older ones have been compared when they were new, and the listings have all.
  const std::size_t jobs = model_.seen.jobs().size();
  for (std::size_t i = jobs > 20 ? jobs - 20 : 0; i < jobs; ++i) {
    if (found what = compare_job(i)) return what;
  }
  operation queue;
  for (queue.dice[0] = 0; queue.dice[0] < 3; ++queue.dice[0]) {
    const queue_key key = queue_of(queue);
    if (found what = ask_both(find_queue{key}, "queue " + key.name)) return what;
    if (found what = compare_listing(key, std::nullopt)) return what;
    for (std::uint8_t status = 0; status <= 6; ++status) {
      if (found what = compare_listing(key, static_cast<job_status>(status))) return what;
    }
    for (std::uint64_t index = 0; index < 3; ++index) {
      const auto name = fmt::format("dead letter {} of {}", index, key.name);
      if (found what = ask_both(dead_at{key, index}, name)) return what;
    }
  }
  const std::array<std::pair<query, std::string>, 7> others{
      {{list_queues{}, "the list of queues"},
       {read_dead_stats{}, "the statistics of dead letters"},
       {list_crons{}, "the list of recurring jobs"},
       {find_cron{.name = "m"}, "recurring job m"},
       {due_crons{}, "what is due"},
       {list_limit_blocks{}, "who is shut out"},
       {read_clock{}, "the clock"}}};
  for (const auto& [what, name] : others) {
    if (found difference = ask_both(what, name)) return difference;
  }
  for (const char* id : {"r", "s"}) {
    if (found what = compare_correlated(id)) return what;
  }
  return compare_cache();
}

twin_run::found twin_run::compare_correlated(const std::string& id) {
  const list_correlated what{.correlation_id = id, .limit = 4};
  const std::string expected = list_all(model_, what);
  const std::string got = list_all(under_test_, what);
  if (expected == got) return std::nullopt;
  return parted("what carries " + id + " differs", expected, got);
}

twin_run::found twin_run::compare_job(std::size_t number) {
  const std::string name = "job " + std::to_string(number);
  const job_id of_model = model_.seen.jobs()[number];
  const job_id under_test = under_test_.seen.jobs().at(number);
  if (found what = ask_both(find_job{of_model}, find_job{under_test}, name)) return what;
  return ask_both(read_job_log{.id = of_model}, read_job_log{.id = under_test}, name + "'s log");
}

twin_run::found twin_run::compare_listing(const queue_key& queue,
                                          std::optional<job_status> status) {
  const list_jobs what{.queue = queue, .filter = {.status = status}, .limit = 3};
  const std::string expected = list_all(model_, what);
  const std::string got = list_all(under_test_, what);
  if (expected == got) return std::nullopt;
  return parted(
      fmt::format("the listing of {} {} differs", queue.name, status ? to_string(*status) : "jobs"),
      expected, got);
}

// Page by page; where pages end is each engine's own.
template <class Listing>
std::string twin_run::list_all(side& on, Listing what) {
  std::string out;
  do {
    const auto page = blocking::ask(*on.store, what);
    if (!page) return out + "\n  refused: " + std::string(page.error().code);
    out += on.seen.text(result<answer>(*page));
    what.cursor = page->cursor;
  } while (!what.cursor.empty());
  return out;
}

}  // namespace millrace::conformance
