#include <millrace/worker/concurrency_policy.hpp>

#include <millrace/base/assert.hpp>

#include <algorithm>

namespace millrace {

concurrency_policy::concurrency_policy(concurrency_range range) noexcept
    : range_(range), current_(range.min) {
  MILLRACE_ASSERT(range.min >= 1 && range.min <= range.max);
}

std::uint32_t concurrency_policy::observe(backlog_sign sign, time_point now) noexcept {
  const bool more_is_there = !sign.waited && sign.asked > 0 && sign.got == sign.asked;
  if (more_is_there) {
    busy_at_ = now;
    current_ = current_ > range_.max / 2 ? range_.max : current_ * 2;
  } else if (now - busy_at_ >= range_.calm) {
    busy_at_ = now;
    current_ = std::max(range_.min, current_ / 2);
  }
  return current_;
}

}  // namespace millrace
