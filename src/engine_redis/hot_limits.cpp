#include "hot_limits.hpp"

#include "call_codec.hpp"
#include "limit_codec.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace millrace::engine_redis {
namespace {

using engine::take_limits;

constexpr int kind_limits = 5;  // of lua/dispatch.lua
constexpr std::int64_t is_blocked = 2;
/// What became of a step; anything else is told in full.
constexpr std::int64_t is_fine = 0;
constexpr std::int64_t is_moved = 1;

/// A script reads all of them with one command, whose arguments are bounded.
constexpr std::size_t meters_max = 2000;

/// When the window began of which the store told something.
timestamp start_of(const engine::limit_check& what, timestamp now) {
  switch (what.algorithm) {
    case engine::limit_algorithm::sliding: return now - what.window;
    case engine::limit_algorithm::fixed:
      return now - duration{to_micros(now) % what.window.count()};
    case engine::limit_algorithm::calendar: return what.period_start;
    case engine::limit_algorithm::token_bucket:
    case engine::limit_algorithm::concurrency: break;
  }
  return now;
}

/// Whether both stand in one row: they differ in what they count alone.
bool in_one_row(const take_limits& one, const take_limits& other) {
  return one.mode == other.mode &&
         std::ranges::equal(one.checks, other.checks,
                            [](const engine::limit_check& its, const engine::limit_check& others) {
                              return its.cost == others.cost && its.dry_run == others.dry_run;
                            });
}

}  // namespace

bool is_hot_limits(const engine::transaction& what) {
  if (what.idempotency || what.steps.size() != 1) return false;
  const auto* const take = std::get_if<take_limits>(&what.steps.front());
  if (take == nullptr || take->required) return false;
  return std::ranges::all_of(take->checks, [](const engine::limit_check& each) {
    return each.algorithm != engine::limit_algorithm::concurrency && each.penalty.after == 0;
  });
}

bool limit_encoder::is_full() const noexcept {
  return numbers_.size() + engine::limit_checks_max > meters_max;
}

std::size_t limit_encoder::number_of(const std::string& project, const engine::limit_check& what) {
  meter_.clear();
  put_number(meter_, std::to_underlying(what.algorithm), 1);
  put_text(meter_, limit_key(project, what), 2);
  put_number(meter_, static_cast<std::int64_t>(engine::size_of(what)), 7);
  for (const std::int64_t number : limit_numbers(what)) put_number(meter_, number, 7);
  const auto [at, added] = numbers_.try_emplace(meter_, numbers_.size() + 1);
  if (added) put_text(meters_, meter_, 2);
  return at->second;
}

void limit_encoder::add(const engine::transaction& what) {
  const auto& step = std::get<take_limits>(what.steps.front());
  if (like_ == nullptr || !in_one_row(*like_, step)) {
    end_row();
    like_ = &step;
  }
  ++count_;
  for (const engine::limit_check& each : step.checks) {
    put_number(row_, static_cast<std::int64_t>(number_of(step.project, each)), 2);
  }
}

void limit_encoder::end_row() {
  if (like_ == nullptr) return;
  ++rows_;
  put_number(body_, static_cast<std::int64_t>(count_), 2);
  put_number(body_, std::to_underlying(like_->mode), 1);
  put_number(body_, std::ssize(like_->checks), 1);
  for (const engine::limit_check& each : like_->checks) {
    put_number(body_, static_cast<std::int64_t>(each.cost), 7);
    put_number(body_, each.dry_run ? 1 : 0, 1);
  }
  body_ += row_;
  row_.clear();
  count_ = 0;
  like_ = nullptr;
}

std::string limit_encoder::take() {
  end_row();
  std::string out;
  out.reserve(5 + bytes());
  put_number(out, kind_limits, 1);
  put_number(out, static_cast<std::int64_t>(numbers_.size()), 2);
  put_number(out, static_cast<std::int64_t>(rows_), 2);
  out.append(meters_).append(body_);
  numbers_.clear();
  meters_.clear();
  body_.clear();
  rows_ = 0;
  return out;
}

engine::limits_checked limit_decoder::outcome_of(const take_limits& step, std::int64_t what) {
  engine::limits_checked out{.allowed = true};
  if (what != is_fine) {
    out.allowed = in_.distance() == 1;
    out.granted = static_cast<std::uint64_t>(in_.distance());
  }
  out.at = now_;
  out.limits.reserve(step.checks.size());
  for (const engine::limit_check& each : step.checks) {
    engine::limit_state& one = out.limits.emplace_back();
    const std::int64_t flags = what == is_fine ? 1 : in_.distance();
    one.allowed = flags % 2 == 1;
    one.count = static_cast<std::uint64_t>(in_.distance());
    one.limit = engine::size_of(each);
    one.remaining = one.limit - std::min(one.limit, one.count);
    one.window_start = start_of(each, now_);
    one.reset_time = from_micros(in_.distance());
    if (what != is_fine) one.retry_after = duration{in_.distance()};
    if (flags >= is_blocked) one.blocked_until = from_micros(in_.distance());
  }
  return out;
}

engine::commit_result limit_decoder::next(const engine::transaction& asked) {
  if (row_.rest().empty()) row_ = fields(in_.counted(2));
  const std::int64_t what = row_.number(1);
  if (what == is_moved) {
    return std::unexpected(engine::refusal{refused_as("limit_period_moved"), 0});
  }
  engine::limits_checked out = outcome_of(std::get<take_limits>(asked.steps.front()), what);
  if (in_.failed() || row_.failed()) return std::unexpected(engine::refusal{bad_answer(), 0});
  engine::committed done{.level = std::min(asked.level, strongest_)};
  done.outcomes.emplace_back(std::move(out));
  return done;
}

}  // namespace millrace::engine_redis
