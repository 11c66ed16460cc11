#include "model_state.hpp"

#include <algorithm>
#include <utility>

namespace millrace::model {

using engine::limit_algorithm;
using engine::limit_check;
using engine::limit_state;
using engine::take_mode;

namespace {

// Wide enough for every product of limit and time.
__extension__ using wide = __int128;

// Of a bucket, in tokens times windows: what is missing goes down by the limit a microsecond.
wide missing_of(const limit_record& kept, const limit_check& what, timestamp now) {
  const wide elapsed = (now - kept.bucket_at).count();
  const wide missing =
      std::max<wide>(kept.bucket_missing - elapsed * static_cast<wide>(kept.bucket_limit), 0);
  limit_check before = what;
  before.limit = kept.bucket_limit;
  const std::int64_t unit = engine::bucket_rate_of(what).value().unit;
  if (before.limit == what.limit || engine::bucket_rate_of(before).value().unit == unit) {
    return missing;
  }
  // Another rate takes over whole tokens of what is missing.
  const wide window = what.window.count();
  return (missing + window - 1) / window * window;
}

std::int64_t rounded_up(wide a, wide b) { return static_cast<std::int64_t>((a + b - 1) / b); }

timestamp window_start(const limit_check& what, timestamp now) {
  const std::int64_t window = what.window.count();
  switch (what.algorithm) {
    case limit_algorithm::sliding: return now - what.window;
    case limit_algorithm::fixed: return now - duration{to_micros(now) % window};
    case limit_algorithm::token_bucket:
    case limit_algorithm::concurrency: return now;
    case limit_algorithm::calendar: return what.period_start;
  }
  return now;
}

limit_state look_bucket(const limit_record& kept, const limit_check& what, std::uint64_t wanted,
                        timestamp now) {
  const wide window = what.window.count();
  const wide missing = missing_of(kept, what, now);
  const std::uint64_t most = engine::size_of(what);
  limit_state state{
      .count = static_cast<std::uint64_t>(rounded_up(missing, window)),
      .limit = most,
      .window_start = now,
      .reset_time = now + duration{rounded_up(missing, static_cast<wide>(what.limit))}};
  state.remaining = most - std::min(most, state.count);
  const wide beyond = missing + wide{wanted} * window - wide{most} * window;
  state.allowed = beyond <= 0;
  if (beyond > 0) state.retry_after = duration{rounded_up(beyond, static_cast<wide>(what.limit))};
  return state;
}

// Permits that are held, by their ends.
std::vector<std::pair<timestamp, std::uint64_t>> held_permits(const limit_record& kept,
                                                              timestamp now) {
  std::vector<std::pair<timestamp, std::uint64_t>> held;
  for (const auto& [permit, one] : kept.permits) {
    if (one.first > now) held.push_back(one);
  }
  std::ranges::sort(held);
  return held;
}

limit_state look_permits(const limit_record& kept, const limit_check& what, std::uint64_t wanted,
                         timestamp now) {
  const auto held = held_permits(kept, now);
  limit_state state{.limit = what.limit, .window_start = now, .reset_time = now};
  for (const auto& [until, count] : held) state.count += count;
  if (!held.empty()) state.reset_time = held.back().first;
  state.remaining = what.limit - std::min(what.limit, state.count);
  state.allowed = state.count + wanted <= what.limit;
  std::uint64_t left = state.count;
  for (const auto& [until, count] : held) {
    if (left + wanted <= what.limit) break;
    left -= count;
    state.retry_after = until - now;
  }
  return state;
}

}  // namespace

std::uint64_t limit_record::count(timestamp now) const {
  std::uint64_t sum = 0;
  for (const auto& [until, cost] : charges) sum += until > now ? cost : 0;
  return sum;
}

const limit_record& model_state::limit_of(const std::string& project,
                                          const limit_check& what) const {
  static const limit_record nothing;
  const auto at = limit_records_.find({project, engine::limit_name(what)});
  return at == limit_records_.end() ? nothing : at->second;
}

limit_state model_state::look_at(const std::string& project, const limit_check& what,
                                 std::uint64_t wanted) const {
  const limit_record& kept = limit_of(project, what);
  if (what.algorithm == limit_algorithm::token_bucket) {
    return look_bucket(kept, what, wanted, now_);
  }
  if (what.algorithm == limit_algorithm::concurrency) {
    return look_permits(kept, what, wanted, now_);
  }
  limit_state state{.count = kept.count(now_),
                    .limit = what.limit,
                    .window_start = window_start(what, now_),
                    .reset_time = now_};
  if (what.algorithm == limit_algorithm::fixed) state.reset_time = state.window_start + what.window;
  if (what.algorithm == limit_algorithm::calendar) state.reset_time = what.period_end;
  for (const auto& [until, cost] : kept.charges)
    state.reset_time = std::max(state.reset_time, until);
  state.remaining = what.limit - std::min(what.limit, state.count);
  state.allowed = state.count + wanted <= what.limit;
  std::uint64_t left = state.count;
  for (const auto& [until, cost] : kept.charges) {
    if (until <= now_ || left + wanted <= what.limit) continue;
    left -= cost;
    state.retry_after = until - now_;
  }
  return state;
}

void model_state::charge(const std::string& project, const limit_check& what, std::uint64_t cost,
                         std::uint64_t permit) {
  limit_record& kept = limit_records_[{project, engine::limit_name(what)}];
  if (what.algorithm == limit_algorithm::concurrency) {
    kept.permits[permit] = {now_ + what.window, cost};
    return;
  }
  if (what.algorithm == limit_algorithm::token_bucket) {
    kept.bucket_missing = missing_of(kept, what, now_) + wide{cost} * what.window.count();
    kept.bucket_at = now_;
    kept.bucket_limit = what.limit;
    return;
  }
  std::erase_if(kept.charges, [this](const auto& one) { return one.first <= now_; });
  timestamp until = what.period_end;
  if (what.algorithm == limit_algorithm::sliding) {
    until = engine::sliding_end(what.window, what.limit, now_);
  } else if (what.algorithm == limit_algorithm::fixed) {
    until = window_start(what, now_) + what.window;
  }
  // None goes before one that came before it; a budget ends as a whole.
  if (!kept.charges.empty()) until = std::max(until, kept.charges.back().first);
  if (what.algorithm == limit_algorithm::calendar) {
    for (auto& [its_end, its_cost] : kept.charges) its_end = until;
  }
  kept.charges.emplace_back(until, cost);
}

void model_state::give_back(const std::string& project, const limit_check& what,
                            std::optional<timestamp> taken_at) {
  const auto at = limit_records_.find({project, engine::limit_name(what)});
  if (at == limit_records_.end()) return;
  limit_record& kept = at->second;
  if (what.algorithm == limit_algorithm::concurrency) return;
  if (what.algorithm == limit_algorithm::token_bucket) {
    const wide missing = missing_of(kept, what, now_);
    kept.bucket_missing = std::max<wide>(missing - wide{what.cost} * what.window.count(), 0);
    kept.bucket_at = now_;
    kept.bucket_limit = what.limit;
    return;
  }
  const bool slides = what.algorithm == limit_algorithm::sliding;
  const bool late =
      taken_at && (slides ? *taken_at + what.window <= now_ : *taken_at < window_start(what, now_));
  if (late) return;
  std::uint64_t left = what.cost;
  for (auto& [until, cost] : kept.charges) {
    if (until <= now_) continue;
    const std::uint64_t back = std::min(left, cost);
    cost -= back;
    left -= back;
  }
  std::erase_if(kept.charges, [](const auto& one) { return one.second == 0; });
}

model_state::refused model_state::refuse_moved(const std::vector<limit_check>& checks) const {
  for (const limit_check& each : checks) {
    if (each.algorithm != limit_algorithm::calendar) continue;
    if (each.period_start <= now_ && now_ < each.period_end) continue;
    return conflict("limit_period_moved",
                    "The store's clock is outside the period of the budget: compute it anew.");
  }
  return std::nullopt;
}

model_state::refused model_state::check(const engine::take_limits& step, plan&) const {
  if (auto moved = refuse_moved(step.checks)) return moved;
  if (!step.required) return std::nullopt;
  bool allowed = true;
  bool blocked = false;
  for (const limit_check& each : step.checks) {
    if (each.dry_run) continue;
    const std::uint64_t wanted = step.mode == take_mode::part ? 1 : each.cost;
    blocked = blocked || blocked_until(step.project, each.scope, each.id) > now_;
    allowed = allowed && look_at(step.project, each, wanted).allowed;
  }
  if (blocked) {
    return error{errc::exhausted, "limit_blocked",
                 "Whose limits these are is blocked: nothing was done.", "", std::nullopt};
  }
  if (allowed) return std::nullopt;
  return error{errc::exhausted, "limit_reached", "A limit is reached: nothing was done.", "",
               std::nullopt};
}

engine::outcome model_state::apply(const engine::take_limits& step, const plan&) {
  const bool part = step.mode == take_mode::part;
  engine::limits_checked out{.at = now_};
  std::uint64_t granted = step.checks.front().cost;
  for (const limit_check& each : step.checks) {
    limit_state state = look_at(step.project, each, part ? 1 : each.cost);
    show_block(step.project, each, state);
    if (!each.dry_run) {
      out.allowed = out.allowed && state.allowed;
      granted = std::min(granted, state.remaining);
    }
    out.limits.push_back(state);
  }
  if (step.mode == take_mode::peek) return out;
  if (!out.allowed) {
    for (std::size_t i = 0; i < step.checks.size(); ++i) {
      count_strike(step.project, step.checks[i], out.limits[i]);
    }
    return out;
  }
  if (part) out.granted = granted;
  for (std::size_t i = 0; i < step.checks.size(); ++i) {
    const limit_check& each = step.checks[i];
    const std::uint64_t cost = part ? granted : each.cost;
    if (cost > out.limits[i].remaining || out.limits[i].blocked_until > now_) continue;
    const bool permits = each.algorithm == limit_algorithm::concurrency;
    if (permits && out.permit == 0) out.permit = next_stamp();
    charge(step.project, each, cost, out.permit);
    out.limits[i] = look_at(step.project, each, 0);
  }
  return out;
}

model_state::refused model_state::check(const engine::refund_limits& step, plan&) const {
  return refuse_moved(step.checks);
}

engine::outcome model_state::apply(const engine::refund_limits& step, const plan&) {
  engine::limits_checked out{.at = now_};
  for (const limit_check& each : step.checks) {
    give_back(step.project, each, step.taken_at);
    out.limits.push_back(look_at(step.project, each, 0));
    show_block(step.project, each, out.limits.back());
  }
  return out;
}

model_state::refused model_state::check(const engine::reset_limits&, plan&) const {
  return std::nullopt;
}

engine::outcome model_state::apply(const engine::reset_limits& step, const plan&) {
  engine::limits_checked out{.at = now_};
  for (const limit_check& each : step.checks) {
    limit_records_.erase({step.project, engine::limit_name(each)});
    forget_block(step.project, each);
    out.limits.push_back(look_at(step.project, each, 0));
  }
  return out;
}

}  // namespace millrace::model
