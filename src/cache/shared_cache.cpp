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
    : store_(store), with_(with), state_(std::make_unique<state>()) {}

shared_cache::~shared_cache() = default;

void shared_cache::note(const cache_key& at, const std::optional<cache_entry>& found) {
  ++(found ? found->stale ? state_->stale : state_->hits : state_->misses);
  state_->used.count(at.key);
}

awaitable<result<std::optional<shared_cache::aged_entry>>> shared_cache::get_aged(cache_key at,
                                                                                  stale too) {
  engine::read_cache asked{.project = at.project, .keys = {at.key}, .stale = too == stale::yes};
  auto read = co_await engine::ask(store_, std::move(asked));
  if (!read) co_return std::unexpected(std::move(read.error()));
  std::optional<cache_entry>& found = read->entries.front();
  note(at, found);
  if (!found) co_return std::nullopt;
  const duration age = std::max(duration{0}, read->now - found->created_at);
  co_return aged_entry{.what = std::move(*found), .age = age};
}

awaitable<result<std::optional<cache_entry>>> shared_cache::get(cache_key at, stale too) {
  auto found = co_await get_aged(std::move(at), too);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (!*found) co_return std::nullopt;
  co_return std::move((*found)->what);
}

awaitable<result<std::vector<std::optional<cache_entry>>>> shared_cache::get_some(
    std::string project, std::vector<std::string> keys, stale too) {
  keys.resize(std::min(keys.size(), engine::cache_read_keys_max));
  auto read = co_await engine::ask(
      store_, engine::read_cache{.project = project, .keys = keys, .stale = too == stale::yes});
  if (!read) co_return std::unexpected(std::move(read.error()));
  for (std::size_t i = 0; i < read->entries.size(); ++i) {
    note({.project = project, .key = std::move(keys[i])}, read->entries[i]);
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
    ++state_->puts;
    state_->ttl_ms += static_cast<std::uint64_t>(std::max<std::int64_t>(
        0, std::chrono::duration_cast<std::chrono::milliseconds>(each.ttl).count()));
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

cache_numbers shared_cache::numbers() const {
  cache_numbers out{.hits = state_->hits,
                    .stale = state_->stale,
                    .misses = state_->misses,
                    .puts = state_->puts,
                    .loads = state_->loads,
                    .failed_loads = state_->failed_loads};
  if (out.puts > 0) out.average_ttl = std::chrono::milliseconds{state_->ttl_ms / out.puts};
  if (out.loads > 0) out.average_load = duration{state_->load_us / out.loads};
  for (auto& [key, reads] : state_->used.top(top_keys_shown)) {
    out.top.push_back({.key = std::move(key), .reads = reads});
  }
  return out;
}

}  // namespace millrace::cache
