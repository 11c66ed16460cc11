#include "model_state.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

/// Who is shut out for a time, and the permits of limits on what happens at once.
namespace millrace::model {

using engine::limit_check;
using engine::limit_state;

namespace {

error permit_lost() {
  return {errc::conflict, "permit_lost",
          "The permit is not held: it has ended, was released, or was never given.", "",
          std::nullopt};
}

void shut(limit_state& state, timestamp until, timestamp now) {
  state.blocked_until = until;
  state.allowed = false;
  state.retry_after = std::max(state.retry_after, until - now);
}

}  // namespace

timestamp model_state::blocked_until(const std::string& project, const std::string& scope,
                                     const std::string& id) const {
  const auto at = limit_blocks_.find({project, scope, id});
  return at == limit_blocks_.end() || at->second <= now_ ? timestamp{} : at->second;
}

void model_state::show_block(const std::string& project, const limit_check& what,
                             limit_state& in) const {
  const timestamp until = blocked_until(project, what.scope, what.id);
  if (until > now_) shut(in, until, now_);
}

void model_state::count_strike(const std::string& project, const limit_check& what,
                               limit_state& in) {
  const bool counts = what.penalty.after > 0 && !what.dry_run;
  if (!counts || in.allowed || in.blocked_until > now_) return;
  const std::pair name{project, engine::limit_name(what)};
  strike_record& strikes = limit_strikes_[name];
  if (strikes.ends <= now_) strikes = {.count = 0, .ends = engine::strikes_end(what, now_)};
  if (++strikes.count < what.penalty.after) return;
  limit_strikes_.erase(name);
  timestamp& until = limit_blocks_[{project, what.scope, what.id}];
  until = std::max(until, now_ + what.penalty.length);
  shut(in, until, now_);
}

void model_state::forget_block(const std::string& project, const limit_check& what) {
  limit_strikes_.erase({project, engine::limit_name(what)});
  limit_blocks_.erase({project, what.scope, what.id});
}

bool model_state::holds_permit(const std::string& project, const limit_check& what,
                               std::uint64_t permit) const {
  const limit_record& kept = limit_of(project, what);
  const auto at = kept.permits.find(permit);
  return at != kept.permits.end() && at->second.first > now_;
}

model_state::refused model_state::check(const engine::block_limit&, plan&) const {
  return std::nullopt;
}

engine::outcome model_state::apply(const engine::block_limit& step, const plan&) {
  limit_blocks_.erase({step.project, step.scope, step.whose});
  limit_state state{.window_start = now_, .reset_time = now_ + step.length};
  if (step.length > duration{0}) {
    limit_blocks_[{step.project, step.scope, step.whose}] = now_ + step.length;
    shut(state, now_ + step.length, now_);
  }
  return engine::limits_checked{.allowed = state.allowed, .at = now_, .limits = {state}};
}

model_state::refused model_state::check(const engine::renew_limit_permit& step, plan&) const {
  for (const limit_check& each : step.checks) {
    if (!holds_permit(step.project, each, step.permit)) return permit_lost();
  }
  return std::nullopt;
}

engine::outcome model_state::apply(const engine::renew_limit_permit& step, const plan&) {
  engine::limits_checked out{.at = now_, .permit = step.permit};
  for (const limit_check& each : step.checks) {
    limit_records_[{step.project, engine::limit_name(each)}].permits[step.permit].first =
        now_ + each.window;
    out.limits.push_back(look_at(step.project, each, 0));
  }
  return out;
}

model_state::refused model_state::check(const engine::release_limit_permit& step, plan&) const {
  for (const limit_check& each : step.checks) {
    if (holds_permit(step.project, each, step.permit)) return std::nullopt;
  }
  return permit_lost();
}

engine::outcome model_state::apply(const engine::release_limit_permit& step, const plan&) {
  engine::limits_checked out{.at = now_};
  for (const limit_check& each : step.checks) {
    const auto at = limit_records_.find({step.project, engine::limit_name(each)});
    if (at != limit_records_.end()) at->second.permits.erase(step.permit);
    out.limits.push_back(look_at(step.project, each, 0));
  }
  return out;
}

result<engine::answer> model_state::read(const engine::list_limit_blocks& what) const {
  const auto after = engine::parse_block_cursor(what.cursor);
  if (!after) return std::unexpected(after.error());
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  engine::limit_block_page out;
  for (const auto& [key, until] : limit_blocks_) {
    const auto& [project, scope, id] = key;
    if (project != what.project || until <= now_) continue;
    if (!what.scope.empty() && scope != what.scope) continue;
    if (*after && std::tie(scope, id) <= std::tie((*after)->scope, (*after)->id)) continue;
    if (out.items.size() == most) {
      out.cursor = engine::block_cursor(out.items.back());
      break;
    }
    out.items.push_back({scope, id, until});
  }
  return out;
}

}  // namespace millrace::model
