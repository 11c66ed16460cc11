#include <millrace/engine/limit_table.hpp>

#include <millrace/base/assert.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace millrace::engine {
namespace {

template <class Number>
void append_bytes(std::string& out, Number number) {
  std::array<char, sizeof number> bytes{};
  std::memcpy(bytes.data(), &number, sizeof number);
  out.append(bytes.data(), bytes.size());
}

// Not `limit_name`: this one is not for people, and is made for each check of each request. Neither
// project nor scope nor id has a zero in it.
void put_name(std::string& out, const std::string& project, const limit_check& what) {
  out.assign(project).append(1, '\0').append(what.scope).append(1, '\0').append(what.id);
  out.append(1, '\0').append(1, static_cast<char>(what.algorithm));
  if (what.algorithm == limit_algorithm::calendar) {
    out.append(1, static_cast<char>(what.period));
  } else {
    append_bytes(out, what.window.count());
  }
}

limit_state look_at_nothing(const limit_check& what, std::uint64_t wanted, timestamp now) {
  return limit_count(what.algorithm).look(what, wanted, now);
}

// What all limits that decide have left, up to the cost.
std::uint64_t part_of(const take_limits& step, const std::vector<limit_state>& states) {
  std::uint64_t part = step.checks.front().cost;
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (!step.checks[i].dry_run) part = std::min(part, states[i].remaining);
  }
  return part;
}

}  // namespace

std::optional<error> refuse_moved_period(const std::vector<limit_check>& checks, timestamp now) {
  for (const limit_check& each : checks) {
    if (each.algorithm != limit_algorithm::calendar) continue;
    if (each.period_start <= now && now < each.period_end) continue;
    return error{errc::conflict, "limit_period_moved",
                 "The store's clock is outside the period of the budget: compute it anew.", "",
                 std::nullopt};
  }
  return std::nullopt;
}

std::optional<error> limit_table::check(const take_limits& step, timestamp now) {
  if (auto moved = refuse_moved_period(step.checks, now)) return moved;
  if (step.mode == take_mode::peek) return std::nullopt;
  forget_empty(now);
  if (counts_.size() + step.checks.size() <= bounds_.records) return std::nullopt;
  std::size_t further = 0;
  for (const limit_check& each : step.checks) {
    if (find(step.project, each) == counts_.end()) ++further;
  }
  if (counts_.size() + further <= bounds_.records) return std::nullopt;
  return error{errc::exhausted, "too_many_limits", "The store holds as many counts as it can.", "",
               std::chrono::seconds{1}};
}

std::optional<error> limit_table::check(const refund_limits& step, timestamp now) {
  return refuse_moved_period(step.checks, now);
}

limits_checked limit_table::take(const take_limits& step, timestamp now) {
  MILLRACE_ASSERT(step.checks.size() <= limit_checks_max);
  const bool part = step.mode == take_mode::part;
  limits_checked out{.at = now};
  out.limits.reserve(step.checks.size());
  std::array<kept*, limit_checks_max> found{};
  for (std::size_t i = 0; i < step.checks.size(); ++i) {
    const limit_check& each = step.checks[i];
    put_name(names_[i], step.project, each);
    const auto at = counts_.find(names_[i]);
    const std::uint64_t wanted = part ? 1 : each.cost;
    if (at != counts_.end()) found[i] = &at->second;
    out.limits.push_back(found[i] != nullptr ? found[i]->count.look(each, wanted, now)
                                             : look_at_nothing(each, wanted, now));
    if (!each.dry_run && !out.limits.back().allowed) out.allowed = false;
  }
  if (step.mode == take_mode::peek || !out.allowed) return out;
  if (part) out.granted = part_of(step, out.limits);
  for (std::size_t i = 0; i < step.checks.size(); ++i) {
    const limit_check& each = step.checks[i];
    const std::uint64_t cost = part ? out.granted : each.cost;
    // Only a dry run can be without room here.
    if (cost > out.limits[i].remaining) continue;
    const bool is_new = found[i] == nullptr;
    if (is_new) {
      const bool budget = each.algorithm == limit_algorithm::calendar;
      kept made{limit_count(each.algorithm), ++last_number_, budget};
      found[i] = &counts_.emplace(names_[i], std::move(made)).first->second;
    }
    charge(*found[i], each, cost, now);
    if (is_new) {
      endings_.push({found[i]->count.ends().value_or(now), found[i]->number, names_[i]});
    }
    out.limits[i] = found[i]->count.look(each, 0, now);
  }
  return out;
}

limits_checked limit_table::refund(const refund_limits& step, timestamp now) {
  limits_checked out{.at = now};
  for (const limit_check& each : step.checks) {
    const auto at = find(step.project, each);
    if (at == counts_.end()) {
      out.limits.push_back(look_at_nothing(each, 0, now));
      continue;
    }
    limit_count& count = at->second.count;
    charges_ += static_cast<std::size_t>(count.give_back(each, step.taken_at, now));
    out.limits.push_back(count.look(each, 0, now));
    const auto ends = count.ends();
    if (!ends || *ends <= now) drop(at);
  }
  return out;
}

limits_checked limit_table::reset(const reset_limits& step, timestamp now) {
  limits_checked out{.at = now};
  for (const limit_check& each : step.checks) {
    const auto at = find(step.project, each);
    if (at != counts_.end()) drop(at);
    out.limits.push_back(look_at_nothing(each, 0, now));
  }
  return out;
}

const period_count* limit_table::budget(const std::string& project, const limit_check& what) {
  const auto at = find(project, what);
  return at == counts_.end() ? nullptr : at->second.count.period();
}

void limit_table::put_budget(const std::string& project, const limit_check& what,
                             const period_count& count) {
  put_name(names_[0], project, what);
  kept made{limit_count(limit_algorithm::calendar), ++last_number_, true};
  made.count.set_period(count);
  endings_.push({count.end, made.number, names_[0]});
  counts_.insert_or_assign(names_[0], std::move(made));
}

void limit_table::drop_budgets() {
  std::erase_if(counts_, [](const auto& one) { return one.second.is_budget; });
}

void limit_table::forget_empty(timestamp now) {
  while (!endings_.empty() && endings_.top().at <= now) {
    ending next = endings_.top();
    endings_.pop();
    const auto at = counts_.find(next.name);
    if (at == counts_.end() || at->second.number != next.number) continue;
    const std::optional<timestamp> ends = at->second.count.ends();
    if (!ends || *ends <= now) {
      drop(at);
    } else {
      next.at = *ends;
      endings_.push(std::move(next));
    }
  }
}

limit_table::count_map::iterator limit_table::find(const std::string& project,
                                                   const limit_check& what) {
  put_name(names_[0], project, what);
  return counts_.find(names_[0]);
}

void limit_table::charge(kept& one, const limit_check& what, std::uint64_t cost, timestamp now) {
  const bool coarse = charges_ >= bounds_.charges;
  charges_ += static_cast<std::size_t>(one.count.charge(what, cost, now, coarse));
}

void limit_table::drop(count_map::iterator at) {
  charges_ -= at->second.count.moments();
  counts_.erase(at);
}

}  // namespace millrace::engine
