#include <millrace/engine/limit_blocks.hpp>

#include <millrace/engine/limits.hpp>

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

blocked_id subject_of(std::string_view name, const std::string& project) {
  name.remove_prefix(project.size() + 1);
  const std::size_t zero = name.find('\0');
  return {.scope = std::string(name.substr(0, zero)), .id = std::string(name.substr(zero + 1))};
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
    drop_block(name_);
    return;
  }
  const auto [at, is_new] = blocks_.insert_or_assign(name_, until);
  if (is_new) in_order_.insert(at->first);
  remember(until);
}

result<limit_block_page> limit_blocks::page(const list_limit_blocks& what, timestamp now) const {
  const auto after = parse_block_cursor(what.cursor);
  if (!after) return std::unexpected(after.error());
  std::string first = what.project + '\0';
  if (!what.scope.empty()) first.append(what.scope).append(1, '\0');
  auto at = in_order_.lower_bound(first);
  if (*after) {
    std::string last;
    put_subject(last, what.project, (*after)->scope, (*after)->id);
    at = in_order_.upper_bound(std::max(first, last));
  }
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, page_items_max);
  const auto is_wanted = [&] { return at != in_order_.end() && at->starts_with(first); };
  limit_block_page out;
  blocked_id last;
  std::size_t looked_at = 0;
  for (; is_wanted() && out.items.size() < most && looked_at < listing_rows_max; ++at) {
    ++looked_at;
    last = subject_of(*at, what.project);
    last.until = blocks_.find(*at)->second;
    if (last.until > now) out.items.push_back(last);
  }
  if (is_wanted()) out.cursor = block_cursor(last);
  return out;
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
  drop_block(name_);
}

void limit_blocks::drop_block(const std::string& name) {
  const auto at = blocks_.find(name);
  if (at == blocks_.end()) return;
  in_order_.erase(at->first);
  blocks_.erase(at);
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
      drop_block(name);
    }
    if (const auto at = strikes_.find(name); at != strikes_.end() && at->second.ends <= now) {
      strikes_.erase(at);
    }
  }
}

void limit_blocks::drop_blocks() {
  in_order_.clear();
  blocks_.clear();
}

}  // namespace millrace::engine
