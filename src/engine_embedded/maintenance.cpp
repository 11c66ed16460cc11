#include "group_writer.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <utility>

namespace millrace::embedded {

using engine::job_status;

// Due jobs and the ends of leases in one order: by their moment, then by id.
void group_writer::apply_due() {
  applying_due_ = true;
  while (!db_->failed()) {
    std::optional<due_entry> due = memory_->first_due();
    if (due && due->first > to_micros(now_)) due.reset();
    const auto over = leases_.first_over(now_);
    if (!due && !over) break;
    if (over && (!due || due_entry(to_micros(over->first), over->second) < *due)) {
      expire(over->second, over->first);
      continue;
    }
    const job_slot slot = memory_->jobs.find(due->second);
    live_job& job = memory_->jobs[slot];
    memory_->displace(slot);
    memory_->place_queued(slot, from_micros(due->first));
    job.version = stamps_.next(now_);
    hint_available(memory_->queue_of(job));
    hint_changed(job);
  }
  applying_due_ = false;
}

// Forgets what is kept no longer: more than can have ended since the last time, so that it never
// falls behind. While jobs end in every group it is done for many groups at once, since what is
// forgotten stands side by side, and each group would write the same pages.
void group_writer::sweep() {
  constexpr std::size_t forgotten_max = 256;
  const bool more_to_come = std::exchange(ended_, 0) > 0;
  if (more_to_come && ended_unswept_ < forgotten_max) return;
  std::size_t left = forgotten_max + 2 * std::exchange(ended_unswept_, 0);
  while (left-- > 0 && !db_->failed()) {
    const auto first = memory_->first_forgotten();
    if (!first || first->first > to_micros(now_)) break;
    if (!forget_oldest(*memory_->queues()[first->second])) break;
  }
}

bool group_writer::forget_oldest(queue_state& queue) {
  const engine::queue_settings& kept = queue.settings;
  const auto is_over = [this](const ended_list& list, duration span) {
    return span != duration{0} && !list.empty() && from_micros(list[0].at()) + span <= now_;
  };
  const std::uint64_t most = kept.keep_finished_count;
  if ((most != 0 && queue.finished.size() > most) || is_over(queue.finished, kept.keep_finished)) {
    const ended_list::entry oldest = queue.finished[0];
    to_write().remove(oldest.id(), memory_->any_log);
    correlated_.forget(oldest.id());
    memory_->remove_finished(queue, oldest);
    return true;
  }
  if (!is_over(queue.dead, kept.keep_dead)) return false;
  forget(queue.dead[0].id());
  return true;
}

}  // namespace millrace::embedded
