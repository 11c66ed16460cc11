#include <millrace/engine/limit_blocks.hpp>

#include <algorithm>
#include <utility>

namespace millrace::engine {
namespace {

/// Endings of what is no more that are not worth making all of them anew.
constexpr std::size_t stale_endings_max = 1024;

// Neither project nor scope nor id has a zero in it.
void put_subject(std::string& out, const std::string& project, const std::string& scope,
                 const std::string& id) {
  out.assign(project).append(1, '\0').append(scope).append(1, '\0').append(id);
}

void put_limit(std::string& out, const std::string& project, const limit_check& what) {
  out.assign(project).append(1, '\0').append(limit_name(what));
}

}  // namespace

void show_block(limit_state& in, timestamp until, timestamp now) noexcept {
  in.blocked_until = until;
  in.allowed = false;
  in.retry_after = std::max(in.retry_after, until - now);
}

timestamp limit_blocks::until(const std::string& project, const std::string& scope,
                              const std::string& id, timestamp now) {
  if (blocks_.empty()) return {};
  put_subject(name_, project, scope, id);
  const auto at = blocks_.find(name_);
  return at == blocks_.end() || at->second <= now ? timestamp{} : at->second;
}

void limit_blocks::set(const std::string& project, const std::string& scope, const std::string& id,
                       timestamp until, timestamp now) {
  put_subject(name_, project, scope, id);
  if (until <= now) {
    blocks_.erase(name_);
    return;
  }
  blocks_.insert_or_assign(name_, until);
  remember(until);
}

timestamp limit_blocks::strike(const std::string& project, const limit_check& what, timestamp now) {
  put_limit(name_, project, what);
  const auto at = strikes_.try_emplace(name_).first;
  strikes& kept = at->second;
  if (kept.ends <= now) {
    kept = {.count = 0, .ends = strikes_end(what, now)};
    remember(kept.ends);
  }
  if (++kept.count < what.penalty.after) return {};
  strikes_.erase(at);
  const timestamp before = until(project, what.scope, what.id, now);
  const timestamp ends = std::max(before, now + what.penalty.length);
  set(project, what.scope, what.id, ends, now);
  return ends;
}

void limit_blocks::forget(const std::string& project, const limit_check& what) {
  if (is_empty()) return;
  put_limit(name_, project, what);
  strikes_.erase(name_);
  put_subject(name_, project, what.scope, what.id);
  blocks_.erase(name_);
}

// Of the name in `name_`.
void limit_blocks::remember(timestamp at) {
  endings_.push({at, name_});
  if (endings_.size() < 2 * size() + stale_endings_max) return;
  endings_ = {};
  for (const auto& [name, ends] : blocks_) endings_.push({ends, name});
  for (const auto& [name, kept] : strikes_) endings_.push({kept.ends, name});
}

void limit_blocks::sweep(timestamp now) {
  while (!endings_.empty() && endings_.top().at <= now) {
    const std::string name = endings_.top().name;
    endings_.pop();
    // One that lasts longer than it did then has an entry of its own for that.
    if (const auto at = blocks_.find(name); at != blocks_.end() && at->second <= now) {
      blocks_.erase(at);
    }
    if (const auto at = strikes_.find(name); at != strikes_.end() && at->second.ends <= now) {
      strikes_.erase(at);
    }
  }
}

void limit_blocks::drop_blocks() { blocks_.clear(); }

}  // namespace millrace::engine
