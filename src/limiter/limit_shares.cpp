#include "limit_shares.hpp"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

std::string key_of(const std::string& project, const engine::limit_check& check) {
  return project + '\0' + engine::limit_name(check);
}

// The period ended some time ago, and nothing of it is owed to anybody.
bool is_idle(const limit_share& what, std::int64_t now) {
  return what.left.load() == 0 && what.spare == 0 && now - what.look > 2 * what.life.count();
}

}  // namespace

bool limit_share::take(std::uint64_t cost, std::int64_t now) noexcept {
  asked.fetch_add(cost, std::memory_order_relaxed);
  if (now >= ends.load(std::memory_order_acquire)) return false;
  const auto wanted = static_cast<std::int64_t>(cost);
  std::int64_t there = left.load(std::memory_order_relaxed);
  while (there >= wanted) {
    if (left.compare_exchange_weak(there, there - wanted, std::memory_order_acq_rel)) return true;
  }
  return false;
}

void limit_share::put_aside() noexcept {
  const std::int64_t unused = left.exchange(0, std::memory_order_acq_rel);
  if (unused <= 0) return;
  if (spare == 0) spare_at = charged_at;
  spare += static_cast<std::uint64_t>(unused);
}

std::shared_ptr<limit_share> limit_shares::find(const std::string& project,
                                                const engine::limit_check& check, duration life) {
  // A hundredth, say, of the window is a hundredth of the limit, where it is used evenly.
  const auto most = static_cast<std::uint64_t>(
      static_cast<double>(engine::size_of(check)) * static_cast<double>(life.count()) /
      static_cast<double>(std::max<std::int64_t>(check.window.count(), life.count())));
  if (most == 0) return nullptr;
  const std::lock_guard held(mutex_);
  std::string key = key_of(project, check);
  const auto at = shares_.find(key);
  if (at != shares_.end()) {
    at->second->most = most;
    at->second->check.limit = check.limit;
    at->second->check.burst = check.burst;
    return at->second;
  }
  if (shares_.size() >= shares_max && !make_room()) return nullptr;
  auto made = std::make_shared<limit_share>();
  made->project = project;
  made->check = check;
  made->life = life;
  made->most = most;
  made->look = now();
  shares_.emplace(std::move(key), made);
  return made;
}

bool limit_shares::make_room() {
  const std::int64_t at = now();
  // What a prepared request holds stays, or it would hold one that nobody fills any more.
  std::erase_if(shares_, [&](const auto& each) {
    return each.second.use_count() == 1 && is_idle(*each.second, at);
  });
  return shares_.size() < shares_max;
}

std::uint64_t limit_shares::wanted(limit_share& of, std::uint64_t cost) {
  const std::lock_guard held(mutex_);
  const std::int64_t at = now();
  const std::uint64_t asked = of.asked.load(std::memory_order_relaxed);
  std::uint64_t lately = asked + of.asked_before;
  if (at - of.look >= of.life.count()) {
    const bool just_before = at - of.look < 2 * of.life.count();
    of.asked_before = just_before ? asked : 0;
    lately = of.asked_before + cost;
    of.asked.fetch_sub(asked, std::memory_order_relaxed);
    of.look = at;
  }
  const std::uint64_t size = engine::size_of(of.check);
  const std::uint64_t extra =
      std::min({of.most, lately > cost ? lately - cost : 0, size > cost ? size - cost : 0});
  // Near the end of a limit each call asks, so that what is left is nobody's reserve.
  const bool scarce = of.known.limit > 0 && of.known.remaining < 4 * (extra + cost);
  const bool is_fresh = at - of.known_since < of.life.count();
  return scarce && is_fresh ? 0 : extra;
}

void limit_shares::put(limit_share& into, std::uint64_t extra, std::int64_t asked_at,
                       const engine::limit_state& told, timestamp told_at) {
  const std::lock_guard held(mutex_);
  into.known = told;
  into.known_since = asked_at;
  if (extra == 0) return;
  // What was charged before is good for less long: it is not mixed with this.
  into.put_aside();
  const bool by_windows = into.check.algorithm == engine::limit_algorithm::fixed;
  const duration good = by_windows ? std::min(into.life, told.reset_time - told_at) : into.life;
  into.charged_at = told_at;
  into.ends.store(asked_at + good.count(), std::memory_order_release);
  into.left.store(static_cast<std::int64_t>(extra), std::memory_order_release);
}

void limit_shares::take_back(limit_share& into, std::uint64_t cost, std::int64_t its_end) {
  const std::lock_guard held(mutex_);
  if (into.ends.load() == its_end) {
    into.left.fetch_add(static_cast<std::int64_t>(cost));
    return;
  }
  // A later one has taken its place: what was charged before it counts until its window has passed.
}

engine::limit_state limit_shares::state_of(limit_share& of) {
  const std::lock_guard held(mutex_);
  engine::limit_state state = of.known;
  const auto left = static_cast<std::uint64_t>(of.left.load());
  state.count -= std::min(state.count, left);
  state.remaining = std::min(state.limit, state.remaining + left);
  state.allowed = true;
  state.retry_after = duration{0};
  return state;
}

void limit_shares::drop(const std::string& project, const engine::limit_check& check) {
  const std::lock_guard held(mutex_);
  const auto at = shares_.find(key_of(project, check));
  if (at == shares_.end()) return;
  at->second->put_aside();
  at->second->spare = 0;
}

std::vector<limit_shares::unused> limit_shares::take_unused(std::size_t most) {
  std::vector<unused> out;
  const std::lock_guard held(mutex_);
  const std::int64_t at = now();
  for (auto& [key, share] : shares_) {
    if (out.size() == most) break;
    if (at >= share->ends.load()) share->put_aside();
    // A bucket has been filled meanwhile: what came back on top would be let through once more.
    if (share->check.algorithm == engine::limit_algorithm::token_bucket) share->spare = 0;
    if (share->spare == 0) continue;
    unused one{share->project, share->check, share->spare_at};
    one.check.cost = std::exchange(share->spare, 0);
    out.push_back(std::move(one));
  }
  return out;
}

share_use::share_use(limit_shares& shares, const std::string& project,
                     std::vector<wanted_limit> limits)
    : shares_(shares), limits_(std::move(limits)), uses_(limits_.size()) {
  const std::int64_t now = shares.now();
  for (std::size_t i = 0; i < limits_.size(); ++i) {
    const wanted_limit& each = limits_[i];
    of_limit& use = uses_[i];
    if (each.lease == duration{0}) continue;
    use.share = shares.find(project, each.check, each.lease);
    if (!use.share) continue;
    use.ends = use.share->ends.load();
    use.held = use.share->take(each.check.cost, now);
    if (!use.held) use.extra = shares.wanted(*use.share, each.check.cost);
  }
}

std::vector<wanted_limit> share_use::not_held() const {
  std::vector<wanted_limit> out;
  for (std::size_t i = 0; i < limits_.size(); ++i) {
    if (uses_[i].held) continue;
    out.push_back(limits_[i]);
    out.back().check.cost += uses_[i].extra;
  }
  return out;
}

bool share_use::asks_ahead() const noexcept {
  return std::ranges::any_of(uses_, [](const of_limit& each) { return each.extra > 0; });
}

void share_use::ask_for_the_cost_alone(std::vector<wanted_limit>& asked) {
  for (of_limit& each : uses_) each.extra = 0;
  asked = not_held();
}

void share_use::give_back() {
  for (std::size_t i = 0; i < limits_.size(); ++i) {
    if (!uses_[i].held) continue;
    shares_.take_back(*uses_[i].share, limits_[i].check.cost, uses_[i].ends);
  }
}

void share_use::keep(const engine::limits_checked& done, std::int64_t asked_at) {
  std::size_t next = 0;
  for (const of_limit& each : uses_) {
    if (each.held) continue;
    const engine::limit_state& told = done.limits[next++];
    if (each.share) shares_.put(*each.share, each.extra, asked_at, told, done.at);
  }
}

engine::limits_checked share_use::whole(engine::limits_checked done) {
  std::vector<engine::limit_state> states;
  std::size_t next = 0;
  for (const of_limit& each : uses_) {
    states.push_back(each.held ? shares_.state_of(*each.share) : done.limits[next++]);
  }
  done.limits = std::move(states);
  return done;
}

}  // namespace millrace
