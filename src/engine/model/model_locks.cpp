#include "model_state.hpp"

#include <utility>

namespace millrace::model {

const engine::lock_state& model_state::state_of(const engine::lock_key& key) const {
  const auto at = locks_.find(key);
  return at == locks_.end() ? engine::free_lock() : at->second;
}

model_state::refused model_state::check(const engine::acquire_lock& step, plan& with) const {
  if (engine::queue_is_full(state_of(step.key), step)) return engine::too_many_waiters();
  if (locks_.contains(step.key)) return std::nullopt;
  if (locks_.size() + with.locks_added++ < engine::locks_max) return std::nullopt;
  return engine::too_many_locks();
}

engine::outcome model_state::apply(const engine::acquire_lock& step, const plan&) {
  engine::lock_state& lock = locks_[step.key];
  const bool fresh = lock.holder(step.token) == nullptr && engine::may_have(lock, step);
  const engine::lock_answer out = engine::take_lock(lock, step, fresh ? next_stamp() : 0, now_);
  settle_lock(step.key);
  return out;
}

model_state::refused model_state::check(const engine::extend_lock& step, plan&) const {
  const bool held = state_of(step.key).holder(step.token) != nullptr;
  return held ? refused() : engine::lock_lost();
}

engine::outcome model_state::apply(const engine::extend_lock& step, const plan&) {
  engine::lock_answer out = engine::prolong_lock(locks_.at(step.key), step, now_);
  settle_lock(step.key);
  return out;
}

model_state::refused model_state::check(const engine::release_lock& step, plan&) const {
  const engine::lock_state& lock = state_of(step.key);
  const bool known = lock.holder(step.token) != nullptr || lock.waiter(step.token) != nullptr;
  return known ? refused() : engine::lock_lost();
}

engine::outcome model_state::apply(const engine::release_lock& step, const plan&) {
  engine::lock_answer out = engine::drop_lock(locks_.at(step.key), step.key, step.token);
  settle_lock(step.key);
  return out;
}

model_state::refused model_state::check(const engine::pass_fence& step, plan& with) const {
  const auto at = fences_.find(step.key);
  const bool known = at != fences_.end();
  if (engine::is_stale_fence(step, known ? at->second.fence : 0, state_of(step.key), now_)) {
    return engine::stale_fence();
  }
  if (known || fences_.size() + with.fences_added++ < engine::fences_max) return std::nullopt;
  return engine::too_many_records();
}

engine::outcome model_state::apply(const engine::pass_fence& step, const plan&) {
  fence_record& kept = fences_[step.key];
  const engine::fence_passed out{.before = kept.fence};
  kept = {.fence = step.fence, .expires_at = now_ + engine::fence_kept};
  happens_at(kept.expires_at);
  return out;
}

result<engine::answer> model_state::read(const engine::find_lock& what) const {
  const engine::lock_state& lock = state_of(what.key);
  return lock.holders.empty() ? std::optional<engine::lock_info>()
                              : std::optional(lock.describe(what.key));
}

result<engine::answer> model_state::read(const engine::list_lock_holders& what) const {
  const engine::lock_state& lock = state_of(what.key);
  std::vector<engine::lock_info> out;
  for (const engine::lock_holder& each : lock.holders) {
    out.push_back(lock.describe(what.key, each));
  }
  return out;
}

void model_state::settle_lock(const engine::lock_key& key) {
  const auto at = locks_.find(key);
  for (const std::string& token : engine::call_waiters(at->second, now_)) {
    changed_topics_.push_back(engine::lock_turn_topic(key, token));
  }
  if (at->second.empty()) {
    changed_topics_.push_back(engine::lock_topic(key.project, key.resource));
    locks_.erase(at);
  } else {
    happens_at(at->second.next_end());
  }
}

void model_state::end_old_locks() {
  for (auto at = locks_.begin(); at != locks_.end();) {
    const auto each = at++;
    if (engine::expire_lock(each->second, now_)) settle_lock(engine::lock_key(each->first));
  }
}

}  // namespace millrace::model
