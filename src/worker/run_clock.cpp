#include "run_clock.hpp"

#include <millrace/worker/limits.hpp>

#include <algorithm>

namespace millrace::worker_detail {

run_limits run_limits::cut_to(duration timeout) const noexcept {
  if (timeout <= duration{0}) return *this;
  const duration margin = std::min<duration>(timeout / 10, std::chrono::seconds{1});
  const duration usable = timeout - margin;
  if (hard > duration{0} && hard <= usable) return *this;
  run_limits cut{.soft = soft, .hard = usable};
  const duration soft_max = usable * 5 / 6;
  if (soft > soft_max) cut.soft = soft_max;
  return cut;
}

run_clock::run_clock(time_point start, run_limits limits) noexcept {
  if (limits.soft > duration{0}) soft_at_ = start + limits.soft;
  if (limits.hard > duration{0}) hard_at_ = start + limits.hard;
}

void run_clock::asked(stop_reason why, time_point now, duration grace) noexcept {
  if (now + grace >= grace_ends_at_) return;
  grace_ends_at_ = now + grace;
  asked_for_ = why;
}

void run_clock::forced(time_point now) noexcept {
  soft_at_ = hard_at_ = grace_ends_at_ = time_point::max();
  abandon_at_ = now + return_grace;
}

run_clock::due run_clock::take_due(time_point now) noexcept {
  if (now >= abandon_at_) {
    abandon_at_ = time_point::max();
    return {.what = action::abandon};
  }
  if (now >= hard_at_ || now >= grace_ends_at_) {
    const stop_reason why = now >= hard_at_ ? stop_reason::hard_limit : asked_for_;
    forced(now);
    return {.what = action::force, .why = why};
  }
  if (now >= soft_at_) {
    soft_at_ = time_point::max();
    return {.what = action::ask, .why = stop_reason::soft_limit};
  }
  return {};
}

run_clock::time_point run_clock::next() const noexcept {
  return std::min({soft_at_, hard_at_, grace_ends_at_, abandon_at_});
}

}  // namespace millrace::worker_detail
