#include "early_hints.hpp"

#include <algorithm>
#include <variant>

namespace millrace::engine_redis {

void count_new_jobs(const unit& one, std::vector<available_hint>& into) {
  if (one.asked || one.index == unit::none) return;
  const engine::transaction& what = one.of->batch[one.index];
  if (what.idempotency) return;
  for (const engine::step& each : what.steps) {
    const auto* const made = std::get_if<engine::enqueue_job>(&each);
    if (made == nullptr || made->spec.unique || made->spec.run_at ||
        made->spec.delay != duration{0}) {
      continue;
    }
    const auto of_queue = [&](const available_hint& it) { return it.queue == made->queue; };
    const auto known = std::ranges::find_if(into, of_queue);
    if (known != into.end()) {
      ++known->jobs;
    } else {
      into.push_back({.queue = made->queue, .jobs = 1});
    }
  }
}

void leave_out(const std::vector<available_hint>& hinted, std::vector<available_hint>& all) {
  for (available_hint& each : all) {
    for (const available_hint& told : hinted) {
      if (told.queue == each.queue) each.jobs -= std::min(each.jobs, told.jobs);
    }
  }
}

}  // namespace millrace::engine_redis
