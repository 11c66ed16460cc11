#include "log_syncer.hpp"

#include <pthread.h>

#include <optional>
#include <utility>

namespace millrace::embedded {

log_syncer::log_syncer(sync_call sync, std::function<void(const error&)> failed)
    : sync_(std::move(sync)), failed_(std::move(failed)), thread_([this] { run(); }) {
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

void log_syncer::add(when condition, answers give) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({condition, std::move(give)});
  }
  added_.notify_one();
}

void log_syncer::wait_for_room() {
  std::unique_lock lock(mutex_);
  taken_.wait(lock, [this] { return waiting_.empty(); });
}

bool log_syncer::drain() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return waiting_.empty() && !busy_; });
  return !broken_;
}

bool log_syncer::idle() {
  const std::lock_guard lock(mutex_);
  return !busy_ && waiting_.empty();
}

void log_syncer::run() {
  std::optional<error> broken;
  std::vector<group> groups;
  std::unique_lock lock(mutex_);
  while (true) {
    added_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    std::swap(groups, waiting_);
    busy_ = true;
    lock.unlock();
    taken_.notify_one();

    bool sync = false;
    for (const group& each : groups) sync = sync || each.condition == when::synced;
    const bool was_broken = broken.has_value();
    if (sync && !broken) {
      if (result<void> synced = sync_(); !synced) broken = std::move(synced.error());
    }
    for (group& each : groups) each.give(broken ? &*broken : nullptr);
    groups.clear();
    if (broken && !was_broken) failed_(*broken);

    lock.lock();
    busy_ = false;
    broken_ = broken.has_value();
    done_.notify_one();
  }
}

}  // namespace millrace::embedded
