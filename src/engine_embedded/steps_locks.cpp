#include "group_writer.hpp"
#include "lock_row.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/engine/live_rules.hpp>
#include <millrace/engine/lock_rules.hpp>

#include <sqlite3.h>

#include <utility>

namespace millrace::embedded {
namespace {

live_key fence_row_key(const engine::lock_key& key) {
  return {.kind = live_kind::fence, .project = key.project, .flow = {}, .name = key.resource};
}

}  // namespace

engine::lock_state group_writer::lock_state_of(const engine::lock_key& key) {
  engine::lock_state out;
  const std::optional<live_row> row = live_.find(lock_row_key(key));
  if (row && !read_row(*row, out)) db_->note(SQLITE_CORRUPT);
  return out;
}

// After every change of a lock: whoever it is the turn of is told; one that is nobody's goes.
void group_writer::keep_lock(const engine::lock_key& key, engine::lock_state& state) {
  for (const std::string& token : engine::call_waiters(state, now_)) {
    changed_topics_.push_back(engine::lock_turn_topic(key, token));
  }
  static_cast<void>(to_write());
  if (!state.empty()) {
    live_.write(lock_row_key(key), to_row(state, now_));
    return;
  }
  live_.erase(lock_row_key(key));
  changed_topics_.push_back(engine::lock_topic(key.project, key.resource));
}

// Holders and places in the queue whose time is over.
void group_writer::end_lock(const live_key& row) {
  const engine::lock_key key{.project = row.project, .resource = row.name};
  engine::lock_state state = lock_state_of(key);
  static_cast<void>(engine::expire_lock(state, now_));
  keep_lock(key, state);
}

group_writer::refused group_writer::check(const engine::acquire_lock& step, plan& with) {
  if (live_.contains(lock_row_key(step.key))) {
    if (step.queue == duration{0}) return std::nullopt;
    const bool full = engine::queue_is_full(lock_state_of(step.key), step);
    return full ? engine::too_many_waiters() : refused();
  }
  if (live_.count(live_kind::lock) + with.locks_added++ < engine::locks_max) return std::nullopt;
  return engine::too_many_locks();
}

engine::outcome group_writer::apply(engine::acquire_lock& step, const plan&) {
  engine::lock_state state = lock_state_of(step.key);
  const bool fresh = state.holder(step.token) == nullptr && engine::may_have(state, step);
  const bool changes = fresh || step.queue > duration{0} || state.waiter(step.token) != nullptr;
  engine::lock_answer out = engine::take_lock(state, step, fresh ? stamps_.next(now_) : 0, now_);
  if (changes) keep_lock(step.key, state);
  return out;
}

group_writer::refused group_writer::check(const engine::extend_lock& step, plan&) {
  const bool held = lock_state_of(step.key).holder(step.token) != nullptr;
  return held ? refused() : engine::lock_lost();
}

engine::outcome group_writer::apply(engine::extend_lock& step, const plan&) {
  engine::lock_state state = lock_state_of(step.key);
  engine::lock_answer out = engine::prolong_lock(state, step, now_);
  if (step.ttl > duration{0}) keep_lock(step.key, state);
  return out;
}

group_writer::refused group_writer::check(const engine::release_lock& step, plan&) {
  const engine::lock_state state = lock_state_of(step.key);
  const bool known = state.holder(step.token) != nullptr || state.waiter(step.token) != nullptr;
  return known ? refused() : engine::lock_lost();
}

engine::outcome group_writer::apply(engine::release_lock& step, const plan&) {
  engine::lock_state state = lock_state_of(step.key);
  engine::lock_answer out = engine::drop_lock(state, step.key, step.token);
  keep_lock(step.key, state);
  return out;
}

group_writer::refused group_writer::check(const engine::pass_fence& step, plan& with) {
  const std::optional<live_row> seen = live_.find(fence_row_key(step.key));
  const engine::lock_state state = lock_state_of(step.key);
  if (engine::is_stale_fence(step, seen ? seen->version : 0, state, now_)) {
    return engine::stale_fence();
  }
  if (seen || live_.count(live_kind::fence) + with.fences_added++ < engine::fences_max) {
    return std::nullopt;
  }
  return engine::too_many_records();
}

engine::outcome group_writer::apply(engine::pass_fence& step, const plan&) {
  const live_key key = fence_row_key(step.key);
  const std::optional<live_row> seen = live_.find(key);
  static_cast<void>(to_write());
  live_.write(key, {.made_at = seen ? seen->made_at : now_,
                    .updated_at = now_,
                    .expires_at = now_ + engine::fence_kept,
                    .version = step.fence,
                    .value = {}});
  return engine::fence_passed{.before = seen ? seen->version : 0};
}

result<engine::answer> group_writer::answer(const engine::find_lock& what) {
  const engine::lock_state state = lock_state_of(what.key);
  return state.holders.empty() ? std::optional<engine::lock_info>()
                               : std::optional(state.describe(what.key));
}

result<engine::answer> group_writer::answer(const engine::list_lock_holders& what) {
  const engine::lock_state state = lock_state_of(what.key);
  std::vector<engine::lock_info> out;
  for (const engine::lock_holder& each : state.holders) {
    out.push_back(state.describe(what.key, each));
  }
  return out;
}

}  // namespace millrace::embedded
