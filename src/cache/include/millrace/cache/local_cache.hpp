#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/cache/cached_value.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace millrace::cache {

struct local_cache_options {
  /// Bytes of memory for entries, with keys, tags, tables and the allocator's share. From 64 KiB.
  std::size_t bytes{64UL * 1024 * 1024};
  /// Parts with a lock each, a power of two. Zero: one for every 4 MiB, from 1 to 64.
  std::size_t shards{0};
};

/// What was there. Empty: a miss.
struct local_hit {
  cached_value value;
  /// Expired, or its store is lost: use it and refresh it.
  bool stale{false};

  explicit operator bool() const noexcept { return static_cast<bool>(value); }
};

/// A moment in the order of invalidations of one local cache.
enum class load_ticket : std::uint64_t {};

/// What became of a `put`.
enum class put_outcome : std::uint8_t {
  stored,
  /// Its key, one of its tags, or everything was invalidated after the ticket: it may be old.
  outdated,
  /// A higher version of the key is there.
  older_version,
  /// More than a quarter of a part: it would push out too many others.
  too_large,
  /// Beyond its times already.
  expired,
};

struct local_cache_usage {
  std::size_t bytes_max{0};
  std::size_t bytes{0};
  std::size_t entries{0};
  std::uint64_t hits{0};
  std::uint64_t stale_hits{0};
  std::uint64_t misses{0};
  /// Pushed out by others, not by time or by an invalidation.
  std::uint64_t evictions{0};
};

/// Of the entries of one group.
struct local_group_usage {
  std::size_t entries{0};
  std::size_t bytes{0};
  std::uint64_t evictions{0};
};

/// The entries that this process keeps in its own memory, in front of a store that several share.
///
/// Guarantees: never more than `bytes` of memory. After `evict`, `evict_tag`, `evict_where` or
///             `flush` has returned, no `get` gives what was invalidated, and no `put` whose value
///             was asked for before brings it back. A scan does not push out what is used.
/// Threading:  everything from any thread.
/// Cost:       a hit is one short lock of one part and no allocation; `evict_tag` is O(1) however
///             many entries carry the tag; `evict_where` and `sweep` walk, in short holds.
/// Source:     S3-FIFO (SOSP 2023), its main queue also filled by what the small one drops; chosen
///             by bench/cache_policy_bench.
///
/// The order that keeps it coherent. Reading through: take a `ticket`, ask the store, `put` with
/// that ticket. Writing: wait for the store's answer, `evict` the key, then report to the caller;
/// to keep the written value, `put` it with a ticket taken after that `evict`, with the store's
/// version. On an invalidation pushed by the store: `evict` or `evict_tag`.
class local_cache final {
public:
  /// Errors: invalid_argument (bytes below the minimum, shards no power of two or too many).
  [[nodiscard]] static result<std::unique_ptr<local_cache>> make(local_cache_options options);
  ~local_cache();
  local_cache(const local_cache&) = delete;
  local_cache& operator=(const local_cache&) = delete;

  /// What is there for the key, unless it is beyond its times. Counts as a use.
  [[nodiscard]] local_hit get(std::string_view key, timestamp now);

  /// Taken before the store is asked for what will be `put`.
  [[nodiscard]] load_ticket ticket() const noexcept {
    return load_ticket{sequence_.load(std::memory_order_seq_cst)};
  }
  put_outcome put(cached_value value, load_ticket since, timestamp now);

  void evict(std::string_view key);
  void evict_tag(std::string_view tag);
  /// Removes the entries whose key `matches`; it runs under the lock of a part and must be quick.
  /// Returns how many went.
  std::size_t evict_where(const std::function<bool(std::string_view key)>& matches);
  void flush();

  /// The store cannot be reached, so that its invalidations do not arrive. From now on an entry is
  /// served, marked stale, for its `outage_for` after `at`, where it could have been at that
  /// moment.
  void source_lost(timestamp at);
  /// The store is back; whatever was there may have changed meanwhile and is flushed.
  void source_restored();

  /// Removes expired entries, looking at no more than `entries_max`. Returns how many went.
  std::size_t sweep(timestamp now, std::size_t entries_max);

  [[nodiscard]] local_cache_usage usage() const;
  /// The same by `value_facts::group`, as far as there are any. Cost: a walk, in short holds.
  [[nodiscard]] std::vector<local_group_usage> groups() const;

private:
  class shard;

  explicit local_cache(const local_cache_options& options);
  [[nodiscard]] shard& shard_of(std::uint64_t hash) const noexcept;
  using barriers = std::vector<std::atomic<std::uint64_t>>;
  [[nodiscard]] static std::uint64_t barrier_of(const barriers& of, std::uint64_t hash) noexcept;
  void raise_barrier(barriers& of, std::uint64_t hash) noexcept;
  [[nodiscard]] bool outdated(const cached_value& value, std::uint64_t hash,
                              std::uint64_t since) const noexcept;
  [[nodiscard]] bool tags_moved(const cached_value& value, std::uint64_t since) const noexcept;
  /// Nothing, fresh or stale.
  enum class standing : std::uint8_t { gone, fresh, stale };
  [[nodiscard]] standing standing_of(const cached_value& value, timestamp now) const noexcept;

  // Invalidations are numbered. A place of `key_barriers_` holds the number of the last one of the
  // keys that fall on it, one of `tag_barriers_` the same of tags; `all_at_` that of the last one
  // of everything. An entry carries the number at which its value was asked for, and is void where
  // a barrier is higher. Keys come often and tags stand for many entries: they share no places.
  std::atomic<std::uint64_t> sequence_{1};
  std::atomic<std::uint64_t> all_at_{0};
  barriers key_barriers_;
  barriers tag_barriers_;
  // Microseconds at which the store was lost; zero while it is there.
  std::atomic<std::int64_t> lost_at_{0};
  std::uint64_t seed_;
  std::vector<std::unique_ptr<shard>> shards_;
  std::atomic<std::size_t> swept_{0};
};

}  // namespace millrace::cache
