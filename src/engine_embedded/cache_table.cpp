#include "cache_table.hpp"

#include <millrace/engine/checks.hpp>

#include <algorithm>

namespace millrace::embedded {

cache_table::project* cache_table::find(std::string_view name) {
  const auto at = projects_.find(name);
  return at == projects_.end() ? nullptr : &at->second;
}

cache_table::project& cache_table::open(const std::string& name) {
  project& in = projects_[name];
  in.name = name;
  return in;
}

cache_table::entry* cache_table::find(const engine::cache_key& at) {
  project* in = find(at.project);
  if (in == nullptr) return nullptr;
  const auto found = in->all.find(at.key);
  if (found == in->all.end() || found->second.stale_until <= now_) return nullptr;
  entry& there = found->second;
  return is_valid(*in, there.version, there.tags) ? &there : nullptr;
}

cache_table::claim* cache_table::find_claim(const engine::cache_key& at) {
  project* in = find(at.project);
  if (in == nullptr) return nullptr;
  const auto found = in->claims.find(at.key);
  return found == in->claims.end() || found->second.until <= now_ ? nullptr : &found->second;
}

bool cache_table::is_valid(const project& in, std::uint64_t since,
                           const std::vector<std::string>& tags) {
  if (since < in.cleared || (!tags.empty() && since < in.tags_floor)) return false;
  return std::ranges::all_of(tags, [&](const std::string& tag) {
    const auto mark = in.marks.find(tag);
    return mark == in.marks.end() || mark->second < since;
  });
}

void cache_table::note_use(project& in, entry& what) const {
  const timestamp used = std::chrono::floor<std::chrono::minutes>(now_);
  if (used <= what.used) return;
  what.used = used;
  in.by_use.splice(in.by_use.end(), in.by_use, what.by_use);
}

cache_table::entry& cache_table::add(project& in, std::string key, entry what) {
  const auto at = in.all.emplace(std::move(key), std::move(what)).first;
  entry& made = at->second;
  made.by_use = in.by_use.insert(in.by_use.end(), at);
  in.bytes += made.bytes;
  endings_.emplace(std::pair(made.stale_until, made.version), std::pair(&in, at));
  return made;
}

cache_table::entries::iterator cache_table::forget(project& in, entries::iterator which) {
  const entry& what = which->second;
  in.bytes -= what.bytes;
  in.by_use.erase(what.by_use);
  endings_.erase({what.stale_until, what.version});
  return in.all.erase(which);
}

std::optional<std::string> cache_table::mark(project& in, const std::string& tag,
                                             std::uint64_t stamp) {
  const auto [at, is_new] = in.marks.try_emplace(tag, stamp);
  if (!is_new) {
    in.marks_by_age.erase(at->second);
    at->second = stamp;
  }
  in.marks_by_age.emplace(stamp, tag);
  if (in.marks.size() <= engine::cache_tag_marks_max) return std::nullopt;
  const auto oldest = in.marks_by_age.begin();
  set_tags_floor(in, oldest->first);
  std::string forgotten = std::move(oldest->second);
  in.marks_by_age.erase(oldest);
  in.marks.erase(forgotten);
  return forgotten;
}

std::optional<cache_table::ending> cache_table::first_ending() const {
  if (endings_.empty()) return std::nullopt;
  const auto& [at, what] = *endings_.begin();
  return ending{.at = at.first, .in = what.first, .which = what.second};
}

void cache_table::empty() {
  endings_.clear();
  for (auto& [name, in] : projects_) {
    project fresh;
    fresh.name = name;
    fresh.evicted = in.evicted;
    fresh.expired = in.expired;
    in = std::move(fresh);
  }
}

engine::cache_entry view_entry(const cache_table::entry& of, bool stale, bool bare) {
  return {.value = bare ? std::string() : *of.value,
          .content_type = of.content_type,
          .tags = of.tags,
          .version = of.version,
          .created_at = of.created_at,
          .expires_at = of.expires_at,
          .stale_until = of.stale_until,
          .stale = stale};
}

std::optional<result<engine::answer>> cache_table::read(const engine::read_cache& what,
                                                        timestamp clock_now) {
  if (auto ok = engine::check_read(what); !ok) return std::unexpected(std::move(ok.error()));
  engine::read_cache::found out;
  out.entries.reserve(what.keys.size());
  std::size_t bytes = 0;
  const std::lock_guard held(mutex);
  set_now(clock_now);
  out.now = now_;
  project* const in = find(what.project);
  for (const std::string& key : what.keys) {
    entry* there = nullptr;
    if (in != nullptr) {
      const auto found = in->all.find(key);
      if (found != in->all.end()) there = &found->second;
    }
    const bool is_over = there == nullptr || there->stale_until <= now_ ||
                         (!what.stale && is_stale(*there)) ||
                         !is_valid(*in, there->version, there->tags);
    if (is_over) {
      out.entries.emplace_back();
      continue;
    }
    if (!there->value && !what.bare) return std::nullopt;
    if (!what.bare) bytes += there->value->size();
    if (bytes > engine::cache_read_bytes_max && !out.entries.empty()) break;
    note_use(*in, *there);
    out.entries.emplace_back(view_entry(*there, is_stale(*there), what.bare));
  }
  return out;
}

}  // namespace millrace::embedded
