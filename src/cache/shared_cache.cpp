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
    : store_(store),
      with_(with),
      state_(std::make_unique<state>(store, with.loads_behind_max)),
      families_(with.declared == nullptr ? &state_->none : &with.declared->families) {
  for (const family& one : families().families()) {
    state_->numbers.emplace(one.spec.name, one.number);
  }
}

shared_cache::~shared_cache() = default;

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
  std::vector<result<engine::cache_stored>> out(what.size());
  std::vector<engine::put_cache> steps;
  for (std::size_t i = 0; i < what.size(); ++i) {
    if (auto ready = prepare(what[i]); !ready) {
      out[i] = std::unexpected(std::move(ready.error()));
    } else {
      steps.push_back(std::move(what[i]));
    }
  }
  if (steps.empty()) co_return out;
  auto done = co_await commit_steps<engine::cache_stored>(store_, std::move(steps));
  auto next = done.begin();
  for (auto& each : out) {
    if (!each) continue;
    each = std::move(*next++);
    if (each) count_evicted(*each);
  }
  co_return out;
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
    if (auto ready = prepare(each); !ready) {
      error why = std::move(ready.error());
      why.field = fmt::format("{}.{}", all.steps.size(), why.field);
      co_return std::unexpected(std::move(why));
    }
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
    count_evicted(out.back());
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
                    .crowded_out = state_->behind.refused(),
                    .undecodable = all.undecodable};
  for (used_key& one : state_->stats.top(top_keys_shown)) {
    std::string name{family_name(one.key)};
    out.top.push_back({.key = std::move(one.key),
                       .reads = one.count,
                       .misses = one.misses,
                       .family = std::move(name)});
  }
  return out;
}

}  // namespace millrace::cache
