#include <millrace/engine/limit_window.hpp>

#include <algorithm>
#include <utility>

namespace millrace::engine {

std::uint64_t permit_count::count(timestamp now) const noexcept {
  std::uint64_t sum = 0;
  for (const one& each : held_) sum += each.until > now ? each.cost : 0;
  return sum;
}

std::optional<timestamp> permit_count::ends() const noexcept {
  const auto last = std::ranges::max_element(held_, {}, &one::until);
  return last == held_.end() ? std::nullopt : std::optional(last->until);
}

timestamp permit_count::fits_at(std::uint64_t most, timestamp now) const {
  std::vector<one> by_end = held_;
  std::ranges::sort(by_end, {}, &one::until);
  std::uint64_t left = count(now);
  timestamp at = now;
  for (const one& each : by_end) {
    if (left <= most) break;
    if (each.until <= now) continue;
    left -= each.cost;
    at = each.until;
  }
  return at;
}

bool permit_count::holds(std::uint64_t permit, timestamp now) const noexcept {
  const auto at = std::ranges::find(held_, permit, &one::permit);
  return at != held_.end() && at->until > now;
}

std::ptrdiff_t permit_count::add(std::uint64_t permit, std::uint64_t cost, timestamp until,
                                 timestamp now) {
  const auto before = static_cast<std::ptrdiff_t>(held_.size());
  std::erase_if(held_, [now](const one& each) { return each.until <= now; });
  held_.push_back({permit, cost, until});
  return static_cast<std::ptrdiff_t>(held_.size()) - before;
}

void permit_count::renew(std::uint64_t permit, timestamp until) noexcept {
  const auto at = std::ranges::find(held_, permit, &one::permit);
  if (at != held_.end()) at->until = until;
}

std::ptrdiff_t permit_count::release(std::uint64_t permit) {
  const auto gone = std::erase_if(held_, [=](const one& each) { return each.permit == permit; });
  return -static_cast<std::ptrdiff_t>(gone);
}

}  // namespace millrace::engine
