#include <millrace/limiter/limiter.hpp>

#include "limit_answers.hpp"
#include "limit_shares.hpp"
#include "outage_ledger.hpp"
#include "resolve.hpp"

#include <millrace/engine/async.hpp>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

namespace millrace {
namespace {

using engine::limits_checked;
using engine::take_mode;

/// A period may end between the look at the clock and the commit; not twice in a row.
constexpr int period_tries = 3;
/// Refunds and charges of one call of `settle_accounts`.
constexpr std::size_t accounts_at_once = 256;

const clock_source& machine_clock() {
  static const system_clock_source clock;
  return clock;
}

// What is no answer about the limits, but says that the store has none at the moment.
bool is_failure_of_store(const error& why) {
  switch (why.kind) {
    case errc::unavailable:
    case errc::storage_full:
    case errc::outcome_unknown:
    case errc::deadline_exceeded:
    case errc::exhausted: return true;
    default: return false;
  }
}

// The call is not to be made a second time: it would count twice.
bool counted_for_penalty(const std::vector<wanted_limit>& asked, const limits_checked& done) {
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (asked[i].check.penalty.after > 0 && !done.limits[i].allowed) return true;
  }
  return false;
}

// Less left of a, in proportion to what it holds.
bool has_less_left(const engine::limit_state& a, const engine::limit_state& b) {
  const auto share = [](const engine::limit_state& of) {
    return static_cast<double>(of.remaining) / static_cast<double>(of.limit);
  };
  return share(a) < share(b);
}

}  // namespace

std::optional<std::size_t> binding_of(const std::vector<limited>& limits, bool allowed) {
  std::optional<std::size_t> binding;
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const limited& each = limits[i];
    if (each.dry_run || (!allowed && each.state.allowed)) continue;
    const bool first = !binding;
    const bool more =
        !first && (allowed ? has_less_left(each.state, limits[*binding].state)
                           : each.state.retry_after > limits[*binding].state.retry_after);
    if (first || more) binding = i;
  }
  return binding;
}

const clock_source& steady_clock_source() noexcept {
  class steady_source final : public clock_source {
    [[nodiscard]] timestamp now() const noexcept override {
      const auto since = std::chrono::steady_clock::now().time_since_epoch();
      return timestamp{std::chrono::duration_cast<duration>(since)};
    }
    [[nodiscard]] bool ticks() const noexcept override { return true; }
  };
  static const steady_source source;
  return source;
}

limiter::limiter(engine::store& store, limit_settings settings, const clock_source& own_clock)
    : store_(store),
      settings_(std::make_shared<const limit_settings>(std::move(settings))),
      binds_routes_(!settings_->bindings.empty()),
      shares_(std::make_unique<limit_shares>(own_clock)),
      ledger_(std::make_unique<outage_ledger>()) {}

limiter::~limiter() = default;

timestamp limiter::now() const {
  return machine_clock().now() + duration{ahead_us_.load(std::memory_order_relaxed)};
}

void limiter::note_clock(timestamp at) {
  ahead_us_.store((at - machine_clock().now()).count(), std::memory_order_relaxed);
}

std::shared_ptr<const limit_settings> limiter::settings() const {
  const std::lock_guard held(mutex_);
  return settings_;
}

result<void> limiter::change_settings(limit_settings to) {
  if (auto sound = check_limit_settings(to); !sound) return sound;
  auto fresh = std::make_shared<const limit_settings>(std::move(to));
  const std::lock_guard held(mutex_);
  settings_ = std::move(fresh);
  binds_routes_.store(!settings_->bindings.empty(), std::memory_order_relaxed);
  changes_.fetch_add(1, std::memory_order_release);
  return {};
}

std::map<std::string, limit_numbers> limiter::numbers() const {
  const std::lock_guard held(mutex_);
  std::map<std::string, limit_numbers> all = numbers_;
  for (const auto& [policy, count] : tried_) all[policy].allowed += count->load();
  return all;
}

void limiter::count(const std::string& policy, const limit_answer& answer) {
  const std::string name = policy.empty() ? "-" : policy;
  if (answer.verdict != limit_verdict::listed) count_consumers(name, answer);
  const std::lock_guard held(mutex_);
  const auto at = numbers_.find(name);
  // Policies that a reload has taken away keep their numbers.
  if (at == numbers_.end() && numbers_.size() > 2 * limit_policies_max) return;
  limit_numbers& numbers = numbers_[name];
  ++(answer.allowed ? numbers.allowed : numbers.refused);
  if (answer.verdict == limit_verdict::degraded) ++numbers.degraded;
  if (!answer.allowed && answer.binding) {
    numbers.blocked += answer.limits[*answer.binding].state.blocked_until > answer.at ? 1 : 0;
  }
  if (!answer.allowed || !answer.binding) return;
  const engine::limit_state& state = answer.limits[*answer.binding].state;
  if (state.remaining <= state.limit / 5) ++numbers.near;
}

// borrows: awaited in place
awaitable<result<limits_checked>> limiter::commit(const std::string& project,
                                                  std::vector<wanted_limit>& limits,
                                                  engine::step step) {
  std::visit(
      [&](auto& one) {
        if constexpr (requires { one.checks; }) one.project = project;
      },
      step);
  const engine::durability level = std::min(store_.traits().strongest, engine::durability::async);
  result<limits_checked> done;
  for (int i = 0; i < period_tries; ++i) {
    if (auto filled = fill_periods(limits, now()); !filled) {
      co_return std::unexpected(std::move(filled.error()));
    }
    put_checks(step, limits);
    done = co_await engine::commit_step<limits_checked>(store_, step, level);
    if (done || done.error().code != "limit_period_moved") break;
    const auto clock = co_await engine::ask(store_, engine::read_clock{});
    if (!clock) co_return std::unexpected(clock.error());
    note_clock(*clock);
  }
  if (done) note_clock(done->at);
  co_return done;
}

void limiter::keep_warm(const std::string& project, const std::vector<wanted_limit>& limits,
                        std::optional<std::uint64_t> granted, std::uint64_t permit) {
  const timestamp at = now();
  const std::lock_guard held(mutex_);
  for (const wanted_limit& each : limits) {
    if (each.on_failure != when_down::local) continue;
    if (is_of_permits(each) && permit == 0) continue;
    engine::take_limits one{.project = project, .checks = {each.check}};
    if (granted) one.checks.front().cost = *granted;
    // What the store allows is no reason to shut anybody out.
    one.checks.front().penalty = {};
    if (!local_.check(one, at)) local_.take(one, at, permit);
  }
}

// Whom the store has shut out stays out while it is away.
void limiter::keep_blocks(const std::string& project, const std::vector<wanted_limit>& limits,
                          const limits_checked& done) {
  for (std::size_t i = 0; i < limits.size(); ++i) {
    if (done.limits[i].blocked_until <= done.at) continue;
    const engine::limit_check& check = limits[i].check;
    const engine::block_limit one{.project = project,
                                  .scope = check.scope,
                                  .whose = check.id,
                                  .length = done.limits[i].blocked_until - done.at};
    keep_block(one);
  }
}

result<limit_answer> limiter::decide_alone(const std::string& project,
                                           const std::vector<wanted_limit>& limits,
                                           take_mode mode) {
  const timestamp at = now();
  engine::take_limits counted{.project = project, .mode = mode};
  for (const wanted_limit& each : limits) {
    if (each.on_failure == when_down::closed && !each.check.dry_run) {
      error why{errc::unavailable, "limits_unavailable",
                "The store of the limits cannot serve, and they let nothing through without it.",
                "", std::chrono::seconds{1}};
      return std::unexpected(std::move(why));
    }
    if (each.on_failure == when_down::local) counted.checks.push_back(each.check);
  }
  limits_checked local{.at = at};
  if (!counted.checks.empty()) {
    const std::lock_guard held(mutex_);
    if (auto why = local_.check(counted, at)) return std::unexpected(std::move(*why));
    const auto micros = static_cast<std::uint64_t>(to_micros(at));
    own_permit_ = std::max(own_permit_ + 1, first_own_permit + micros);
    local = local_.take(counted, at, own_permit_);
  }
  limits_checked all{.allowed = local.allowed, .granted = local.granted, .at = at};
  all.permit = local.permit;
  if (mode == take_mode::part && counted.checks.empty()) {
    all.granted = limits.front().check.cost;
  }
  std::size_t next = 0;
  for (const wanted_limit& each : limits) {
    const std::uint64_t size = engine::size_of(each.check);
    all.limits.push_back(
        each.on_failure == when_down::local
            ? local.limits[next++]
            : engine::limit_state{
                  .limit = size, .remaining = size, .window_start = at, .reset_time = at});
  }
  limit_answer answer = answer_of(limits, all);
  answer.verdict = limit_verdict::degraded;
  if (answer.allowed && mode != take_mode::peek) {
    const bool in_part = mode == take_mode::part;
    for (const wanted_limit& each : limits) {
      // Permits end by themselves.
      if (is_of_permits(each)) continue;
      ledger_->note(project, each, in_part ? answer.granted : each.check.cost, at);
    }
  }
  return answer;
}

// borrows: awaited in place
awaitable<result<limit_answer>> limiter::take_resolved(const limit_request& what,
                                                       std::vector<wanted_limit> limits,
                                                       take_mode mode) {
  const auto is_leased = [](const wanted_limit& each) { return each.lease != duration{0}; };
  if (mode == take_mode::all && std::ranges::any_of(limits, is_leased)) {
    co_return co_await take_with_shares(what, std::move(limits));
  }
  const auto done = co_await commit(what.project, limits, engine::take_limits{.mode = mode});
  if (!done && !is_failure_of_store(done.error())) co_return std::unexpected(done.error());
  result<limit_answer> answer =
      done ? answer_of(limits, *done) : decide_alone(what.project, limits, mode);
  if (!answer) co_return answer;
  if (done && done->allowed && mode != take_mode::peek) {
    keep_warm(what.project, limits,
              mode == take_mode::part ? std::optional(done->granted) : std::nullopt, done->permit);
  }
  if (done && !done->allowed) keep_blocks(what.project, limits, *done);
  if (mode != take_mode::peek) count(what.policy, *answer);
  co_return answer;
}

// borrows: awaited in place
awaitable<result<limit_answer>> limiter::take_with_shares(const limit_request& what,
                                                          std::vector<wanted_limit> limits) {
  const std::int64_t asked_at = shares_->now();
  share_use use(*shares_, what.project, limits);
  std::vector<wanted_limit> asked = use.not_held();
  result<limits_checked> done = limits_checked{.at = now()};
  if (!asked.empty()) {
    done = co_await commit(what.project, asked, engine::take_limits{});
    if (done && !done->allowed && use.asks_ahead() && !counted_for_penalty(asked, *done)) {
      use.ask_for_the_cost_alone(asked);
      done = co_await commit(what.project, asked, engine::take_limits{});
    }
  }
  if (!done || !done->allowed) use.give_back();
  if (!done && !is_failure_of_store(done.error())) co_return std::unexpected(done.error());
  if (done && done->allowed) {
    use.keep(*done, asked_at);
    keep_warm(what.project, asked, std::nullopt, done->permit);
  } else if (done) {
    keep_blocks(what.project, asked, *done);
  }
  result<limit_answer> answer = done ? answer_of(limits, use.whole(std::move(*done)))
                                     : decide_alone(what.project, limits, take_mode::all);
  if (answer) count(what.policy, *answer);
  co_return answer;
}

awaitable<void> limiter::settle_accounts() {
  for (limit_shares::unused& each : shares_->take_unused(accounts_at_once)) {
    std::vector<wanted_limit> one{{.check = std::move(each.check)}};
    // What cannot be given back counts until its window has passed.
    const auto done =
        co_await commit(each.project, one, engine::refund_limits{.taken_at = each.taken_at});
    if (!done) co_return;
  }
  std::vector<outage_ledger::entry> owed = ledger_->take(accounts_at_once);
  while (!owed.empty()) {
    outage_ledger::entry& each = owed.back();
    const duration window = each.limit.check.window;
    if (window == duration{0} || each.at + window > now()) {
      std::vector<wanted_limit> one{each.limit};
      one.front().check.cost = std::min(each.cost, engine::size_of(each.limit.check));
      const auto done =
          co_await commit(each.project, one, engine::take_limits{.mode = take_mode::part});
      if (!done && is_failure_of_store(done.error())) break;
    }
    owed.pop_back();
  }
  ledger_->put_back(std::move(owed));
}

awaitable<result<limit_answer>> limiter::take(limit_request what, take_mode mode) {
  auto resolved = resolve_limits(what, *settings());
  if (!resolved) co_return std::unexpected(std::move(resolved.error()));
  if (resolved->listed) {
    const limit_answer answer{
        .allowed = *resolved->listed, .verdict = limit_verdict::listed, .at = now()};
    if (mode != take_mode::peek) count(what.policy, answer);
    co_return answer;
  }
  if (!what.policy.empty() && mode != take_mode::part) {
    if (auto sound = check_costs(resolved->limits); !sound) {
      co_return std::unexpected(std::move(sound.error()));
    }
  }
  co_return co_await take_resolved(what, std::move(resolved->limits), mode);
}

awaitable<result<limit_answer>> limiter::refund(limit_request what,
                                                std::optional<timestamp> taken_at) {
  auto resolved = resolve_limits(what, *settings());
  if (!resolved) co_return std::unexpected(std::move(resolved.error()));
  if (resolved->listed) co_return limit_answer{.verdict = limit_verdict::listed, .at = now()};
  if (auto some = drop_permits(resolved->limits); !some) {
    co_return std::unexpected(std::move(some.error()));
  }
  const auto done =
      co_await commit(what.project, resolved->limits, engine::refund_limits{.taken_at = taken_at});
  if (!done) co_return std::unexpected(done.error());
  co_return answer_of(resolved->limits, *done);
}

awaitable<result<limit_answer>> limiter::settle(limit_request what, std::uint64_t used,
                                                std::optional<timestamp> taken_at) {
  const std::uint64_t reserved = what.cost;
  set_cost(what, used > reserved ? used - reserved : std::max<std::uint64_t>(reserved - used, 1));
  if (used < reserved) {
    co_return co_await refund(std::move(what), taken_at);
  }
  if (used == reserved) co_return co_await take(std::move(what), take_mode::peek);
  auto resolved = resolve_limits(what, *settings());
  if (!resolved) co_return std::unexpected(std::move(resolved.error()));
  if (resolved->listed) co_return co_await take(std::move(what), take_mode::part);
  if (auto some = drop_permits(resolved->limits); !some) {
    co_return std::unexpected(std::move(some.error()));
  }
  co_return co_await take_resolved(what, std::move(resolved->limits), take_mode::part);
}

awaitable<result<limit_answer>> limiter::reset(limit_request what) {
  auto resolved = resolve_limits(what, *settings());
  if (!resolved) co_return std::unexpected(std::move(resolved.error()));
  if (resolved->listed) co_return limit_answer{.verdict = limit_verdict::listed, .at = now()};
  const auto done = co_await commit(what.project, resolved->limits, engine::reset_limits{});
  if (!done) co_return std::unexpected(done.error());
  {
    const std::lock_guard held(mutex_);
    local_.reset({.project = what.project, .checks = checks_of(resolved->limits)}, now());
  }
  for (const wanted_limit& each : resolved->limits) shares_->drop(what.project, each.check);
  co_return answer_of(resolved->limits, *done);
}

}  // namespace millrace
