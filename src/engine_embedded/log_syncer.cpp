#include "log_syncer.hpp"

#include <pthread.h>

#include <utility>

namespace millrace::embedded {

log_syncer::log_syncer(sync_call sync, std::function<void(const error&)> failed,
                       std::function<void()> settled)
    : sync_(std::move(sync)),
      failed_(std::move(failed)),
      settled_(std::move(settled)),
      thread_([this] { run(); }) {
  ::pthread_setname_np(thread_.native_handle(), "mr-sync");
}

log_syncer::~log_syncer() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  added_.notify_one();
  thread_.join();
}

void log_syncer::add(when condition, where place, answers give) {
  std::unique_lock lock(mutex_);
  if (place == where::here && waiting_.empty() && !busy_) {
    busy_ = true;
    lock.unlock();
    here_.push_back({condition, std::move(give)});
    settle(here_);
    lock.lock();
    busy_ = false;
    return;
  }
  waiting_.push_back({condition, std::move(give)});
  lock.unlock();
  added_.notify_one();
  if (place == where::apart_at_once) std::this_thread::yield();
}

bool log_syncer::idle() {
  const std::lock_guard lock(mutex_);
  return !busy_ && waiting_.empty();
}

bool log_syncer::wait_for_room() {
  std::unique_lock lock(mutex_);
  taken_.wait(lock, [this] { return waiting_.empty(); });
  return busy_;
}

bool log_syncer::drain() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return waiting_.empty() && !busy_; });
  return !broken_;
}

void log_syncer::settle(std::vector<group>& groups) {
  bool sync = false;
  for (const group& each : groups) sync = sync || each.condition == when::synced;
  const bool was_broken = broken_.has_value();
  if (sync && !broken_) {
    if (result<void> synced = sync_(); !synced) broken_ = std::move(synced.error());
  }
  for (group& each : groups) each.give(broken_ ? &*broken_ : nullptr);
  groups.clear();
  if (broken_ && !was_broken) failed_(*broken_);
}

void log_syncer::run() {
  std::vector<group> groups;
  std::unique_lock lock(mutex_);
  while (true) {
    added_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    std::swap(groups, waiting_);
    busy_ = true;
    lock.unlock();
    taken_.notify_one();
    settle(groups);
    lock.lock();
    busy_ = false;
    done_.notify_one();
    lock.unlock();
    settled_();
    lock.lock();
  }
}

}  // namespace millrace::embedded
