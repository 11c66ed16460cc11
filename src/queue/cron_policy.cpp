#include "cron_policy.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/queue/limits.hpp>

#include <algorithm>

namespace millrace {
namespace {

using engine::cron_catch_up;

constexpr duration instant{1};

// Whether at most `cron_catch_up_max` slots lie after `from` and not after `now`.
bool few_slots(const cron_schedule& schedule, timestamp from, timestamp now) {
  for (std::size_t i = 0; i < cron_catch_up_max; ++i) {
    const auto next = schedule.next_after(from);
    if (!next || *next > now) return true;
    from = *next;
  }
  const auto next = schedule.next_after(from);
  return !next || *next > now;
}

// The first slot of those that may still be caught up with. The number of slots due falls as the
// place to count from moves on, so it is found by halving.
std::optional<timestamp> oldest_to_catch_up(const cron_schedule& schedule, timestamp slot,
                                            timestamp now) {
  timestamp many = slot - instant;
  timestamp few = now;
  while (few - many > std::chrono::seconds{1}) {
    const timestamp middle = many + (few - many) / 2;
    (few_slots(schedule, middle, now) ? few : many) = middle;
  }
  return schedule.next_after(few);
}

}  // namespace

engine::fire_cron plan_slot(const engine::cron_entry& entry, const cron_schedule& schedule,
                            timestamp now, duration missed_after) {
  MILLRACE_ASSERT(entry.next_at && *entry.next_at <= now);
  const timestamp slot = *entry.next_at;
  engine::fire_cron step{.project = entry.project,
                         .name = entry.name,
                         .version = entry.version,
                         .slot = slot,
                         .next_at = schedule.next_after(slot)};
  const timestamp oldest_on_time = now - missed_after;
  if (slot >= oldest_on_time) return step;
  switch (entry.catch_up) {
    case cron_catch_up::one: step.next_at = schedule.next_after(now); break;
    case cron_catch_up::none:
      step.pass_over = true;
      step.next_at = schedule.next_after(std::max(slot, oldest_on_time - instant));
      break;
    case cron_catch_up::all:
      if (few_slots(schedule, slot - instant, now)) break;
      step.pass_over = true;
      step.next_at = oldest_to_catch_up(schedule, slot, now);
      break;
  }
  return step;
}

}  // namespace millrace
