#include "group_writer.hpp"

#include <millrace/engine/cache_refusals.hpp>
#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <utility>

/// The steps of the cache. A put is a row, and so is a mark that a tag was invalidated; a claim is
/// memory only.
namespace millrace::embedded {

using engine::cache_key;

namespace {

std::string lines_of(const std::vector<std::string>& tags) {
  std::string out;
  for (const std::string& tag : tags) {
    if (!out.empty()) out += '\n';
    out += tag;
  }
  return out;
}

}  // namespace

// ---- checks

group_writer::refused group_writer::check_claim(const cache_key& at, std::uint64_t lease) {
  const std::lock_guard held(cache_.mutex);
  const cache_table::claim* found = cache_.find_claim(at);
  if (found == nullptr || found->lease != lease) return engine::stale_lease();
  return std::nullopt;
}

group_writer::refused group_writer::check(const engine::put_cache& step, plan&) {
  if (engine::cache_entry_bytes(step) > with_.cache_bytes_max) {
    return engine::over_cache_quota();
  }
  if (step.expects != engine::cache_expectation::any) {
    const std::lock_guard held(cache_.mutex);
    const cache_table::entry* there = cache_.find(step.at);
    const bool absent = step.expects == engine::cache_expectation::absent;
    if ((there == nullptr) != absent) return engine::version_mismatch();
    const bool by_version = step.expects == engine::cache_expectation::version;
    if (by_version && there->version != step.version) return engine::version_mismatch();
  }
  if (step.lease == 0) return std::nullopt;
  if (refused why = check_claim(step.at, step.lease)) return why;
  const std::lock_guard held(cache_.mutex);
  if (cache_table::is_valid(*cache_.find(step.at.project), step.lease, step.tags)) {
    return std::nullopt;
  }
  return engine::stale_lease();
}

group_writer::refused group_writer::check(const engine::claim_cache& step, plan& with) {
  const std::lock_guard held(cache_.mutex);
  if (cache_.find_claim(step.at) != nullptr) return std::nullopt;
  cache_table::project* in = cache_.find(step.at.project);
  if (in == nullptr) return std::nullopt;
  ++with.claims_added;
  if (in->claims.size() + with.claims_added <= engine::cache_claims_max) return std::nullopt;
  // Those that nobody gave back are forgotten only now: so seldom that it may take a while.
  std::erase_if(in->claims, [this](const auto& each) { return each.second.until <= now_; });
  if (in->claims.size() + with.claims_added <= engine::cache_claims_max) return std::nullopt;
  return engine::too_many_claims();
}

group_writer::refused group_writer::check(const engine::renew_claim& step, plan&) {
  return check_claim(step.at, step.lease);
}

group_writer::refused group_writer::check(const engine::release_claim& step, plan&) {
  return check_claim(step.at, step.lease);
}

group_writer::refused group_writer::check(const engine::delete_cache& step, plan&) {
  if (step.version == 0) return std::nullopt;
  const std::lock_guard held(cache_.mutex);
  const cache_table::entry* there = cache_.find(step.at);
  if (there != nullptr && there->version == step.version) return std::nullopt;
  return engine::version_mismatch();
}

group_writer::refused group_writer::check(const engine::invalidate_tag&, plan&) { return {}; }
group_writer::refused group_writer::check(const engine::delete_matching&, plan&) { return {}; }
group_writer::refused group_writer::check(const engine::clear_cache&, plan&) { return {}; }

// ---- applies

void group_writer::end_claim(cache_table::project& in, const std::string& key) {
  const auto at = in.claims.find(key);
  if (at == in.claims.end()) return;
  in.claims.erase(at);
  claims_ended_.push_back({.project = in.name, .key = key});
}

cache_table::entries::iterator group_writer::forget(cache_table::project& in,
                                                    cache_table::entries::iterator which) {
  static_cast<void>(to_write());
  cache_rows_.remove.put(which->second.version).run();
  return cache_.forget(in, which);
}

engine::outcome group_writer::apply(engine::put_cache& step, const plan&) {
  const std::lock_guard held(cache_.mutex);
  cache_table::project& in = cache_.open(step.at.project);
  const auto before = in.all.find(step.at.key);
  if (before != in.all.end()) forget(in, before);
  cache_table::entry made{.content_type = step.content_type,
                          .tags = step.tags,
                          .version = stamps_.next(now_),
                          .created_at = now_,
                          .expires_at = now_ + step.ttl,
                          .stale_until = now_ + step.ttl + step.stale_for,
                          .bytes = engine::cache_entry_bytes(step),
                          .used = std::chrono::floor<std::chrono::minutes>(now_)};
  made.value = std::make_shared<const std::string>(std::move(step.value));
  const std::string tags = lines_of(made.tags);
  static_cast<void>(to_write());
  cache_rows_.insert.put(made.version).put(in.name).put(step.at.key).put(made.created_at);
  cache_rows_.insert.put(made.expires_at).put(made.stale_until).put(made.bytes);
  cache_rows_.insert.put_filled(made.content_type).put_filled(tags).put_bytes(*made.value).run();
  end_claim(in, step.at.key);
  engine::cache_stored out{
      .version = made.version, .created_at = made.created_at, .expires_at = made.expires_at};
  const cache_table::entry& kept = cache_.add(in, std::move(step.at.key), std::move(made));
  out.evicted = make_room(in, kept);
  return out;
}

std::vector<std::string> group_writer::make_room(cache_table::project& in,
                                                 const cache_table::entry& but) {
  std::vector<std::string> gone;
  while (in.bytes > with_.cache_bytes_max && gone.size() < engine::cache_evictions_max) {
    // The newest stands last, so that it is met only where it is alone.
    const auto oldest = in.by_use.front();
    if (&oldest->second == &but) break;
    gone.push_back(oldest->first);
    forget(in, oldest);
    ++in.evicted;
  }
  return gone;
}

bool group_writer::load_value(cache_table::entry& of) {
  if (of.value) return true;
  cache_rows_.read.put(of.version);
  const reset_after reset(cache_rows_.read);
  if (!cache_rows_.read.row()) return false;
  of.value = std::make_shared<const std::string>(cache_rows_.read.text(0));
  return true;
}

engine::outcome group_writer::apply(engine::claim_cache& step, const plan&) {
  const std::lock_guard held(cache_.mutex);
  cache_table::project& in = cache_.open(step.at.project);
  engine::cache_claimed out{.state = engine::claim_state::wait, .now = now_};
  cache_table::entry* there = cache_.find(step.at);
  if (there != nullptr && load_value(*there)) {
    cache_.note_use(in, *there);
    out.found = view_entry(*there, cache_.is_stale(*there), false);
    if (!out.found->stale) {
      out.state = engine::claim_state::hit;
      return out;
    }
  }
  if (const cache_table::claim* found = cache_.find_claim(step.at)) {
    out.until = found->until;
    return out;
  }
  cache_table::claim& mine = in.claims[step.at.key];
  mine = {.lease = stamps_.next(now_), .until = now_ + step.lease};
  out.state = engine::claim_state::fill;
  out.lease = mine.lease;
  out.until = mine.until;
  return out;
}

engine::outcome group_writer::apply(engine::renew_claim& step, const plan&) {
  const std::lock_guard held(cache_.mutex);
  engine::cache_claimed out{.state = engine::claim_state::fill,
                            .lease = step.lease,
                            .until = now_ + step.length,
                            .now = now_};
  if (cache_table::claim* found = cache_.find_claim(step.at)) found->until = out.until;
  return out;
}

engine::outcome group_writer::apply(engine::release_claim& step, const plan&) {
  const std::lock_guard held(cache_.mutex);
  end_claim(cache_.open(step.at.project), step.at.key);
  return engine::cache_dropped{};
}

engine::outcome group_writer::apply(engine::delete_cache& step, const plan&) {
  const std::lock_guard held(cache_.mutex);
  cache_table::project& in = cache_.open(step.at.project);
  engine::cache_dropped out{.count = cache_.find(step.at) != nullptr ? 1U : 0U};
  const auto at = in.all.find(step.at.key);
  if (at != in.all.end()) forget(in, at);
  end_claim(in, step.at.key);
  return out;
}

void group_writer::write_mark(const std::string& project, std::string_view tag,
                              std::uint64_t stamp) {
  static_cast<void>(to_write());
  cache_rows_.write_mark.put(project).put(tag).put(stamp).run();
}

engine::outcome group_writer::apply(engine::invalidate_tag& step, const plan&) {
  const std::lock_guard held(cache_.mutex);
  cache_table::project& in = cache_.open(step.project);
  const std::uint64_t stamp = stamps_.next(now_);
  write_mark(in.name, step.tag, stamp);
  if (const auto forgotten = cache_.mark(in, step.tag, stamp)) {
    cache_rows_.remove_mark.put(in.name).put(*forgotten).run();
    write_mark(in.name, tags_floor_mark, in.tags_floor);
  }
  return engine::cache_dropped{};
}

engine::outcome group_writer::apply(engine::delete_matching& step, const plan&) {
  const std::lock_guard held(cache_.mutex);
  cache_table::project& in = cache_.open(step.project);
  engine::cache_dropped out;
  const std::string prefix = engine::glob_prefix(step.pattern);
  if (step.cursor.empty()) {
    std::vector<std::string> keys;
    for (const auto& [key, each] : in.claims) {
      if (engine::matches_glob(step.pattern, key)) keys.push_back(key);
    }
    for (const std::string& key : keys) end_claim(in, key);
  }
  // The cursor is the next key to look at.
  auto at = in.all.lower_bound(std::max(prefix, step.cursor));
  for (std::size_t i = 0; at != in.all.end() && at->first.starts_with(prefix); ++i) {
    if (i == engine::cache_scan_rows_max) {
      out.cursor = at->first;
      break;
    }
    if (engine::matches_glob(step.pattern, at->first)) {
      at = forget(in, at);
      ++out.count;
    } else {
      ++at;
    }
  }
  return out;
}

engine::outcome group_writer::apply(engine::clear_cache& step, const plan&) {
  const std::lock_guard held(cache_.mutex);
  cache_table::project& in = cache_.open(step.project);
  in.cleared = stamps_.next(now_);
  write_mark(in.name, cleared_mark, in.cleared);
  for (const auto& [key, each] : std::exchange(in.claims, {})) {
    claims_ended_.push_back({.project = in.name, .key = key});
  }
  engine::cache_dropped out;
  while (!in.all.empty() && out.count < step.max) {
    forget(in, in.all.begin());
    ++out.count;
  }
  if (!in.all.empty()) out.cursor = "more";
  return out;
}

}  // namespace millrace::embedded
