#include "model_state.hpp"

#include <algorithm>
#include <utility>

namespace millrace::model {

model_store::model_store(options with)
    : clock_(with.clock != nullptr ? *with.clock : system_clock_),
      state_(std::make_unique<model_state>(with)) {
  state_->advance(clock_.now());
  if (clock_.ticks()) timer_ = std::thread([this] { watch_due_times(); });
}

model_store::~model_store() {
  {
    const std::lock_guard held(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (timer_.joinable()) timer_.join();
}

engine::store_traits model_store::traits() const noexcept {
  return {.engine = "model", .strongest = engine::durability::memory, .async_window = {}};
}

void model_store::submit(std::vector<engine::transaction> batch, commit_handler done) {
  std::vector<engine::commit_result> results;
  results.reserve(batch.size());
  std::unique_lock held(mutex_);
  state_->advance(clock_.now());
  const timestamp before = state_->next_event();
  for (const engine::transaction& one : batch) results.push_back(state_->commit(one));
  if (state_->next_event() < before) changed_.notify_all();
  tell_hints(std::move(held));
  done(std::move(results));
}

void model_store::ask(engine::query what, answer_handler done) {
  std::unique_lock held(mutex_);
  state_->advance(clock_.now());
  result<engine::answer> answer = state_->ask(what);
  tell_hints(std::move(held));
  done(std::move(answer));
}

void model_store::restart(const std::optional<engine::queue_settings>& defaults) {
  const std::lock_guard held(mutex_);
  if (defaults) state_->set_defaults(*defaults);
  state_->restart(clock_.now());
  changed_.notify_all();
}

void model_store::tell_hints(std::unique_lock<std::mutex> held) {
  const std::vector<hint> all = state_->take_hints();
  held.unlock();
  for (const hint& one : all) hints_.notify(one.what, one.count);
}

void model_store::watch_due_times() {
  std::unique_lock held(mutex_);
  while (!closing_) {
    state_->advance(clock_.now());
    const timestamp next = state_->next_event();
    tell_hints(std::move(held));
    held = std::unique_lock(mutex_);
    // Something may have come before `next` while the lock was free; then it is not waited for.
    if (closing_ || state_->next_event() < next) continue;
    const duration left = std::min<duration>(next - clock_.now(), std::chrono::hours{1});
    changed_.wait_for(held, std::max<duration>(left, std::chrono::milliseconds{1}));
  }
}

}  // namespace millrace::model
