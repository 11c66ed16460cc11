#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/wakeups.hpp>

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The steps of the cache capability: entries under keys, each of them allowed to go at any time.
///
/// An entry *is there* until its time to live is over, its stale window included, unless it was
/// deleted, or one of its tags or its whole project was invalidated after it was put. Until
/// `expires_at` it is fresh, from then on stale. Keys, tags and patterns belong to one project; no
/// step sees those of another.
///
/// A *claim* is the right to fill a key, held by a lease, so that of many who miss only one loads.
/// Whatever invalidates the key ends the claim with it: what was loaded before is not kept. A claim
/// does not outlive a restart of the store.
///
/// Steps are applied in order. Those of patterns, tags and whole projects see what steps before
/// them in the transaction have put.
namespace millrace::engine {

// Bounds, with what happens beyond them.

/// One value: beyond it `value_too_large`.
inline constexpr std::size_t cache_value_bytes_max = std::size_t{8} << 20U;
/// Tags of an entry, and the bytes of one.
inline constexpr std::size_t cache_tags_max = 16;
inline constexpr std::size_t cache_tag_bytes_max = 128;
inline constexpr std::size_t cache_content_type_bytes_max = 256;
inline constexpr std::size_t cache_pattern_bytes_max = 512;
inline constexpr std::chrono::milliseconds cache_ttl_min{1};
/// Longest time to live, and longest stale window.
inline constexpr std::chrono::hours cache_ttl_max{24 * 366};
inline constexpr std::chrono::seconds claim_lease_min{1};
inline constexpr std::chrono::hours claim_lease_max{1};
/// Claims of a project that are held at a time: further ones are refused (`too_many_claims`).
inline constexpr std::size_t cache_claims_max = 10'000;
/// Invalidated tags that a project remembers. Beyond it the oldest is forgotten, and every entry
/// with tags that is as old counts as invalidated.
inline constexpr std::size_t cache_tag_marks_max = 100'000;
/// Keys of one `read_cache`, and the bytes of its values: beyond them the rest is left out.
inline constexpr std::size_t cache_read_keys_max = 1000;
inline constexpr std::size_t cache_read_bytes_max = std::size_t{16} << 20U;
/// Entries that one step drops, and entries that it looks at: it is repeated until it is done.
inline constexpr std::uint32_t cache_drop_max = 10'000;
inline constexpr std::size_t cache_scan_rows_max = 10'000;
/// What an entry counts besides its key, value, content type and tags.
inline constexpr std::size_t cache_entry_overhead = 256;
/// Bytes of the entries of one project unless the store was opened with another bound. The least
/// recently used go first; `over_cache_quota` refuses an entry that is larger by itself.
inline constexpr std::uint64_t cache_bytes_default = std::uint64_t{256} << 20U;
/// Entries that one put pushes out at most; what is left to do, the next one does.
inline constexpr std::size_t cache_evictions_max = 1000;
/// Uses are noted to the minute: of entries last used in the same minute any may go first.
inline constexpr std::chrono::minutes cache_use_grain{1};

struct cache_key {
  std::string project{"default"};
  /// 1 to 512 bytes of UTF-8 without control characters.
  std::string key;

  friend auto operator<=>(const cache_key&, const cache_key&) = default;
};

struct cache_entry {
  /// Any bytes.
  std::string value;
  /// As it was put; may be empty.
  std::string content_type;
  std::vector<std::string> tags;
  /// From the store's stamps: grows with every put, below 2^53.
  std::uint64_t version{0};
  timestamp created_at{};
  timestamp expires_at{};
  /// Until when it may be served after it has expired; `expires_at` where it may not.
  timestamp stale_until{};
  /// It has expired.
  bool stale{false};

  friend bool operator==(const cache_entry&, const cache_entry&) = default;
};

/// What must hold before an entry is put.
enum class cache_expectation : std::uint8_t { any, absent, present, version };

/// Keeps a value under a key, in place of what is there, and ends a claim of the key.
///
/// Refused: precondition_failed (`version_mismatch`); conflict (`stale_lease`: the claim has ended,
/// was released or invalidated, or one of the tags was invalidated since); too_large
/// (`over_cache_quota`).
struct put_cache {
  cache_key at;
  std::string value;
  std::string content_type;
  duration ttl{std::chrono::hours{1}};
  duration stale_for{0};
  /// No tag twice.
  std::vector<std::string> tags;
  cache_expectation expects{cache_expectation::any};
  /// For `cache_expectation::version`.
  std::uint64_t version{0};
  /// The lease of a claim that this fills; zero: none, the value is the newest by itself.
  std::uint64_t lease{0};
};
struct cache_stored {
  std::uint64_t version{0};
  timestamp created_at{};
  timestamp expires_at{};
  /// Keys of entries that had to go to make room; told once, not to a request that is repeated.
  std::vector<std::string> evicted{};
};

/// Asks for the right to fill a key. Never refused but for too_many_claims (exhausted).
struct claim_cache {
  cache_key at;
  duration lease{std::chrono::seconds{2}};
};
/// Keeps a claim for `lease` from now. Refused: stale_lease.
struct renew_claim {
  cache_key at;
  std::uint64_t lease{0};
  duration length{std::chrono::seconds{2}};
};
enum class claim_state : std::uint8_t {
  /// There is a fresh entry.
  hit,
  /// It is yours to fill, until `until`.
  fill,
  /// Somebody else fills it, until `until` or a change of the key, of which a hint tells.
  wait,
};
struct cache_claimed {
  claim_state state{claim_state::hit};
  /// The entry of a hit, or a stale one that is there meanwhile.
  std::optional<cache_entry> found;
  /// Of a fill.
  std::uint64_t lease{0};
  timestamp until{};
  /// On the store's clock: how long that still is.
  timestamp now{};
};

/// Gives a claim back unfilled; whoever waits may claim it. Refused: stale_lease.
struct release_claim {
  cache_key at;
  std::uint64_t lease{0};
};

/// Forgets an entry, and ends a claim of its key. Refused: version_mismatch, where a version is
/// given and is not that of the entry that is there. Drops 1 where an entry was there.
struct delete_cache {
  cache_key at;
  std::uint64_t version{0};
};

/// Everything that was put with the tag, and what claims of before fill with it, is gone.
///
/// Cost: O(1) in the entries; their bytes are given back as their time comes. Drops nothing.
struct invalidate_tag {
  std::string project{"default"};
  std::string tag;
};

/// Forgets entries whose key fits a glob (`*`, `?`, `[a-z]`, `[^x]`, `\` before what is meant
/// itself), and ends claims of such keys. Bounded: repeat with the cursor until it is empty.
struct delete_matching {
  std::string project{"default"};
  std::string pattern;
  std::string cursor;
};

/// Everything of the project is gone, claims too. Up to `max` entries are forgotten at once:
/// repeat while the cursor is not empty, or leave the rest to their time.
struct clear_cache {
  std::string project{"default"};
  std::uint32_t max{1000};
};

/// What release, delete, invalidate, delete_matching and clear come to.
struct cache_dropped {
  std::uint64_t count{0};
  std::string cursor;
};

/// The entries of keys, in their order; fewer where the bytes are at their bound: ask again for the
/// rest. A read counts as a use.
struct read_cache {
  struct found {
    std::vector<std::optional<cache_entry>> entries;
    /// On the store's clock: how old what was found is.
    timestamp now{};
  };
  using answer = found;
  std::string project{"default"};
  std::vector<std::string> keys;
  /// What has expired but is in its stale window is found as well, marked stale.
  bool stale{false};
  /// Leave the values out.
  bool bare{false};
};

/// The keys of entries whose time is not over, in no order of meaning, one for each entry that was
/// there all the while; a page may be short and still have a cursor. An entry that was invalidated
/// with a tag may still be named.
struct list_cache {
  struct row {
    std::string key;
    /// What it counts against the quota.
    std::uint64_t bytes{0};

    friend bool operator==(const row&, const row&) = default;
  };
  struct rows {
    std::vector<row> items;
    std::string cursor;
  };
  using answer = rows;
  std::string project{"default"};
  /// A glob, as for `delete_matching`; empty: all.
  std::string pattern;
  std::uint32_t limit{100};
  std::string cursor;
};

struct read_cache_stats {
  struct numbers {
    /// Those whose time is not over, invalidated ones until they are met.
    std::uint64_t entries{0};
    std::uint64_t bytes{0};
    std::uint64_t bytes_max{0};
    /// Claims that are held.
    std::uint64_t claims{0};
    /// Since the store was opened, or on an engine that keeps them since it was made.
    std::uint64_t evicted{0};
    std::uint64_t expired{0};
  };
  using answer = numbers;
  std::string project{"default"};
};

/// What an entry counts against the quota of its project.
[[nodiscard]] std::uint64_t cache_entry_bytes(const put_cache& step);

/// Whether a text fits a glob of Redis' kind.
[[nodiscard]] bool matches_glob(std::string_view pattern, std::string_view text);
/// What every text that fits the glob begins with.
[[nodiscard]] std::string glob_prefix(std::string_view pattern);

/// The key was filled, released or invalidated while it was claimed.
[[nodiscard]] topic cache_topic(std::string_view project, std::string_view key);

}  // namespace millrace::engine
