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

read_decision decide_read(const fill_options& with, std::optional<entry_times> entry, timestamp now,
                          double chance) noexcept {
  if (!entry) return read_decision::load;
  if (now >= entry->expires_at) {
    return now < entry->expires_at + with.stale_while_revalidate ? read_decision::stale_and_renew
                                                                 : read_decision::load;
  }
  const auto life = static_cast<double>((entry->expires_at - entry->created_at).count());
  const auto lived = static_cast<double>((now - entry->created_at).count());
  const bool renews = (with.ahead > 0 && lived >= with.ahead * life) ||
                      (with.early > 0 && renews_early(*entry, now, chance, with.early));
  return renews ? read_decision::fresh_and_renew : read_decision::fresh;
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

duration ttl_for(const fill_options& with, duration otherwise, std::uint64_t accesses,
                 double chance) noexcept {
  duration ttl = with.ttl == duration{0} ? otherwise : with.ttl;
  if (with.adaptive) ttl = adapted_ttl(*with.adaptive, accesses);
  return with.jitter > 0 ? jittered_ttl(ttl, with.jitter, chance) : ttl;
}

duration kept_after_expiry(const fill_options& with) noexcept {
  return std::max(with.stale_while_revalidate, with.stale_for);
}

}  // namespace millrace::cache
