#include "group_writer.hpp"
#include "sql.hpp"

#include <millrace/engine/checks.hpp>
#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <fstream>
#include <functional>
#include <utility>

/// The cache from the disk to memory, what of it is over, and what can be read.
namespace millrace::embedded {
namespace {

/// Entries forgotten with one group because their time is over, beside those it was made for.
constexpr std::size_t swept_max = 1000;

std::vector<std::string> tags_of(std::string_view lines) {
  std::vector<std::string> out;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    out.emplace_back(lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return out;
}

// Which run of the kernel this is, as a number; 0 where it is not told.
std::uint64_t this_boot() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  if (!std::getline(file, id) || id.empty()) return 0;
  constexpr std::uint64_t positive = ~(std::uint64_t{1} << 63U);
  return std::max<std::uint64_t>(1, std::hash<std::string>{}(id)&positive);
}

}  // namespace

cache_rows::cache_rows(database& db)
    : insert(db, sql::insert_cache),
      remove(db, sql::delete_cache),
      read(db, sql::read_cache),
      write_mark(db, sql::write_cache_mark),
      remove_mark(db, sql::delete_cache_mark) {}

// An entry may be answered for before it is on disk, and so may its end be. A process that dies
// leaves both; a machine that dies may lose the latest, and then nothing of it is to be believed.
void group_writer::distrust_cache(bool clean, std::uint64_t boot_before) {
  const std::uint64_t boot = this_boot();
  if (!clean && (boot == 0 || boot != boot_before)) {
    statement(*db_, sql::empty_cache).run();
    statement(*db_, sql::empty_cache_marks).run();
  }
  write_meta_.put(std::string_view("boot")).put(boot).run();
}

void group_writer::load_cache() {
  const std::lock_guard held(cache_.mutex);
  cache_.empty();
  cache_.set_now(now_);
  statement rows(*db_, sql::read_cache_rows);
  while (rows.row()) {
    cache_table::project& in = cache_.open(std::string(rows.text(1)));
    cache_.add(in, std::string(rows.text(2)),
               {.content_type = std::string(rows.text(7)),
                .tags = tags_of(rows.text(8)),
                .version = rows.natural(0),
                .created_at = from_micros(rows.integer(3)),
                .expires_at = from_micros(rows.integer(4)),
                .stale_until = from_micros(rows.integer(5)),
                .bytes = rows.natural(6),
                .used = std::chrono::floor<std::chrono::minutes>(from_micros(rows.integer(3)))});
  }
  statement marks(*db_, sql::read_cache_marks);
  while (marks.row()) {
    cache_table::project& in = cache_.open(std::string(marks.text(0)));
    const std::string tag(marks.text(1));
    const std::uint64_t stamp = marks.natural(2);
    if (tag == cleared_mark) {
      in.cleared = stamp;
    } else if (tag == tags_floor_mark) {
      cache_.set_tags_floor(in, stamp);
    } else {
      static_cast<void>(cache_.mark(in, tag, stamp));
    }
  }
}

void group_writer::sweep_cache() {
  const std::lock_guard held(cache_.mutex);
  cache_.set_now(now_);
  for (std::size_t i = 0; i < swept_max && !db_->failed(); ++i) {
    const auto first = cache_.first_ending();
    if (!first || first->at > now_) return;
    ++first->in->expired;
    forget(*first->in, first->which);
  }
}

std::optional<timestamp> group_writer::next_cache_ending() {
  const std::lock_guard held(cache_.mutex);
  const auto first = cache_.first_ending();
  if (!first) return std::nullopt;
  // Nobody sees what is over, so that several can go together.
  return std::max<timestamp>(first->at, now_) + std::chrono::milliseconds{100};
}

result<engine::answer> group_writer::answer(const engine::read_cache& what) {
  {
    const std::lock_guard held(cache_.mutex);
    std::size_t bytes = 0;
    for (const std::string& key : what.keys) {
      cache_table::entry* there = cache_.find({.project = what.project, .key = key});
      if (there == nullptr || what.bare) continue;
      if (!load_value(*there)) break;
      bytes += there->value->size();
      if (bytes > engine::cache_read_bytes_max) break;
    }
  }
  if (auto found = cache_.read(what, now_)) return std::move(*found);
  return fail(errc::corrupted, "database_corrupt", "A value of the cache cannot be read.");
}

result<engine::answer> group_writer::answer(const engine::list_cache& what) {
  if (!what.cursor.empty() && what.cursor.front() != '@') {
    return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
  }
  engine::list_cache::rows out;
  const std::lock_guard held(cache_.mutex);
  cache_table::project* in = cache_.find(what.project);
  if (in == nullptr) return out;
  const std::string prefix = engine::glob_prefix(what.pattern);
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  // The cursor is the next key to look at.
  auto at = in->all.lower_bound(what.cursor.empty() ? prefix : what.cursor.substr(1));
  for (std::size_t i = 0; at != in->all.end() && at->first.starts_with(prefix); ++at, ++i) {
    if (i == engine::listing_rows_max || out.items.size() == most) {
      out.cursor = "@" + at->first;
      break;
    }
    if (at->second.stale_until <= now_) continue;
    if (!what.pattern.empty() && !engine::matches_glob(what.pattern, at->first)) continue;
    out.items.push_back({.key = at->first, .bytes = at->second.bytes});
  }
  return out;
}

result<engine::answer> group_writer::answer(const engine::read_cache_stats& what) {
  engine::read_cache_stats::numbers out{.bytes_max = with_.cache_bytes_max};
  const std::lock_guard held(cache_.mutex);
  const cache_table::project* in = cache_.find(what.project);
  if (in == nullptr) return out;
  out.entries = in->all.size();
  out.bytes = in->bytes;
  out.evicted = in->evicted;
  out.expired = in->expired;
  out.claims = static_cast<std::uint64_t>(std::ranges::count_if(
      in->claims, [this](const auto& each) { return each.second.until > now_; }));
  return out;
}

}  // namespace millrace::embedded
