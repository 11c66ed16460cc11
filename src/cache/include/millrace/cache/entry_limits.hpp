#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// Bounds of entries, families and of the memory of one process, with what happens beyond them.
namespace millrace::cache {

/// Longest content type kept with a value: beyond it invalid_argument.
inline constexpr std::size_t content_type_bytes_max = 127;
/// Tags of one entry, those of its family included: beyond it invalid_argument.
inline constexpr std::size_t entry_tags_max = 32;
/// Longest time to live, and longest window in which what has expired may still be served.
inline constexpr std::chrono::hours ttl_max{365 * 24};

/// One part of the local cache: small enough that a value fills it never, large enough that parts
/// are used evenly.
inline constexpr std::size_t local_shard_bytes = 4UL * 1024 * 1024;
/// Parts of one local cache: more would only cost memory, a part is held for well under a
/// microsecond.
inline constexpr std::size_t local_shards_max = 64;
/// The smallest local cache: beyond it the tables would be larger than what they hold.
inline constexpr std::size_t local_bytes_min = 64UL * 1024;
/// Moments of invalidation that a local cache remembers. Two keys or tags that share a place
/// invalidate each other, which costs a miss and nothing else.
inline constexpr std::size_t local_barriers = 8192;
/// A key with what it is told apart by from those of other projects.
inline constexpr std::size_t local_key_bytes_max = 768;
/// Entries looked at in one hold of a part, where all of them have to be.
inline constexpr std::size_t local_slice = 256;

/// Families of one process, and named parts of one pattern: beyond them invalid_argument.
inline constexpr std::size_t families_max = 256;
/// How often the families of a running cache are changed: what they were is kept, since a load that
/// goes on may still look at it. Beyond it exhausted, until a restart.
inline constexpr std::size_t family_changes_max = 1000;
inline constexpr std::size_t family_parts_max = 8;
/// Patterns that one rule removes: beyond it invalid_argument.
inline constexpr std::size_t rule_targets_max = 32;
inline constexpr std::size_t rules_max = 256;

/// Largest value an envelope may claim to unpack to: beyond it undecodable, before memory is taken.
inline constexpr std::size_t envelope_value_bytes_max = 64UL * 1024 * 1024;

/// Keys named by the statistics as the most used.
inline constexpr std::size_t top_keys_max = 100;

}  // namespace millrace::cache
