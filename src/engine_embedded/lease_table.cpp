#include "lease_table.hpp"

#include <millrace/base/assert.hpp>

namespace millrace::embedded {

const lease* lease_table::find(std::uint64_t id) const {
  const auto at = leases_.find(id);
  return at == leases_.end() ? nullptr : &at->second;
}

void lease_table::grant(std::uint64_t id, lease what, std::uint32_t attempts) {
  what.journal_slot = journal_.take();
  changes_.push_back({what.journal_slot,
                      {.id = id,
                       .token = what.token,
                       .started_at = to_micros(what.started_at),
                       .length = what.length.count(),
                       .attempts = attempts}});
  images_.push_back({id, std::nullopt});
  watch(id, what.until);
  leases_.insert_or_assign(id, std::move(what));
}

void lease_table::adopt(std::uint64_t id, lease what) {
  watch(id, what.until);
  leases_.insert_or_assign(id, std::move(what));
}

void lease_table::renew(std::uint64_t id, duration timeout, timestamp now) {
  lease& held = leases_.at(id);
  held.timeout = timeout;
  held.until = held.end_of(now, held.length);
  watch(id, held.until);
}

void lease_table::extend(std::uint64_t id, timestamp until) {
  lease& held = leases_.at(id);
  images_.push_back({id, held});
  held.until = until;
  watch(id, until);
}

void lease_table::end(std::uint64_t id) {
  const auto at = leases_.find(id);
  MILLRACE_ASSERT(at != leases_.end());
  changes_.push_back({at->second.journal_slot, {}});
  images_.push_back({id, std::move(at->second)});
  leases_.erase(at);
}

void lease_table::watch(std::uint64_t id, timestamp until) {
  endings_.emplace(until, id);
  // Heartbeats leave an ending each: more than a few a lease are swept out.
  if (endings_.size() < 1024 || endings_.size() < leases_.size() * 4) return;
  std::vector<ending> kept;
  kept.reserve(leases_.size() + 1);
  for (const auto& [held_id, held] : leases_) kept.emplace_back(held.until, held_id);
  if (!leases_.contains(id)) kept.emplace_back(until, id);
  endings_ = decltype(endings_)(std::greater<>{}, std::move(kept));
}

void lease_table::drop_stale_endings() {
  while (!endings_.empty()) {
    const auto& [until, id] = endings_.top();
    const lease* held = find(id);
    if (held != nullptr && held->until == until) return;
    endings_.pop();
  }
}

std::optional<std::pair<timestamp, std::uint64_t>> lease_table::first_over(timestamp now) {
  drop_stale_endings();
  if (endings_.empty() || endings_.top().first > now) return std::nullopt;
  return endings_.top();
}

std::optional<timestamp> lease_table::next_end() {
  drop_stale_endings();
  if (endings_.empty()) return std::nullopt;
  return endings_.top().first;
}

void lease_table::commit() {
  for (const journal_change& each : changes_) {
    if (each.now.id != 0) {
      journal_.write(each.slot, each.now);
    } else {
      journal_.clear(each.slot);
      journal_.give_back(each.slot);
    }
  }
  changes_.clear();
  images_.clear();
}

void lease_table::roll_back() {
  for (auto at = images_.rbegin(); at != images_.rend(); ++at) {
    if (at->before) {
      watch(at->id, at->before->until);
      leases_.insert_or_assign(at->id, std::move(*at->before));
    } else {
      leases_.erase(at->id);
    }
  }
  for (const journal_change& each : changes_) {
    if (each.now.id != 0) journal_.give_back(each.slot);
  }
  changes_.clear();
  images_.clear();
}

}  // namespace millrace::embedded
