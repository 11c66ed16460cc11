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
  } else if (what.algorithm != limit_algorithm::concurrency) {
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

// Of a limit that nobody asks for too often, nothing.
bool counts_strikes(const limit_check& what) noexcept {
  return what.penalty.after > 0 && !what.dry_run;
}

bool has_permits(const limit_check& what) noexcept {
  return what.algorithm == limit_algorithm::concurrency;
}

error too_many_limits() {
  return {errc::exhausted, "too_many_limits", "The store holds as many counts as it can.", "",
          std::chrono::seconds{1}};
}

error permit_lost() {
  return {errc::conflict, "permit_lost",
          "The permit is not held: it has ended, was released, or was never given.", "",
          std::nullopt};
}

error limit_reached() {
  return {errc::exhausted, "limit_reached", "A limit is reached: nothing was done.", "",
          std::nullopt};
}

error limit_blocked() {
  return {errc::exhausted, "limit_blocked", "Whose limits these are is blocked: nothing was done.",
          "", std::nullopt};
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
  if (auto why = refuse_unless_allowed(step, now)) return why;
  if (step.mode == take_mode::peek) return std::nullopt;
  forget_empty(now);
  std::size_t further = 0;
  std::size_t permits = 0;
  for (const limit_check& each : step.checks) {
    if (has_permits(each)) permits += 1;
    // The refusals, and the block that follows.
    if (counts_strikes(each)) further += 2;
  }
  if (permits > 0 && permits_ + permits > bounds_.permits) return too_many_limits();
  if (has_room(further + step.checks.size())) return std::nullopt;
  for (const limit_check& each : step.checks) {
    if (find(step.project, each) == counts_.end()) ++further;
  }
  if (has_room(further)) return std::nullopt;
  return too_many_limits();
}

bool limit_table::has_room(std::size_t further) const noexcept {
  return size() + further <= bounds_.records;
}

std::optional<error> limit_table::check(const refund_limits& step, timestamp now) {
  return refuse_moved_period(step.checks, now);
}

std::optional<error> limit_table::check(const block_limit& step, timestamp now) {
  forget_empty(now);
  if (step.length == duration{0} || has_room(1)) return std::nullopt;
  return too_many_limits();
}

std::optional<error> limit_table::check(const renew_limit_permit& step, timestamp now) {
  for (const limit_check& each : step.checks) {
    const permit_count* held = permits_of(step.project, each);
    if (held == nullptr || !held->holds(step.permit, now)) return permit_lost();
  }
  return std::nullopt;
}

std::optional<error> limit_table::check(const release_limit_permit& step, timestamp now) {
  for (const limit_check& each : step.checks) {
    const permit_count* held = permits_of(step.project, each);
    if (held != nullptr && held->holds(step.permit, now)) return std::nullopt;
  }
  return permit_lost();
}

/// One `take` as it goes on.
struct limit_table::taking {
  limits_checked out;
  std::array<kept*, limit_checks_max> found{};
  std::uint64_t permit{0};
};

void limit_table::look(const take_limits& step, timestamp now, taking& by) {
  const bool part = step.mode == take_mode::part;
  by.out.limits.reserve(step.checks.size());
  for (std::size_t i = 0; i < step.checks.size(); ++i) {
    const limit_check& each = step.checks[i];
    put_name(names_[i], step.project, each);
    const auto at = counts_.find(names_[i]);
    const std::uint64_t wanted = part ? 1 : each.cost;
    if (at != counts_.end()) by.found[i] = &at->second;
    by.out.limits.push_back(by.found[i] != nullptr ? by.found[i]->count.look(each, wanted, now)
                                                   : look_at_nothing(each, wanted, now));
    if (!blocks_.is_empty()) {
      const timestamp until = blocks_.until(step.project, each.scope, each.id, now);
      if (until > now) show_block(by.out.limits.back(), until, now);
    }
    if (!each.dry_run && !by.out.limits.back().allowed) by.out.allowed = false;
  }
}

std::optional<error> limit_table::refuse_unless_allowed(const take_limits& step, timestamp now) {
  if (!step.required) return std::nullopt;
  taking by;
  look(step, now, by);
  if (by.out.allowed) return std::nullopt;
  for (std::size_t i = 0; i < step.checks.size(); ++i) {
    if (!step.checks[i].dry_run && by.out.limits[i].blocked_until > now) return limit_blocked();
  }
  return limit_reached();
}

void limit_table::charge_all(const take_limits& step, timestamp now, taking& by) {
  const bool part = step.mode == take_mode::part;
  for (std::size_t i = 0; i < step.checks.size(); ++i) {
    const limit_check& each = step.checks[i];
    const std::uint64_t cost = part ? by.out.granted : each.cost;
    limit_state& state = by.out.limits[i];
    // Only a dry run can be without room here, or blocked.
    if (cost > state.remaining || state.blocked_until > now) continue;
    const bool is_new = by.found[i] == nullptr;
    if (is_new) {
      const bool budget = each.algorithm == limit_algorithm::calendar;
      kept made{limit_count(each.algorithm), ++last_number_, budget};
      by.found[i] = &counts_.emplace(names_[i], std::move(made)).first->second;
    }
    if (permit_count* permits = by.found[i]->count.permits()) {
      permits_ += static_cast<std::size_t>(permits->add(by.permit, cost, now + each.window, now));
      by.out.permit = by.permit;
    } else {
      charge(*by.found[i], each, cost, now);
    }
    if (is_new) {
      endings_.push({by.found[i]->count.ends().value_or(now), by.found[i]->number, names_[i]});
    }
    state = by.found[i]->count.look(each, 0, now);
  }
}

limits_checked limit_table::take(const take_limits& step, timestamp now, std::uint64_t permit) {
  MILLRACE_ASSERT(step.checks.size() <= limit_checks_max);
  taking by{.out = {.at = now}, .permit = permit};
  look(step, now, by);
  if (step.mode == take_mode::peek) return std::move(by.out);
  if (by.out.allowed) {
    if (step.mode == take_mode::part) by.out.granted = part_of(step, by.out.limits);
    charge_all(step, now, by);
    return std::move(by.out);
  }
  for (std::size_t i = 0; i < step.checks.size(); ++i) {
    limit_state& state = by.out.limits[i];
    if (state.allowed || state.blocked_until > now || !counts_strikes(step.checks[i])) continue;
    const timestamp until = blocks_.strike(step.project, step.checks[i], now);
    if (until <= now) continue;
    show_block(state, until, now);
    ++blocks_made_;
  }
  return std::move(by.out);
}

limits_checked limit_table::refund(const refund_limits& step, timestamp now) {
  limits_checked out{.at = now};
  for (const limit_check& each : step.checks) {
    const auto at = find(step.project, each);
    const timestamp until = blocks_.until(step.project, each.scope, each.id, now);
    if (at == counts_.end()) {
      out.limits.push_back(look_at_nothing(each, 0, now));
      if (until > now) show_block(out.limits.back(), until, now);
      continue;
    }
    limit_count& count = at->second.count;
    charges_ += static_cast<std::size_t>(count.give_back(each, step.taken_at, now));
    out.limits.push_back(count.look(each, 0, now));
    if (until > now) show_block(out.limits.back(), until, now);
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
    blocks_.forget(step.project, each);
    out.limits.push_back(look_at_nothing(each, 0, now));
  }
  return out;
}

limits_checked limit_table::block(const block_limit& step, timestamp now) {
  blocks_.set(step.project, step.scope, step.whose, now + step.length, now);
  limit_state state{.window_start = now, .reset_time = now + step.length};
  if (step.length > duration{0}) show_block(state, now + step.length, now);
  return {.allowed = state.allowed, .at = now, .limits = {state}};
}

limits_checked limit_table::renew(const renew_limit_permit& step, timestamp now) {
  limits_checked out{.at = now, .permit = step.permit};
  for (const limit_check& each : step.checks) {
    const auto at = find(step.project, each);
    MILLRACE_ASSERT(at != counts_.end());
    at->second.count.permits()->renew(step.permit, now + each.window);
    out.limits.push_back(at->second.count.look(each, 0, now));
  }
  return out;
}

limits_checked limit_table::release(const release_limit_permit& step, timestamp now) {
  limits_checked out{.at = now};
  for (const limit_check& each : step.checks) {
    const auto at = find(step.project, each);
    if (at == counts_.end()) {
      out.limits.push_back(look_at_nothing(each, 0, now));
      continue;
    }
    permit_count& held = *at->second.count.permits();
    permits_ += static_cast<std::size_t>(held.release(step.permit));
    out.limits.push_back(at->second.count.look(each, 0, now));
    if (held.kept() == 0) drop(at);
  }
  return out;
}

permit_count* limit_table::permits_of(const std::string& project, const limit_check& what) {
  const auto at = find(project, what);
  return at == counts_.end() ? nullptr : at->second.count.permits();
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
  blocks_.sweep(now);
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
  if (const permit_count* held = at->second.count.permits()) permits_ -= held->kept();
  counts_.erase(at);
}

}  // namespace millrace::engine
