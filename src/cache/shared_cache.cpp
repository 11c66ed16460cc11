#include <millrace/cache/shared_cache.hpp>

#include "cache_state.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine/checks.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace millrace::cache {

using engine::cache_entry;
using engine::cache_key;

namespace {

/// What is cached can be made again: nobody waits for a disk.
constexpr engine::durability cache_level = engine::durability::async;

/// A `ttl` of zero is given only by whoever leaves it to the cache.
void apply_default(engine::put_cache& what, duration ttl) {
  if (what.ttl == duration{0}) what.ttl = ttl;
}

template <class Outcome, class Step>
awaitable<std::vector<result<Outcome>>> commit_steps(engine::store& store,
                                                     std::vector<Step> steps) {
  std::vector<engine::transaction> batch;
  batch.reserve(steps.size());
  for (Step& each : steps) {
    engine::transaction& one = batch.emplace_back();
    one.level = cache_level;
    one.steps.emplace_back(std::move(each));
  }
  std::vector<engine::commit_result> done = co_await engine::commit_each(store, std::move(batch));
  std::vector<result<Outcome>> out;
  out.reserve(done.size());
  for (engine::commit_result& each : done) {
    if (each) {
      out.emplace_back(std::get<Outcome>(std::move(each->outcomes.front())));
    } else {
      out.emplace_back(std::unexpected(std::move(each.error().why)));
    }
  }
  co_return out;
}

}  // namespace

shared_cache::shared_cache(engine::store& store, settings with)
    : store_(store), with_(with), state_(std::make_unique<state>(with.loads_behind_max)) {}

shared_cache::~shared_cache() = default;

void shared_cache::note(const cache_key& at, const std::optional<cache_entry>& found) {
  if (found) {
    state_->stats.hit(access_stats::no_family, at.key, found->stale);
  } else {
    state_->stats.miss(access_stats::no_family, at.key);
  }
}

std::optional<shared_cache::aged_entry> shared_cache::find_near(const cache_key& at, stale too) {
  if (with_.near == nullptr) return std::nullopt;
  auto hit = with_.near->find(at, too == stale::yes);
  if (!hit) return std::nullopt;
  state_->stats.hit(access_stats::no_family, at.key, hit->what.stale);
  state_->near_hits.fetch_add(1, std::memory_order_relaxed);
  return aged_entry{.what = std::move(hit->what), .age = hit->age};
}

awaitable<result<std::optional<shared_cache::aged_entry>>> shared_cache::get_aged(cache_key at,
                                                                                  stale too) {
  if (auto near = find_near(at, too)) co_return near;
  near_cache::ticket asked{};
  if (with_.near != nullptr) asked = with_.near->take_ticket();
  engine::read_cache query{.project = at.project, .keys = {at.key}, .stale = too == stale::yes};
  auto read = co_await engine::ask(store_, std::move(query));
  if (!read) co_return std::unexpected(std::move(read.error()));
  std::optional<cache_entry>& found = read->entries.front();
  note(at, found);
  if (!found) co_return std::nullopt;
  if (with_.near != nullptr) with_.near->keep(at, *found, asked, read->now);
  const duration age = std::max(duration{0}, read->now - found->created_at);
  co_return aged_entry{.what = std::move(*found), .age = age};
}

awaitable<result<std::optional<cache_entry>>> shared_cache::get(cache_key at, stale too) {
  auto found = co_await get_aged(std::move(at), too);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (!*found) co_return std::nullopt;
  co_return std::move((*found)->what);
}

// Only where all are there: a part of them saves no round trip.
std::optional<std::vector<std::optional<cache_entry>>> shared_cache::find_all_near(
    const std::string& project, const std::vector<std::string>& keys, stale too) {
  if (with_.near == nullptr || keys.empty()) return std::nullopt;
  std::vector<std::optional<cache_entry>> all;
  std::size_t bytes = 0;
  for (const std::string& key : keys) {
    auto hit = with_.near->find({.project = project, .key = key}, too == stale::yes);
    if (!hit) return std::nullopt;
    bytes += hit->what.value.size();
    if (bytes > engine::cache_read_bytes_max && !all.empty()) break;
    all.emplace_back(std::move(hit->what));
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    note({.project = project, .key = keys[i]}, all[i]);
  }
  state_->near_hits.fetch_add(all.size(), std::memory_order_relaxed);
  return all;
}

awaitable<result<std::vector<std::optional<cache_entry>>>> shared_cache::get_some(
    std::string project, std::vector<std::string> keys, stale too) {
  keys.resize(std::min(keys.size(), engine::cache_read_keys_max));
  if (auto near = find_all_near(project, keys, too)) co_return std::move(*near);
  near_cache::ticket asked{};
  if (with_.near != nullptr) asked = with_.near->take_ticket();
  auto read = co_await engine::ask(
      store_, engine::read_cache{.project = project, .keys = keys, .stale = too == stale::yes});
  if (!read) co_return std::unexpected(std::move(read.error()));
  for (std::size_t i = 0; i < read->entries.size(); ++i) {
    const cache_key at{.project = project, .key = std::move(keys[i])};
    note(at, read->entries[i]);
    if (with_.near != nullptr && read->entries[i]) {
      with_.near->keep(at, *read->entries[i], asked, read->now);
    }
  }
  co_return std::move(read->entries);
}

awaitable<result<std::vector<std::optional<cache_entry>>>> shared_cache::get_many(
    std::string project, std::vector<std::string> keys, stale too) {
  std::vector<std::optional<cache_entry>> out;
  out.reserve(keys.size());
  while (out.size() < keys.size()) {
    const auto first = keys.begin() + static_cast<std::ptrdiff_t>(out.size());
    auto some = co_await get_some(project, std::vector<std::string>(first, keys.end()), too);
    if (!some) co_return std::unexpected(std::move(some.error()));
    std::ranges::move(*some, std::back_inserter(out));
  }
  co_return out;
}

awaitable<std::vector<result<engine::cache_stored>>> shared_cache::put_each(
    std::vector<engine::put_cache> what) {
  for (engine::put_cache& each : what) {
    apply_default(each, with_.default_ttl);
    state_->stats.stored(access_stats::no_family, each.value.size(), each.ttl);
  }
  return commit_steps<engine::cache_stored>(store_, std::move(what));
}

awaitable<result<engine::cache_stored>> shared_cache::put(engine::put_cache what) {
  std::vector<engine::put_cache> one;
  one.push_back(std::move(what));
  auto done = co_await put_each(std::move(one));
  co_return std::move(done.front());
}

awaitable<result<std::vector<engine::cache_stored>>> shared_cache::put_all(
    std::vector<engine::put_cache> what) {
  engine::transaction all{.level = cache_level};
  for (engine::put_cache& each : what) {
    apply_default(each, with_.default_ttl);
    all.steps.emplace_back(std::move(each));
  }
  engine::commit_result done = co_await engine::commit(store_, std::move(all));
  if (!done) {
    error why = std::move(done.error().why);
    why.field = fmt::format("{}.{}", done.error().step_index, why.field);
    co_return std::unexpected(std::move(why));
  }
  std::vector<engine::cache_stored> out;
  for (const engine::outcome& each : done->outcomes) {
    out.push_back(std::get<engine::cache_stored>(each));
  }
  co_return out;
}

awaitable<std::vector<result<std::uint64_t>>> shared_cache::remove_each(
    std::vector<engine::delete_cache> what) {
  auto done = co_await commit_steps<engine::cache_dropped>(store_, std::move(what));
  std::vector<result<std::uint64_t>> out;
  for (result<engine::cache_dropped>& each : done) {
    if (each) {
      out.emplace_back(each->count);
    } else {
      out.emplace_back(std::unexpected(std::move(each.error())));
    }
  }
  co_return out;
}

awaitable<result<std::uint64_t>> shared_cache::remove(engine::delete_cache what) {
  auto done =
      co_await engine::commit_step<engine::cache_dropped>(store_, std::move(what), cache_level);
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return done->count;
}

awaitable<result<void>> shared_cache::invalidate(std::string project, std::string tag) {
  auto done = co_await engine::commit_step<engine::cache_dropped>(
      store_, engine::invalidate_tag{.project = std::move(project), .tag = std::move(tag)},
      cache_level);
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return result<void>();
}

awaitable<result<std::uint64_t>> shared_cache::remove_matching(std::string project,
                                                               std::string pattern) {
  engine::delete_matching step{.project = std::move(project), .pattern = std::move(pattern)};
  std::uint64_t count = 0;
  do {
    auto done = co_await engine::commit_step<engine::cache_dropped>(store_, step, cache_level);
    if (!done) co_return std::unexpected(std::move(done.error()));
    count += done->count;
    step.cursor = std::move(done->cursor);
  } while (!step.cursor.empty());
  co_return count;
}

awaitable<result<std::uint64_t>> shared_cache::clear(std::string project) {
  const engine::clear_cache step{.project = std::move(project)};
  std::uint64_t count = 0;
  while (true) {
    auto done = co_await engine::commit_step<engine::cache_dropped>(store_, step, cache_level);
    if (!done) co_return std::unexpected(std::move(done.error()));
    count += done->count;
    if (done->cursor.empty()) co_return count;
  }
}

awaitable<void> shared_cache::stop() { return state_->behind.stop(); }

cache_numbers shared_cache::numbers() const {
  const family_figures all = state_->stats.all();
  cache_numbers out{.hits = all.hits - std::min(all.hits, all.stale),
                    .stale = all.stale,
                    .misses = all.misses,
                    .puts = all.stored,
                    .average_ttl = all.average_ttl(),
                    .loads = all.loads,
                    .failed_loads = all.failed_loads,
                    .average_load = all.average_load_time(),
                    .near_hits = state_->near_hits,
                    .crowded_out = state_->behind.refused()};
  for (used_key& one : state_->stats.top(top_keys_shown)) {
    out.top.push_back({.key = std::move(one.key), .reads = one.count});
  }
  return out;
}

}  // namespace millrace::cache
