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

/// A script reads all of them with one command, whose arguments are bounded.
constexpr std::size_t meters_max = 2000;

std::string meter_of(const std::string& project, const engine::limit_check& what) {
  std::string out;
  put_number(out, std::to_underlying(what.algorithm), 1);
  put_text(out, limit_key(project, what), 2);
  put_number(out, static_cast<std::int64_t>(engine::size_of(what)), 7);
  for (const std::int64_t number : limit_numbers(what)) put_number(out, number, 7);
  return out;
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

void limit_encoder::add(const engine::transaction& what) {
  ++count_;
  const auto& step = std::get<take_limits>(what.steps.front());
  put_number(body_, std::to_underlying(step.mode), 1);
  put_number(body_, std::ssize(step.checks), 1);
  for (const engine::limit_check& each : step.checks) {
    const auto [at, added] =
        numbers_.try_emplace(meter_of(step.project, each), numbers_.size() + 1);
    if (added) put_text(meters_, at->first, 2);
    put_number(body_, static_cast<std::int64_t>(at->second), 2);
    put_number(body_, static_cast<std::int64_t>(each.cost), 7);
    put_number(body_, each.dry_run ? 1 : 0, 1);
  }
}

std::string limit_encoder::take() {
  std::string out;
  out.reserve(5 + bytes());
  put_number(out, kind_limits, 1);
  put_number(out, static_cast<std::int64_t>(numbers_.size()), 2);
  put_number(out, static_cast<std::int64_t>(count_), 2);
  out.append(meters_).append(body_);
  numbers_.clear();
  meters_.clear();
  body_.clear();
  count_ = 0;
  return out;
}

engine::commit_result limit_decoder::next(const engine::transaction& asked) {
  if (in_.number(1) != 0) {
    error why = refused_as(in_.counted(1));
    const auto at = static_cast<std::size_t>(in_.number(2));
    if (in_.failed()) return std::unexpected(engine::refusal{bad_answer(), 0});
    return std::unexpected(engine::refusal{std::move(why), at});
  }
  const auto& step = std::get<take_limits>(asked.steps.front());
  engine::limits_checked out{.allowed = in_.number(1) == 1};
  out.granted = static_cast<std::uint64_t>(in_.number(7));
  out.at = now_;
  out.limits.reserve(step.checks.size());
  for (const engine::limit_check& each : step.checks) {
    engine::limit_state& one = out.limits.emplace_back();
    const std::int64_t flags = in_.number(1);
    one.allowed = flags % 2 == 1;
    one.count = static_cast<std::uint64_t>(in_.number(7));
    one.limit = engine::size_of(each);
    one.remaining = one.limit - std::min(one.limit, one.count);
    one.window_start = from_micros(in_.distance());
    one.reset_time = from_micros(in_.distance());
    one.retry_after = duration{in_.number(7)};
    if (flags >= is_blocked) one.blocked_until = from_micros(in_.number(7));
  }
  if (in_.failed()) return std::unexpected(engine::refusal{bad_answer(), 0});
  engine::committed done{.level = std::min(asked.level, strongest_)};
  done.outcomes.emplace_back(std::move(out));
  return done;
}

}  // namespace millrace::engine_redis
