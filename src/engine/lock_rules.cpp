#include <millrace/engine/lock_rules.hpp>

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace millrace::engine {
namespace {

constexpr std::array<std::string_view, 2> mode_words{"exclusive", "shared"};

// Who holds a resource, or has a place among its holders kept.
struct room {
  std::size_t taken{0};
  bool alone{false};

  [[nodiscard]] bool takes(lock_mode mode, std::uint32_t permits) const {
    if (mode == lock_mode::exclusive) return taken == 0;
    const std::size_t most = permits == 0 ? lock_holders_max : permits;
    return !alone && taken < most;
  }
  void take(lock_mode mode) {
    ++taken;
    alone = alone || mode == lock_mode::exclusive;
  }
};

room room_of(const lock_state& of) {
  room out;
  for (const lock_holder& each : of.holders) out.take(each.mode);
  return out;
}

duration length_of_turn(std::uint32_t turn) {
  duration out = lock_turn;
  for (; turn > 1 && out > lock_turn_min; --turn) out /= 2;
  return std::max<duration>(out, lock_turn_min);
}

lock_info unheld(const lock_key& key, const lock_state& of) {
  lock_info out{.key = key, .owner = {}, .holders = 0};
  out.waiters = static_cast<std::uint32_t>(of.waiters.size());
  if (of.waiters.empty()) return out;
  out.mode = of.waiters.front().mode;
  out.expires_at = of.waiters.front().until;
  return out;
}

}  // namespace

std::string_view to_string(lock_mode mode) noexcept {
  return mode_words[static_cast<std::size_t>(mode)];
}

std::optional<lock_mode> parse_lock_mode(std::string_view text) noexcept {
  for (std::size_t i = 0; i < mode_words.size(); ++i) {
    if (mode_words[i] == text) return static_cast<lock_mode>(i);
  }
  return std::nullopt;
}

topic lock_turn_topic(const lock_key& key, std::string_view token) {
  // No resource has a line feed in it.
  return keyed_topic(topic::kind::lock, key.project, key.resource + '\n' + std::string(token));
}

const lock_holder* lock_state::holder(std::string_view token) const {
  const auto at = std::ranges::find(holders, token, &lock_holder::token);
  return at == holders.end() ? nullptr : &*at;
}

const lock_waiter* lock_state::waiter(std::string_view token) const {
  const auto at = std::ranges::find(waiters, token, &lock_waiter::token);
  return at == waiters.end() ? nullptr : &*at;
}

std::uint64_t lock_state::exclusive_fence() const noexcept {
  const bool alone = !holders.empty() && holders.front().mode == lock_mode::exclusive;
  return alone ? holders.front().fence : 0;
}

timestamp lock_state::next_end() const {
  timestamp next = timestamp::max();
  for (const lock_holder& each : holders) next = std::min(next, each.expires_at);
  for (const lock_waiter& each : waiters) next = std::min(next, each.until);
  return next;
}

lock_info lock_state::describe(const lock_key& key, const lock_holder& one) const {
  return {.key = key,
          .owner = one.owner,
          .fence = one.fence,
          .acquired_at = one.acquired_at,
          .expires_at = one.expires_at,
          .mode = one.mode,
          .holders = static_cast<std::uint32_t>(holders.size()),
          .waiters = static_cast<std::uint32_t>(waiters.size())};
}

lock_info lock_state::describe(const lock_key& key) const {
  if (holders.empty()) return unheld(key, *this);
  return describe(key, *std::ranges::min_element(holders, {}, &lock_holder::expires_at));
}

const lock_state& free_lock() noexcept {
  static const lock_state none;
  return none;
}

bool may_have(const lock_state& of, const acquire_lock& step) {
  if (of.holder(step.token) != nullptr) return true;
  room left = room_of(of);
  for (const lock_waiter& each : of.waiters) {
    if (each.token == step.token) break;
    if (!left.takes(each.mode, each.permits)) return false;
    left.take(each.mode);
  }
  return left.takes(step.mode, step.permits);
}

bool queue_is_full(const lock_state& of, const acquire_lock& step) {
  return step.queue > duration{0} && of.waiters.size() >= lock_waiters_max &&
         of.waiter(step.token) == nullptr && !may_have(of, step);
}

lock_answer take_lock(lock_state& of, const acquire_lock& step, std::uint64_t fence,
                      timestamp now) {
  if (const lock_holder* held = of.holder(step.token)) {
    return {.granted = true, .lock = of.describe(step.key, *held)};
  }
  const bool granted = may_have(of, step);
  const auto place = std::ranges::find(of.waiters, step.token, &lock_waiter::token);
  if (granted) {
    if (place != of.waiters.end()) of.waiters.erase(place);
    of.holders.push_back({.token = step.token,
                          .owner = step.owner,
                          .mode = step.mode,
                          .fence = fence,
                          .acquired_at = now,
                          .expires_at = now + step.ttl});
    return {.granted = true, .lock = of.describe(step.key, of.holders.back())};
  }
  lock_answer out{.granted = false, .queued = step.queue > duration{0}};
  if (out.queued) {
    out.ahead = static_cast<std::uint32_t>(place - of.waiters.begin());
    if (place == of.waiters.end()) of.waiters.push_back({.token = step.token});
    lock_waiter& own = of.waiters[out.ahead];
    own.mode = step.mode;
    own.permits = step.permits;
    own.until = now + step.queue;
    own.turn = 0;
  } else if (place != of.waiters.end()) {
    of.waiters.erase(place);
  }
  out.lock = of.describe(step.key);
  return out;
}

lock_answer drop_lock(lock_state& of, const lock_key& key, std::string_view token) {
  const auto at = std::ranges::find(of.holders, token, &lock_holder::token);
  lock_answer out;
  if (at != of.holders.end()) {
    out.lock = of.describe(key, *at);
    of.holders.erase(at);
  } else {
    out.lock = of.describe(key);
    std::erase_if(of.waiters, [&](const lock_waiter& each) { return each.token == token; });
  }
  return out;
}

lock_answer prolong_lock(lock_state& of, const extend_lock& step, timestamp now) {
  const auto at = std::ranges::find(of.holders, step.token, &lock_holder::token);
  if (at == of.holders.end()) return {};
  if (step.ttl > duration{0}) at->expires_at = now + step.ttl;
  return {.granted = true, .lock = of.describe(step.key, *at)};
}

bool expire_lock(lock_state& of, timestamp now) {
  for (const lock_waiter& each : of.waiters) {
    if (each.until <= now) of.missed = std::max(of.missed, each.turn);
  }
  const auto ended =
      std::erase_if(of.holders, [&](const lock_holder& each) { return each.expires_at <= now; });
  const auto left =
      std::erase_if(of.waiters, [&](const lock_waiter& each) { return each.until <= now; });
  return ended + left > 0;
}

std::vector<std::string> call_waiters(lock_state& of, timestamp now) {
  std::vector<std::string> out;
  room left = room_of(of);
  const std::uint32_t turn = std::exchange(of.missed, 0) + 1;
  for (lock_waiter& each : of.waiters) {
    if (!left.takes(each.mode, each.permits)) break;
    left.take(each.mode);
    if (each.turn != 0) continue;
    each.turn = turn;
    each.until = now + length_of_turn(turn);
    out.push_back(each.token);
  }
  return out;
}

bool is_stale_fence(const pass_fence& step, std::uint64_t seen, const lock_state& of,
                    timestamp now) noexcept {
  if (step.fence < seen || step.fence < of.exclusive_fence()) return true;
  // Fences are moments at least: one from before all that is remembered may be of anybody.
  return seen == 0 && static_cast<std::int64_t>(step.fence) < to_micros(now - fence_kept);
}

error too_many_waiters() {
  return {errc::exhausted, "too_many_waiters",
          "As many wait for the lock as can: try again a little later.", "",
          std::chrono::seconds{1}};
}

error stale_fence() {
  return {errc::conflict, "stale_fence",
          "Somebody has held the lock since this fence was given: what was to be written is "
          "out of date.",
          "fence", std::nullopt};
}

}  // namespace millrace::engine
