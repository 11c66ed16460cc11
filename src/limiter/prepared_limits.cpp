#include "limit_shares.hpp"
#include "outage_ledger.hpp"
#include "resolve.hpp"

#include <millrace/limiter/limiter.hpp>

#include <array>
#include <utility>

namespace millrace {

struct prepared_limits::state {
  struct one {
    std::shared_ptr<limit_share> share;
    std::uint64_t cost{1};
  };

  limit_shares& shares;
  std::vector<one> limits;
  const std::atomic<std::uint64_t>& changes;
  /// Of `changes` when it was made.
  std::uint64_t made_at{0};
  std::shared_ptr<std::atomic<std::uint64_t>> allowed;
};

prepared_limits::prepared_limits(std::unique_ptr<state> of) noexcept : state_(std::move(of)) {}
prepared_limits::prepared_limits(prepared_limits&&) noexcept = default;
prepared_limits& prepared_limits::operator=(prepared_limits&&) noexcept = default;
prepared_limits::~prepared_limits() = default;

bool prepared_limits::try_take() noexcept {
  state& of = *state_;
  if (of.limits.empty() || of.changes.load(std::memory_order_acquire) != of.made_at) return false;
  const std::int64_t now = of.shares.now();
  std::array<std::int64_t, engine::limit_checks_max> ends{};
  for (std::size_t i = 0; i < of.limits.size(); ++i) {
    ends[i] = of.limits[i].share->ends.load(std::memory_order_acquire);
    if (of.limits[i].share->take(of.limits[i].cost, now)) continue;
    // All or none.
    while (i-- > 0) of.shares.take_back(*of.limits[i].share, of.limits[i].cost, ends[i]);
    return false;
  }
  of.allowed->fetch_add(1, std::memory_order_relaxed);
  return true;
}

result<prepared_limits> limiter::prepare(const limit_request& what) {
  // Before the look at the policies: a change in between makes it decide nothing.
  const std::uint64_t changes = changes_.load(std::memory_order_acquire);
  auto resolved = resolve_limits(what, *settings());
  if (!resolved) return std::unexpected(std::move(resolved.error()));
  auto made = std::unique_ptr<prepared_limits::state>(new prepared_limits::state{
      .shares = *shares_, .limits = {}, .changes = changes_, .made_at = changes, .allowed = {}});
  {
    const std::lock_guard held(mutex_);
    auto& count = tried_[what.policy.empty() ? "-" : what.policy];
    if (!count) count = std::make_shared<std::atomic<std::uint64_t>>(0);
    made->allowed = count;
  }
  if (resolved->listed) return prepared_limits{std::move(made)};
  for (const wanted_limit& each : resolved->limits) {
    auto share =
        each.lease == duration{0} ? nullptr : shares_->find(what.project, each.check, each.lease);
    if (!share) {
      made->limits.clear();
      break;
    }
    made->limits.push_back({std::move(share), each.check.cost});
  }
  return prepared_limits{std::move(made)};
}

}  // namespace millrace
