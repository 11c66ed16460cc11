#include "connection.hpp"
#include "server_core.hpp"

#include <chrono>
#include <utility>

namespace millrace::http {

void connection_registry::add(connection& one) {
  const std::lock_guard lock(mutex_);
  open_.insert(&one);
}

void connection_registry::remove(connection& one) {
  std::function<void()> empty;
  {
    const std::lock_guard lock(mutex_);
    open_.erase(&one);
    if (open_.empty()) empty = std::exchange(empty_, nullptr);
  }
  if (empty) empty();
}

std::size_t connection_registry::size() const {
  const std::lock_guard lock(mutex_);
  return open_.size();
}

void connection_registry::cut_late() const {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  for (connection* one : open_) one->cut_if_late(now);
}

void connection_registry::wake_waiting() const {
  const std::lock_guard lock(mutex_);
  for (connection* one : open_) one->wake_if_waiting();
}

void connection_registry::cut_all() const {
  const std::lock_guard lock(mutex_);
  for (connection* one : open_) one->cut();
}

void connection_registry::on_empty(std::function<void()> empty) {
  {
    const std::lock_guard lock(mutex_);
    if (!open_.empty()) {
      empty_ = std::move(empty);
      return;
    }
  }
  empty();
}

}  // namespace millrace::http
