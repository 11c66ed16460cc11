#include <millrace/cache/refresh_policy.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace millrace::cache {

namespace {

constexpr std::chrono::milliseconds ttl_min{1};
// The smallest chance that is told apart: the earliest renewal is 41 load times ahead.
constexpr double chance_min = 1e-18;

}  // namespace

bool renews_early(const entry_times& entry, timestamp now, double chance,
                  double eagerness) noexcept {
  if (now >= entry.expires_at) return true;
  const double left = static_cast<double>((entry.expires_at - now).count());
  const double ahead = static_cast<double>(entry.load_time.count()) * eagerness *
                       -std::log(std::clamp(chance, chance_min, 1.0));
  return ahead >= left;
}

read_decision decide_read(const family_spec& of, std::optional<entry_times> entry, timestamp now,
                          double chance) noexcept {
  if (!entry) return read_decision::load;
  if (now < entry->expires_at) {
    return renews_early(*entry, now, chance) ? read_decision::fresh_and_renew
                                             : read_decision::fresh;
  }
  return now < entry->expires_at + of.stale_while_revalidate ? read_decision::stale_and_renew
                                                             : read_decision::load;
}

read_decision decide_failed(const family_spec& of, std::optional<entry_times> entry,
                            timestamp now) noexcept {
  if (!entry) return read_decision::load;
  if (now < entry->expires_at) return read_decision::fresh;
  return now < entry->expires_at + kept_after_expiry(of) ? read_decision::stale
                                                         : read_decision::load;
}

read_decision decide_outage(const family_spec& of, std::optional<entry_times> entry, timestamp now,
                            timestamp lost_at) noexcept {
  switch (of.outage) {
    case outage_rule::bypass: return read_decision::load;
    case outage_rule::refuse: return read_decision::refuse;
    case outage_rule::serve_stale: break;
  }
  if (!entry || now >= lost_at + of.outage_for) return read_decision::load;
  // What was over already when the store was lost is not brought back.
  return lost_at < entry->expires_at + kept_after_expiry(of) ? read_decision::stale
                                                             : read_decision::load;
}

duration adapted_ttl(const adaptive_ttl& by, std::uint64_t accesses) noexcept {
  const auto step = std::ranges::find_if(
      by.steps, [&](const adaptive_ttl::step& one) { return accesses > one.above; });
  return step == by.steps.end() ? by.otherwise : step->ttl;
}

duration jittered_ttl(duration ttl, double jitter, double chance) noexcept {
  const double share = std::clamp(jitter, 0.0, 1.0) * std::clamp(chance, 0.0, 1.0);
  const auto less = static_cast<std::int64_t>(static_cast<double>(ttl.count()) * share);
  return std::max<duration>(ttl_min, ttl - duration{less});
}

duration ttl_for(const family_spec& of, duration otherwise, std::uint64_t accesses,
                 double chance) noexcept {
  const duration ttl =
      of.adaptive ? adapted_ttl(*of.adaptive, accesses) : of.ttl.value_or(otherwise);
  return jittered_ttl(ttl, of.jitter, chance);
}

duration kept_after_expiry(const family_spec& of) noexcept {
  return std::max(of.stale_while_revalidate, of.stale_if_error);
}

}  // namespace millrace::cache
