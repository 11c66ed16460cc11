#include "model_cache.hpp"

#include <millrace/engine/cache_refusals.hpp>
#include <millrace/engine/checks.hpp>

#include <algorithm>
#include <tuple>
#include <utility>

namespace millrace::model {

using engine::cache_entry;
using engine::cache_expectation;
using engine::cache_key;

// ---- what is there

bool cache_model::is_valid(const project& in, std::uint64_t since,
                           const std::vector<std::string>& tags) {
  if (since < in.cleared || (!tags.empty() && since < in.tags_floor)) return false;
  return std::ranges::all_of(tags, [&](const std::string& tag) {
    const auto mark = in.marks.find(tag);
    return mark == in.marks.end() || mark->second < since;
  });
}

const cache_model::project* cache_model::find(const std::string& name) const {
  const auto at = projects_.find(name);
  return at == projects_.end() ? nullptr : &at->second;
}

const cache_model::record* cache_model::find(const cache_key& at) const {
  const project* in = find(at.project);
  if (in == nullptr) return nullptr;
  const auto found = in->entries.find(at.key);
  if (found == in->entries.end()) return nullptr;
  const record& entry = found->second;
  return is_valid(*in, entry.what.version, entry.what.tags) ? &entry : nullptr;
}

const cache_model::claim* cache_model::find_claim(const cache_key& at, timestamp now) const {
  const project* in = find(at.project);
  if (in == nullptr) return nullptr;
  const auto found = in->claims.find(at.key);
  return found == in->claims.end() || found->second.until <= now ? nullptr : &found->second;
}

cache_entry cache_model::view(const record& of, timestamp now) {
  cache_entry out = of.what;
  out.stale = now >= out.expires_at;
  return out;
}

void cache_model::expire(timestamp now) {
  for (auto& [name, in] : projects_) {
    for (auto at = in.entries.begin(); at != in.entries.end();) {
      if (at->second.what.stale_until > now) {
        ++at;
        continue;
      }
      ++in.expired;
      at = forget(in, at);
    }
    std::erase_if(in.claims, [now](const auto& held) { return held.second.until <= now; });
  }
}

void cache_model::end_claims() {
  for (auto& [name, in] : projects_) in.claims.clear();
}

std::set<cache_key> cache_model::take_hints() { return std::exchange(hints_, {}); }

void cache_model::end_claim(const cache_key& at) {
  if (projects_[at.project].claims.erase(at.key) > 0) hints_.insert(at);
}

cache_model::entries::iterator cache_model::forget(project& from, entries::iterator which) {
  from.bytes -= which->second.bytes;
  return from.entries.erase(which);
}

std::vector<std::string> cache_model::evict(project& from, const std::string& but) {
  std::vector<std::string> gone;
  for (std::size_t i = 0; i < engine::cache_evictions_max && from.bytes > bytes_max_; ++i) {
    auto oldest = from.entries.end();
    for (auto at = from.entries.begin(); at != from.entries.end(); ++at) {
      if (at->first == but) continue;
      if (oldest == from.entries.end() || at->second.used < oldest->second.used) oldest = at;
    }
    if (oldest == from.entries.end()) break;
    gone.push_back(oldest->first);
    forget(from, oldest);
    ++from.evicted;
  }
  return gone;
}

// ---- checks

cache_model::refused cache_model::check_lease(const cache_key& at, std::uint64_t lease,
                                              timestamp now) const {
  const claim* held = find_claim(at, now);
  if (held != nullptr && held->lease == lease) return std::nullopt;
  return engine::stale_lease();
}

cache_model::refused cache_model::check(const engine::put_cache& step, std::size_t&,
                                        timestamp now) const {
  if (engine::cache_entry_bytes(step) > bytes_max_) {
    return engine::over_cache_quota();
  }
  const record* there = find(step.at);
  const bool as_expected = step.expects == cache_expectation::any ||
                           (step.expects == cache_expectation::absent && there == nullptr) ||
                           (step.expects == cache_expectation::present && there != nullptr) ||
                           (step.expects == cache_expectation::version && there != nullptr &&
                            there->what.version == step.version);
  if (!as_expected) return engine::version_mismatch();
  if (step.lease == 0) return std::nullopt;
  if (refused why = check_lease(step.at, step.lease, now)) return why;
  if (is_valid(*find(step.at.project), step.lease, step.tags)) return std::nullopt;
  return engine::stale_lease();
}

cache_model::refused cache_model::check(const engine::claim_cache& step, std::size_t& claims_added,
                                        timestamp now) const {
  if (find_claim(step.at, now) != nullptr) return std::nullopt;
  const project* in = find(step.at.project);
  const std::size_t held = in == nullptr ? 0 : in->claims.size();
  if (held + ++claims_added <= engine::cache_claims_max) return std::nullopt;
  return engine::too_many_claims();
}

cache_model::refused cache_model::check(const engine::renew_claim& step, std::size_t&,
                                        timestamp now) const {
  return check_lease(step.at, step.lease, now);
}

cache_model::refused cache_model::check(const engine::release_claim& step, std::size_t&,
                                        timestamp now) const {
  return check_lease(step.at, step.lease, now);
}

cache_model::refused cache_model::check(const engine::delete_cache& step, std::size_t&,
                                        timestamp) const {
  if (step.version == 0) return std::nullopt;
  const record* there = find(step.at);
  if (there != nullptr && there->what.version == step.version) return std::nullopt;
  return engine::version_mismatch();
}

// ---- applies

engine::outcome cache_model::apply(const engine::put_cache& step, const moment& at) {
  project& in = projects_[step.at.project];
  const auto before = in.entries.find(step.at.key);
  if (before != in.entries.end()) forget(in, before);
  record& made = in.entries[step.at.key];
  made.what = {.value = step.value,
               .content_type = step.content_type,
               .tags = step.tags,
               .version = at.next_stamp(),
               .created_at = at.now,
               .expires_at = at.now + step.ttl,
               .stale_until = at.now + step.ttl + step.stale_for};
  made.bytes = engine::cache_entry_bytes(step);
  made.used = std::chrono::floor<std::chrono::minutes>(at.now);
  in.bytes += made.bytes;
  end_claim(step.at);
  return engine::cache_stored{.version = made.what.version,
                              .created_at = made.what.created_at,
                              .expires_at = made.what.expires_at,
                              .evicted = evict(in, step.at.key)};
}

engine::outcome cache_model::apply(const engine::claim_cache& step, const moment& at) {
  project& in = projects_[step.at.project];
  engine::cache_claimed out{.state = engine::claim_state::wait, .now = at.now};
  if (find(step.at) != nullptr) {
    record& there = in.entries.at(step.at.key);
    there.used = std::chrono::floor<std::chrono::minutes>(at.now);
    out.found = view(there, at.now);
    if (!out.found->stale) {
      out.state = engine::claim_state::hit;
      return out;
    }
  }
  if (const claim* held = find_claim(step.at, at.now)) {
    out.until = held->until;
    return out;
  }
  claim& mine = in.claims[step.at.key];
  mine = {.lease = at.next_stamp(), .until = at.now + step.lease};
  out.state = engine::claim_state::fill;
  out.lease = mine.lease;
  out.until = mine.until;
  return out;
}

engine::outcome cache_model::apply(const engine::renew_claim& step, const moment& at) {
  claim& held = projects_[step.at.project].claims[step.at.key];
  held.until = at.now + step.length;
  return engine::cache_claimed{.state = engine::claim_state::fill,
                               .found = std::nullopt,
                               .lease = held.lease,
                               .until = held.until,
                               .now = at.now};
}

engine::outcome cache_model::apply(const engine::release_claim& step, const moment&) {
  end_claim(step.at);
  return engine::cache_dropped{};
}

engine::outcome cache_model::apply(const engine::delete_cache& step, const moment&) {
  project& in = projects_[step.at.project];
  engine::cache_dropped out{.count = find(step.at) != nullptr ? 1U : 0U};
  const auto at = in.entries.find(step.at.key);
  if (at != in.entries.end()) forget(in, at);
  end_claim(step.at);
  return out;
}

engine::outcome cache_model::apply(const engine::invalidate_tag& step, const moment& at) {
  project& in = projects_[step.project];
  in.marks[step.tag] = at.next_stamp();
  if (in.marks.size() > engine::cache_tag_marks_max) {
    const auto oldest =
        std::ranges::min_element(in.marks, {}, [](const auto& mark) { return mark.second; });
    in.tags_floor = std::max(in.tags_floor, oldest->second);
    in.marks.erase(oldest);
  }
  return engine::cache_dropped{};
}

engine::outcome cache_model::apply(const engine::delete_matching& step, const moment&) {
  project& in = projects_[step.project];
  engine::cache_dropped out;
  std::vector<std::string> keys;
  for (const auto& [key, held] : in.claims) {
    if (step.cursor.empty() && engine::matches_glob(step.pattern, key)) keys.push_back(key);
  }
  for (const std::string& key : keys) end_claim({.project = step.project, .key = key});
  for (auto at = in.entries.begin(); at != in.entries.end();) {
    if (engine::matches_glob(step.pattern, at->first)) {
      at = forget(in, at);
      ++out.count;
    } else {
      ++at;
    }
  }
  return out;
}

engine::outcome cache_model::apply(const engine::clear_cache& step, const moment& at) {
  project& in = projects_[step.project];
  in.cleared = at.next_stamp();
  for (const auto& [key, held] : std::exchange(in.claims, {})) {
    hints_.insert({.project = step.project, .key = key});
  }
  engine::cache_dropped out;
  while (!in.entries.empty() && out.count < step.max) {
    forget(in, in.entries.begin());
    ++out.count;
  }
  if (!in.entries.empty()) out.cursor = "more";
  return out;
}

// ---- queries

result<engine::answer> cache_model::read(const engine::read_cache& what, timestamp now) {
  if (auto ok = engine::check_read(what); !ok) return std::unexpected(ok.error());
  engine::read_cache::found out{.entries = {}, .now = now};
  std::size_t bytes = 0;
  for (const std::string& key : what.keys) {
    const cache_key at{.project = what.project, .key = key};
    std::optional<cache_entry> entry;
    if (const record* there = find(at)) entry = view(*there, now);
    if (entry && entry->stale && !what.stale) entry.reset();
    if (entry && what.bare) entry->value.clear();
    if (entry) bytes += entry->value.size();
    if (bytes > engine::cache_read_bytes_max && !out.entries.empty()) break;
    if (entry) {
      projects_[what.project].entries.at(key).used = std::chrono::floor<std::chrono::minutes>(now);
    }
    out.entries.push_back(std::move(entry));
  }
  return out;
}

result<engine::answer> cache_model::read(const engine::list_cache& what, timestamp) {
  engine::list_cache::rows out;
  if (!what.cursor.empty() && what.cursor.front() != '@') {
    return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
  }
  const project* in = find(what.project);
  if (in == nullptr) return out;
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  auto at =
      what.cursor.empty() ? in->entries.begin() : in->entries.upper_bound(what.cursor.substr(1));
  for (; at != in->entries.end(); ++at) {
    if (!what.pattern.empty() && !engine::matches_glob(what.pattern, at->first)) continue;
    if (out.items.size() == most) {
      out.cursor = "@" + out.items.back().key;
      break;
    }
    out.items.push_back({.key = at->first, .bytes = at->second.bytes});
  }
  return out;
}

result<engine::answer> cache_model::read(const engine::read_cache_stats& what, timestamp) {
  engine::read_cache_stats::numbers out{.bytes_max = bytes_max_};
  if (const project* in = find(what.project)) {
    out.entries = in->entries.size();
    out.bytes = in->bytes;
    out.claims = in->claims.size();
    out.evicted = in->evicted;
    out.expired = in->expired;
  }
  return out;
}

}  // namespace millrace::model
