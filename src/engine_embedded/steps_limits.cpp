#include "group_writer.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace millrace::embedded {

namespace {

/// Budgets that are over, forgotten in one go.
constexpr int budgets_swept_max = 256;

/// In place of the period of a budget: the row is a block.
constexpr int period_of_blocks = 0;

}  // namespace

group_writer::refused group_writer::check(const engine::take_limits& step, plan&) {
  return limits_.check(step, now_);
}

engine::outcome group_writer::apply(engine::take_limits& step, const plan&) {
  const std::uint64_t blocks_before = limits_.blocks_made();
  engine::limits_checked out = limits_.take(step, now_, stamps_.following(now_));
  if (out.permit != 0) static_cast<void>(stamps_.next(now_));
  if (out.allowed && step.mode != engine::take_mode::peek) keep_budgets(step.project, step.checks);
  if (limits_.blocks_made() == blocks_before) return out;
  for (std::size_t i = 0; i < step.checks.size(); ++i) {
    if (out.limits[i].blocked_until <= now_) continue;
    keep_block(step.project, step.checks[i].scope, step.checks[i].id);
  }
  return out;
}

group_writer::refused group_writer::check(const engine::refund_limits& step, plan&) {
  return engine::limit_table::check(step, now_);
}

engine::outcome group_writer::apply(engine::refund_limits& step, const plan&) {
  engine::limits_checked out = limits_.refund(step, now_);
  keep_budgets(step.project, step.checks);
  return out;
}

group_writer::refused group_writer::check(const engine::reset_limits&, plan&) {
  return std::nullopt;
}

engine::outcome group_writer::apply(engine::reset_limits& step, const plan&) {
  std::vector<bool> blocked;
  for (const engine::limit_check& each : step.checks) {
    blocked.push_back(limits_.blocked_until(step.project, each.scope, each.id, now_) > now_);
  }
  engine::limits_checked out = limits_.reset(step, now_);
  for (std::size_t i = 0; i < blocked.size(); ++i) {
    if (blocked[i]) keep_block(step.project, step.checks[i].scope, step.checks[i].id);
  }
  keep_budgets(step.project, step.checks);
  return out;
}

group_writer::refused group_writer::check(const engine::block_limit& step, plan&) {
  return limits_.check(step, now_);
}

engine::outcome group_writer::apply(engine::block_limit& step, const plan&) {
  engine::limits_checked out = limits_.block(step, now_);
  keep_block(step.project, step.scope, step.whose);
  return out;
}

group_writer::refused group_writer::check(const engine::renew_limit_permit& step, plan&) {
  return limits_.check(step, now_);
}

engine::outcome group_writer::apply(engine::renew_limit_permit& step, const plan&) {
  return limits_.renew(step, now_);
}

group_writer::refused group_writer::check(const engine::release_limit_permit& step, plan&) {
  return limits_.check(step, now_);
}

engine::outcome group_writer::apply(engine::release_limit_permit& step, const plan&) {
  return limits_.release(step, now_);
}

result<engine::answer> group_writer::answer(const engine::list_limit_blocks& what) {
  auto page = limits_.blocks(what, now_);
  if (!page) return std::unexpected(std::move(page.error()));
  return std::move(*page);
}

// As it is in memory now.
void group_writer::keep_block(const std::string& project, const std::string& scope,
                              const std::string& id) {
  static_cast<void>(to_write());
  const timestamp ends = limits_.blocked_until(project, scope, id, now_);
  if (ends > now_) {
    write_budget_.put(project).put(scope).put(id).put(period_of_blocks);
    write_budget_.put(now_).put(ends).put(0).run();
    first_budget_end_ = std::min(first_budget_end_, ends);
  } else {
    delete_budget_.put(project).put(scope).put(id).put(period_of_blocks).run();
  }
  sweep_budgets();
}

// Counts of windows are memory alone; those of a day or longer outlive the process.
void group_writer::keep_budgets(const std::string& project,
                                const std::vector<engine::limit_check>& checks) {
  bool any = false;
  for (const engine::limit_check& each : checks) {
    if (each.algorithm != engine::limit_algorithm::calendar) continue;
    const auto period = static_cast<int>(each.period);
    static_cast<void>(to_write());
    any = true;
    if (const engine::period_count* kept = limits_.budget(project, each)) {
      write_budget_.put(project).put(each.scope).put(each.id).put(period);
      write_budget_.put(kept->start).put(kept->end).put(kept->count).run();
      first_budget_end_ = std::min(first_budget_end_, kept->end);
    } else {
      delete_budget_.put(project).put(each.scope).put(each.id).put(period).run();
    }
  }
  if (any) sweep_budgets();
}

void group_writer::sweep_budgets() {
  if (first_budget_end_ > now_) return;
  sweep_budgets_.put(now_).put(budgets_swept_max).run();
  if (db_->changes() == budgets_swept_max) return;
  const reset_after reset(first_budget_);
  first_budget_end_ = timestamp::max();
  if (first_budget_.row() && !first_budget_.is_null(0)) {
    first_budget_end_ = from_micros(first_budget_.integer(0));
  }
}

void group_writer::load_budgets() {
  limits_.drop_budgets();
  limits_.drop_blocks();
  first_budget_end_ = timestamp::max();
  const reset_after reset(read_budgets_);
  while (read_budgets_.row()) {
    const engine::limit_check name{
        .scope = std::string(read_budgets_.text(1)),
        .id = std::string(read_budgets_.text(2)),
        .algorithm = engine::limit_algorithm::calendar,
        .period = static_cast<engine::limit_period>(read_budgets_.integer(3))};
    const engine::period_count count{.start = from_micros(read_budgets_.integer(4)),
                                     .end = from_micros(read_budgets_.integer(5)),
                                     .count = read_budgets_.natural(6)};
    first_budget_end_ = std::min(first_budget_end_, count.end);
    if (count.end <= now_) continue;
    const std::string project{read_budgets_.text(0)};
    if (name.period == engine::limit_period::none) {
      limits_.put_block(project, name.scope, name.id, count.end, now_);
    } else {
      limits_.put_budget(project, name, count);
    }
  }
}

}  // namespace millrace::embedded
