#include <millrace/queue/cron_scheduler.hpp>

#include "cron_policy.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/queue/cron_schedule.hpp>
#include <millrace/queue/limits.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

namespace millrace {
namespace {

using steady = std::chrono::steady_clock;

constexpr std::chrono::hours unreadable_retry{1};

// Somebody else settled the slot, or the entry changed or went: nothing left to do.
bool is_settled_elsewhere(const error& why) {
  return why.code == "cron_moved" || why.code == "cron_not_found";
}

}  // namespace

result<engine::cron_entry> prepare_cron(engine::cron_entry entry, timestamp now) {
  entry.next_at.reset();
  if (auto ok = engine::check_cron_entry(entry); !ok) return std::unexpected(std::move(ok.error()));
  const auto schedule = cron_schedule::parse(entry.schedule, entry.time_zone);
  if (!schedule) return std::unexpected(schedule.error());
  entry.next_at = schedule->next_after(now);
  if (!entry.next_at) {
    return invalid("schedule", "schedule has no slot before the year 2200", "cron_never_fires");
  }
  return entry;
}

cron_scheduler::cron_scheduler(asio::any_io_executor executor, engine::store& store,
                               cron_scheduler_options options)
    : store_(store), options_(std::move(options)), tasks_(std::move(executor)) {}

void cron_scheduler::start() {
  MILLRACE_ASSERT(tasks_.running() == 0);
  tasks_.spawn(run());
}

awaitable<void> cron_scheduler::stop() { return tasks_.stop(); }

awaitable<void> cron_scheduler::run() {
  auto listener = store_.hints().listen({engine::cron_topic()});
  auto retry = options_.retry_base;
  while (true) {
    const auto pause = co_await look();
    if (pause && *pause == steady::duration::zero()) {
      retry = options_.retry_base;
      continue;
    }
    steady::duration longest = retry;
    if (pause) {
      longest = *pause;
      retry = options_.retry_base;
    } else {
      report(pause.error());
      retry = std::min(retry * 2, options_.retry_max);
    }
    co_await listener.wait(longest);
  }
}

// How long there is nothing to do; zero where this look found something.
awaitable<result<steady::duration>> cron_scheduler::look() {
  const auto due = co_await engine::ask(store_, engine::due_crons{.limit = cron_batch});
  if (!due) co_return std::unexpected(due.error());
  if (due->entries.empty() && !due->next_at) co_return options_.safety_tick;
  const auto now = co_await engine::ask(store_, engine::read_clock{});
  if (!now) co_return std::unexpected(now.error());
  if (due->entries.empty()) {
    co_return std::clamp<steady::duration>(*due->next_at - *now, std::chrono::milliseconds{1},
                                           options_.safety_tick);
  }
  std::vector<engine::transaction> batch;
  batch.reserve(due->entries.size());
  for (const auto& entry : due->entries) batch.push_back(settle(entry, *now));
  auto settled = co_await engine::commit_each(store_, std::move(batch));
  const auto taken = take_in(std::move(settled));
  if (!taken) co_return std::unexpected(taken.error());
  co_return steady::duration::zero();
}

engine::transaction cron_scheduler::settle(const engine::cron_entry& entry, timestamp now) const {
  engine::transaction one{.steps = {}, .level = store_.traits().strongest, .idempotency = {}};
  const auto schedule = cron_schedule::parse(entry.schedule, entry.time_zone);
  if (schedule) {
    one.steps.emplace_back(plan_slot(entry, *schedule, now, options_.missed_after));
    return one;
  }
  error why = schedule.error();
  why.detail =
      fmt::format("recurring job {} of project {}: {}", entry.name, entry.project, why.detail);
  report(why);
  one.steps.emplace_back(engine::fire_cron{.project = entry.project,
                                           .name = entry.name,
                                           .version = entry.version,
                                           .slot = *entry.next_at,
                                           .next_at = now + unreadable_retry,
                                           .pass_over = true});
  return one;
}

result<void> cron_scheduler::take_in(std::vector<engine::commit_result> settled) const {
  result<void> whole;
  for (auto& one : settled) {
    if (one) {
      if (options_.on_slot) options_.on_slot(std::get<engine::cron_fired>(one->outcomes.front()));
    } else if (!is_settled_elsewhere(one.error().why)) {
      whole = std::unexpected(std::move(one.error().why));
    }
  }
  return whole;
}

void cron_scheduler::report(const error& why) const {
  if (options_.on_trouble) options_.on_trouble(why);
}

}  // namespace millrace
