#include <millrace/engine/rate_window.hpp>

#include <algorithm>

namespace millrace::engine {

void rate_window::rebind(rate_bound bound) {
  bound_ = bound;
  if (count_ > bound.limit) {
    const std::size_t dropped = count_ - bound.limit;
    first_ = (first_ + dropped) % ring_.size();
    count_ -= dropped;
  }
  relocate(count_);
}

bool rate_window::allows(timestamp now) const noexcept { return next_at(now) <= now; }

void rate_window::record(timestamp now) {
  if (bound_.limit == 0) return;
  drop_outdated(now);
  if (count_ == bound_.limit) {
    first_ = (first_ + 1) % ring_.size();
    --count_;
  }
  if (count_ == ring_.size()) {
    relocate(std::min<std::size_t>(bound_.limit, std::max<std::size_t>(4, count_ * 2)));
  }
  ring_[(first_ + count_) % ring_.size()] = now;
  ++count_;
}

timestamp rate_window::next_at(timestamp now) const noexcept {
  if (bound_.limit == 0 || count_ < bound_.limit) return now;
  return std::max(now, nth(0) + bound_.per);
}

bool rate_window::idle(timestamp now) const noexcept {
  return count_ == 0 || nth(count_ - 1) + bound_.per <= now;
}

timestamp rate_window::nth(std::size_t i) const noexcept {
  return ring_[(first_ + i) % ring_.size()];
}

void rate_window::drop_outdated(timestamp now) noexcept {
  while (count_ > 0 && nth(0) + bound_.per <= now) {
    first_ = (first_ + 1) % ring_.size();
    --count_;
  }
}

void rate_window::relocate(std::size_t capacity) {
  std::vector<timestamp> grown(capacity);
  for (std::size_t i = 0; i < count_; ++i) grown[i] = nth(i);
  ring_ = std::move(grown);
  first_ = 0;
}

}  // namespace millrace::engine
