#include <millrace/cache/local_cache.hpp>

#include "local_table.hpp"
#include "text_hash.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/cache/entry_limits.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <mutex>
#include <random>
#include <utility>

namespace millrace::cache {

class local_cache::shard final {
public:
  explicit shard(std::size_t bytes) : table(bytes) {}

  mutable std::mutex held;
  local_table table;
  std::uint64_t hits{0};
  std::uint64_t stale_hits{0};
  std::uint64_t misses{0};
  std::uint32_t swept{0};
};

namespace {

std::size_t default_shards(std::size_t bytes) noexcept {
  return std::clamp<std::size_t>(std::bit_floor(bytes / local_shard_bytes), 1, local_shards_max);
}

// Those who invalidate at the same time may come in any order.
void raise(std::atomic<std::uint64_t>& barrier, std::uint64_t number) noexcept {
  std::uint64_t before = barrier.load(std::memory_order_relaxed);
  while (before < number &&
         !barrier.compare_exchange_weak(before, number, std::memory_order_acq_rel)) {
  }
}

}  // namespace

result<std::unique_ptr<local_cache>> local_cache::make(local_cache_options options) {
  if (options.bytes < local_bytes_min) {
    return invalid("bytes", fmt::format("a local cache has at least {} bytes, not {}",
                                        local_bytes_min, options.bytes));
  }
  if (options.shards == 0) options.shards = default_shards(options.bytes);
  if (!std::has_single_bit(options.shards) || options.shards > local_shards_max ||
      options.bytes / options.shards < local_bytes_min) {
    return invalid("shards",
                   fmt::format("the parts are a power of two up to {}, with {} bytes or more each",
                               local_shards_max, local_bytes_min));
  }
  return std::unique_ptr<local_cache>(new local_cache(options));
}

local_cache::local_cache(const local_cache_options& options)
    : key_barriers_(local_barriers), tag_barriers_(local_barriers), seed_(std::random_device{}()) {
  seed_ = (seed_ << 32) | std::random_device{}();
  for (std::size_t i = 0; i < options.shards; ++i) {
    shards_.push_back(std::make_unique<shard>(options.bytes / options.shards));
  }
}

local_cache::~local_cache() = default;

local_cache::shard& local_cache::shard_of(std::uint64_t hash) const noexcept {
  return *shards_[hash & (shards_.size() - 1)];
}

std::uint64_t local_cache::barrier_of(const barriers& of, std::uint64_t hash) noexcept {
  return of[(hash >> 16) & (local_barriers - 1)].load(std::memory_order_acquire);
}

void local_cache::raise_barrier(barriers& of, std::uint64_t hash) noexcept {
  const std::uint64_t number = sequence_.fetch_add(1, std::memory_order_seq_cst) + 1;
  raise(of[(hash >> 16) & (local_barriers - 1)], number);
}

bool local_cache::tags_moved(const cached_value& value, std::uint64_t since) const noexcept {
  return std::ranges::any_of(value.tags(), [&](tag_id tag) {
    return barrier_of(tag_barriers_, std::to_underlying(tag)) > since;
  });
}

bool local_cache::outdated(const cached_value& value, std::uint64_t hash,
                           std::uint64_t since) const noexcept {
  return all_at_.load(std::memory_order_acquire) > since ||
         barrier_of(key_barriers_, hash) > since || tags_moved(value, since);
}

local_cache::standing local_cache::standing_of(const cached_value& value,
                                               timestamp now) const noexcept {
  const std::int64_t lost_at = lost_at_.load(std::memory_order_acquire);
  if (lost_at == 0) [[likely]] {
    if (now < value.expires_at()) return standing::fresh;
    return now < value.expires_at() + value.stale_for() ? standing::stale : standing::gone;
  }
  const timestamp lost = from_micros(lost_at);
  const bool could_be_served = lost < value.expires_at() + value.stale_for();
  return could_be_served && now < lost + value.outage_for() ? standing::stale : standing::gone;
}

local_hit local_cache::get(std::string_view key, timestamp now) {
  const std::uint64_t hash = text_hash(key, seed_);
  shard& in = shard_of(hash);
  // Freed after the lock.
  cached_value dropped;
  const std::scoped_lock lock(in.held);
  local_table::bucket* const found = in.table.find(hash, key);
  if (found == nullptr) {
    ++in.misses;
    return {};
  }
  cached_value value = local_table::value_of(*found);
  const standing state = standing_of(value, now);
  if (state == standing::gone ||
      (!value.tags().empty() && tags_moved(value, in.table.at(found->index).since))) [[unlikely]] {
    ++in.misses;
    dropped = in.table.remove(found->index);
    return {};
  }
  local_table::use(*found);
  const bool stale = state == standing::stale;
  ++(stale ? in.stale_hits : in.hits);
  return {std::move(value), stale};
}

put_outcome local_cache::put(cached_value value, load_ticket since, timestamp now) {
  MILLRACE_ASSERT(value);
  const std::uint64_t hash = text_hash(value.key(), seed_);
  shard& in = shard_of(hash);
  if (value.memory_bytes() > in.table.bytes_max() / 4) {
    // What it was meant to replace is old all the same.
    evict(value.key());
    return put_outcome::too_large;
  }
  if (now >= value.expires_at() + value.stale_for()) return put_outcome::expired;
  const std::uint64_t number = std::to_underlying(since);
  std::vector<cached_value> dropped;
  const std::scoped_lock lock(in.held);
  // An invalidation raises its barrier first and takes this lock then: either it is seen here, or
  // it will find what is put here.
  if (outdated(value, hash, number)) return put_outcome::outdated;
  const local_table::bucket* const found = in.table.find(hash, value.key());
  if (found == nullptr) {
    in.table.insert(hash, std::move(value), number, now, dropped);
    return put_outcome::stored;
  }
  const std::uint32_t index = found->index;
  if (in.table.at(index).value.version() > value.version()) return put_outcome::older_version;
  in.table.replace(index, std::move(value), number, now, dropped);
  return put_outcome::stored;
}

void local_cache::evict(std::string_view key) {
  const std::uint64_t hash = text_hash(key, seed_);
  raise_barrier(key_barriers_, hash);
  shard& in = shard_of(hash);
  cached_value dropped;
  const std::scoped_lock lock(in.held);
  const local_table::bucket* const found = in.table.find(hash, key);
  if (found != nullptr) dropped = in.table.remove(found->index);
}

void local_cache::evict_tag(std::string_view tag) {
  // Entries carry their tags and are void from here on; they leave when they are met.
  raise_barrier(tag_barriers_, std::to_underlying(to_tag_id(tag)));
}

std::size_t local_cache::evict_where(const std::function<bool(std::string_view)>& matches) {
  // Loads under way are not kept: their keys are not known here.
  raise(all_at_, sequence_.fetch_add(1, std::memory_order_seq_cst) + 1);
  std::size_t gone = 0;
  for (const auto& in : shards_) {
    std::uint32_t from = 0;
    while (true) {
      std::vector<cached_value> dropped;
      const std::scoped_lock lock(in->held);
      const std::uint32_t end =
          std::min<std::uint32_t>(in->table.slot_count(), from + std::uint32_t{local_slice});
      if (from >= end) break;
      for (; from < end; ++from) {
        const cached_value& value = in->table.at(from).value;
        if (value && matches(value.key())) dropped.push_back(in->table.remove(from));
      }
      gone += dropped.size();
    }
  }
  return gone;
}

void local_cache::flush() {
  raise(all_at_, sequence_.fetch_add(1, std::memory_order_seq_cst) + 1);
  for (const auto& in : shards_) {
    std::vector<cached_value> dropped;
    const std::scoped_lock lock(in->held);
    in->table.clear(dropped);
  }
}

void local_cache::source_lost(timestamp at) {
  // The first moment counts, however often it is found out.
  std::int64_t there = 0;
  lost_at_.compare_exchange_strong(there, std::max<std::int64_t>(1, to_micros(at)),
                                   std::memory_order_acq_rel);
}

void local_cache::source_restored() {
  flush();
  lost_at_.store(0, std::memory_order_release);
}

std::size_t local_cache::sweep(timestamp now, std::size_t entries_max) {
  std::size_t gone = 0;
  while (entries_max > 0) {
    shard& in = *shards_[swept_.load(std::memory_order_relaxed) % shards_.size()];
    std::vector<cached_value> dropped;
    const std::scoped_lock lock(in.held);
    const std::size_t count =
        std::min({entries_max, local_slice,
                  std::size_t{in.table.slot_count()} - std::min(in.swept, in.table.slot_count())});
    for (std::size_t i = 0; i < count; ++i, ++in.swept) {
      const local_table::slot& one = in.table.at(in.swept);
      if (one.value && standing_of(one.value, now) == standing::gone) {
        dropped.push_back(in.table.remove(in.swept));
      }
    }
    gone += dropped.size();
    if (in.swept >= in.table.slot_count()) {
      in.swept = 0;
      swept_.fetch_add(1, std::memory_order_relaxed);
    }
    // An empty part costs a look too, so that this ends.
    entries_max -= std::max<std::size_t>(1, count);
  }
  return gone;
}

local_cache_usage local_cache::usage() const {
  local_cache_usage sum;
  for (const auto& in : shards_) {
    const std::scoped_lock lock(in->held);
    sum.bytes_max += in->table.bytes_max();
    sum.bytes += in->table.bytes();
    sum.entries += in->table.entries();
    sum.hits += in->hits;
    sum.stale_hits += in->stale_hits;
    sum.misses += in->misses;
    sum.evictions += in->table.evictions();
  }
  return sum;
}

std::vector<local_group_usage> local_cache::groups() const {
  std::vector<local_group_usage> sums;
  const auto of = [&sums](std::size_t group) -> local_group_usage& {
    if (group >= sums.size()) sums.resize(group + 1);
    return sums[group];
  };
  for (const auto& in : shards_) {
    std::uint32_t from = 0;
    while (true) {
      const std::scoped_lock lock(in->held);
      const std::uint32_t end =
          std::min<std::uint32_t>(in->table.slot_count(), from + std::uint32_t{local_slice});
      if (from >= end) {
        const auto& evictions = in->table.group_evictions();
        for (std::size_t i = 0; i < evictions.size(); ++i) of(i).evictions += evictions[i];
        break;
      }
      for (; from < end; ++from) {
        const cached_value& value = in->table.at(from).value;
        if (!value) continue;
        local_group_usage& sum = of(value.group());
        ++sum.entries;
        sum.bytes += value.memory_bytes();
      }
    }
  }
  return sums;
}

}  // namespace millrace::cache
