#include <millrace/redis/push_buffer.hpp>

#include <iterator>
#include <utility>

namespace millrace::redis {

void push_buffer::add(const reply& push) {
  const std::lock_guard lock(mutex_);
  kept_.push_back(push);
  if (kept_.size() <= pushes_max_) return;
  kept_.pop_front();
  ++dropped_;
}

std::vector<reply> push_buffer::take() {
  std::deque<reply> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(kept_);
  }
  return {std::make_move_iterator(taken.begin()), std::make_move_iterator(taken.end())};
}

std::uint64_t push_buffer::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

}  // namespace millrace::redis
