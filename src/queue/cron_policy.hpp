#pragma once

#include <millrace/engine/queue_steps.hpp>
#include <millrace/queue/cron_schedule.hpp>

namespace millrace {

/// What to do with the due slot of a recurring job, and which slot comes next.
///
/// A slot seen within `missed_after` is on time and fires. Of an older one the entry's catch-up
/// policy decides: `one` fires it in the place of all that are due; `none` passes over to the first
/// slot on time; `all` fires it and goes on to the next, from at most `cron_catch_up_max` back.
///
/// Requires: `entry.next_at` is not after `now`.
/// Cost:     O(1); for `all` with many slots due O(cron_catch_up_max · log of the time missed).
[[nodiscard]] engine::fire_cron plan_slot(const engine::cron_entry& entry,
                                          const cron_schedule& schedule, timestamp now,
                                          duration missed_after);

}  // namespace millrace
