#include <millrace/engine/limit_window.hpp>

#include <millrace/base/assert.hpp>

#include <algorithm>
#include <utility>

namespace millrace::engine {
namespace {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) noexcept { return (a + b - 1) / b; }

bucket_rate rate_of(const limit_check& what) noexcept {
  const std::optional<bucket_rate> rate = bucket_rate_of(what);
  MILLRACE_ASSERT(rate.has_value());
  return *rate;
}

// The missing units at `now`, in the units of `rate`. What has come back until now came at the rate
// of before; whole tokens are carried over into another one.
std::int64_t missing_at(const bucket_count& kept, const bucket_rate& rate, timestamp now) noexcept {
  // No more steps than empty it: the product stays exact.
  const std::int64_t most = kept.missing / kept.drain + 1;
  const std::int64_t elapsed = std::clamp<std::int64_t>((now - kept.at).count(), 0, most);
  const std::int64_t missing = std::max<std::int64_t>(kept.missing - elapsed * kept.drain, 0);
  return kept.unit == rate.unit ? missing : ceil_div(missing, kept.unit) * rate.unit;
}

limit_state state_of(std::uint64_t count, std::uint64_t most, std::uint64_t wanted) noexcept {
  return {.count = count,
          .limit = most,
          .remaining = count < most ? most - count : 0,
          .allowed = count <= most && wanted <= most - count};
}

limit_state look_at(const sliding_count& kept, const limit_check& what, std::uint64_t wanted,
                    timestamp now) {
  limit_state state = state_of(kept.count(now), what.limit, wanted);
  state.window_start = now - what.window;
  state.reset_time = std::max(kept.ends().value_or(now), now);
  if (!state.allowed) state.retry_after = kept.fits_at(what.limit - wanted, now) - now;
  return state;
}

limit_state look_at(const period_count& kept, const limit_check& what, std::uint64_t wanted,
                    timestamp now) {
  const period_count present = present_period(what, now);
  limit_state state = state_of(kept.end > now ? kept.count : 0, what.limit, wanted);
  state.window_start = present.start;
  state.reset_time = std::max(present.end, kept.end);
  if (!state.allowed) state.retry_after = kept.end - now;
  return state;
}

limit_state look_at(const bucket_count& kept, const limit_check& what, std::uint64_t wanted,
                    timestamp now) {
  const bucket_rate rate = rate_of(what);
  const std::int64_t missing = missing_at(kept, rate, now);
  const auto count = static_cast<std::uint64_t>(ceil_div(missing, rate.unit));
  limit_state state = state_of(count, size_of(what), wanted);
  state.window_start = now;
  state.reset_time = now + duration{ceil_div(missing, rate.drain)};
  const auto cost = static_cast<std::int64_t>(wanted) * rate.unit;
  const std::int64_t beyond = missing - (rate.capacity - cost);
  state.allowed = beyond <= 0;
  if (!state.allowed) state.retry_after = duration{ceil_div(beyond, rate.drain)};
  return state;
}

limit_state look_at(const permit_count& kept, const limit_check& what, std::uint64_t wanted,
                    timestamp now) {
  limit_state state = state_of(kept.count(now), what.limit, wanted);
  state.window_start = now;
  state.reset_time = std::max(kept.ends().value_or(now), now);
  if (!state.allowed) state.retry_after = kept.fits_at(what.limit - wanted, now) - now;
  return state;
}

std::ptrdiff_t charge_to(sliding_count& kept, const limit_check& what, std::uint64_t cost,
                         timestamp now, bool coarse) {
  const timestamp until =
      coarse ? sliding_part_end(what.window, now) : sliding_end(what.window, what.limit, now);
  return kept.add(cost, until, now);
}

std::ptrdiff_t charge_to(period_count& kept, const limit_check& what, std::uint64_t cost,
                         timestamp now, bool) {
  const period_count present = present_period(what, now);
  const bool counts = kept.end > now;
  kept = {.start = present.start,
          .end = counts ? std::max(kept.end, present.end) : present.end,
          .count = (counts ? kept.count : 0) + cost};
  return 0;
}

std::ptrdiff_t charge_to(bucket_count& kept, const limit_check& what, std::uint64_t cost,
                         timestamp now, bool) {
  const bucket_rate rate = rate_of(what);
  const std::int64_t missing =
      missing_at(kept, rate, now) + static_cast<std::int64_t>(cost) * rate.unit;
  kept = {.at = now, .unit = rate.unit, .missing = missing, .drain = rate.drain};
  return 0;
}

// Permits are taken with their numbers, and released by them.
std::ptrdiff_t charge_to(permit_count&, const limit_check&, std::uint64_t, timestamp, bool) {
  return 0;
}

std::ptrdiff_t give_back_to(permit_count&, const limit_check&, std::optional<timestamp>,
                            timestamp) {
  return 0;
}

std::ptrdiff_t give_back_to(sliding_count& kept, const limit_check& what,
                            std::optional<timestamp> taken_at, timestamp now) {
  if (taken_at && *taken_at + what.window <= now) return 0;
  return kept.give_back(what.cost, now);
}

std::ptrdiff_t give_back_to(period_count& kept, const limit_check& what,
                            std::optional<timestamp> taken_at, timestamp now) {
  if (kept.end <= now || (taken_at && *taken_at < present_period(what, now).start)) return 0;
  kept.count -= std::min(kept.count, what.cost);
  return 0;
}

std::ptrdiff_t give_back_to(bucket_count& kept, const limit_check& what, std::optional<timestamp>,
                            timestamp now) {
  const bucket_rate rate = rate_of(what);
  const std::int64_t missing = missing_at(kept, rate, now);
  const auto most = static_cast<std::uint64_t>(ceil_div(missing, rate.unit));
  const auto back = static_cast<std::int64_t>(std::min(what.cost, most)) * rate.unit;
  kept = {.at = now,
          .unit = rate.unit,
          .missing = std::max<std::int64_t>(missing - back, 0),
          .drain = rate.drain};
  return 0;
}

}  // namespace

// ---- a sliding window

std::size_t sliding_count::first_live(timestamp now) const noexcept {
  const auto begin = moments_.begin() + static_cast<std::ptrdiff_t>(first_);
  const auto at = std::ranges::upper_bound(begin, moments_.end(), now, {}, &moment::until);
  return static_cast<std::size_t>(at - moments_.begin());
}

std::uint64_t sliding_count::count(timestamp now) const noexcept {
  if (moments_.empty()) return 0;
  const std::size_t first = first_live(now);
  return moments_.back().total - (first == first_ ? gone_ : moments_[first - 1].total);
}

std::optional<timestamp> sliding_count::ends() const noexcept {
  if (moments_.size() == first_) return std::nullopt;
  return moments_.back().until;
}

timestamp sliding_count::fits_at(std::uint64_t most, timestamp now) const noexcept {
  if (count(now) <= most) return now;
  // The first whose going leaves no more than `most`.
  const std::uint64_t total = moments_.back().total - most;
  const auto begin = moments_.begin() + static_cast<std::ptrdiff_t>(first_);
  const auto at = std::ranges::lower_bound(begin, moments_.end(), total, {}, &moment::total);
  MILLRACE_ASSERT(at != moments_.end());
  return at->until;
}

void sliding_count::drop_old(timestamp now) {
  const std::size_t first = first_live(now);
  if (first > first_) gone_ = moments_[first - 1].total;
  first_ = first;
  if (first_ == moments_.size()) {
    moments_.clear();
    first_ = 0;
    gone_ = 0;
  } else if (first_ > moments_.size() / 2) {
    moments_.erase(moments_.begin(), moments_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

std::ptrdiff_t sliding_count::add(std::uint64_t cost, timestamp until, timestamp now) {
  const auto before = static_cast<std::ptrdiff_t>(moments());
  drop_old(now);
  const std::uint64_t total = (moments_.empty() ? gone_ : moments_.back().total) + cost;
  // A limit that was larger counted by sub-windows: what comes later goes no sooner.
  if (!moments_.empty() && moments_.back().until >= until) {
    moments_.back().total = total;
  } else {
    moments_.push_back({until, total});
  }
  return static_cast<std::ptrdiff_t>(moments()) - before;
}

std::ptrdiff_t sliding_count::give_back(std::uint64_t cost, timestamp now) {
  const auto before = static_cast<std::ptrdiff_t>(moments());
  drop_old(now);
  gone_ += std::min(cost, count(now));
  while (first_ < moments_.size() && moments_[first_].total <= gone_) ++first_;
  if (first_ == moments_.size()) {
    moments_.clear();
    first_ = 0;
    gone_ = 0;
  }
  return static_cast<std::ptrdiff_t>(moments()) - before;
}

// ---- any count

period_count present_period(const limit_check& what, timestamp now) noexcept {
  if (what.algorithm == limit_algorithm::calendar) return {what.period_start, what.period_end, 0};
  const timestamp start = from_micros(to_micros(now) / what.window.count() * what.window.count());
  return {start, start + what.window, 0};
}

limit_count::limit_count(limit_algorithm how) {
  if (how == limit_algorithm::token_bucket) {
    count_.emplace<bucket_count>();
  } else if (how == limit_algorithm::concurrency) {
    count_.emplace<permit_count>();
  } else if (how != limit_algorithm::sliding) {
    count_.emplace<period_count>();
  }
}

limit_state limit_count::look(const limit_check& what, std::uint64_t wanted, timestamp now) const {
  return std::visit([&](const auto& kept) { return look_at(kept, what, wanted, now); }, count_);
}

std::ptrdiff_t limit_count::charge(const limit_check& what, std::uint64_t cost, timestamp now,
                                   bool coarse) {
  return std::visit([&](auto& kept) { return charge_to(kept, what, cost, now, coarse); }, count_);
}

std::ptrdiff_t limit_count::give_back(const limit_check& what, std::optional<timestamp> taken_at,
                                      timestamp now) {
  return std::visit([&](auto& kept) { return give_back_to(kept, what, taken_at, now); }, count_);
}

std::optional<timestamp> limit_count::ends() const {
  if (const auto* sliding = std::get_if<sliding_count>(&count_)) return sliding->ends();
  if (const auto* permits = std::get_if<permit_count>(&count_)) return permits->ends();
  if (const auto* period = std::get_if<period_count>(&count_)) {
    return period->count > 0 ? std::optional(period->end) : std::nullopt;
  }
  const auto& bucket = std::get<bucket_count>(count_);
  if (bucket.missing == 0) return std::nullopt;
  return bucket.at + duration{ceil_div(bucket.missing, bucket.drain)};
}

std::size_t limit_count::moments() const noexcept {
  const auto* sliding = std::get_if<sliding_count>(&count_);
  return sliding != nullptr ? sliding->moments() : 0;
}

}  // namespace millrace::engine
