#pragma once

#include "packing.hpp"

#include <millrace/engine/store.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The cache, as the scripts keep it: lua/cache.lua says what stands where.
namespace millrace::engine_redis {

// A step: its number, then its values.
void pack_cache_step(packer& out, const engine::put_cache& step);
void pack_cache_step(packer& out, const engine::claim_cache& step);
void pack_cache_step(packer& out, const engine::renew_claim& step);
void pack_cache_step(packer& out, const engine::release_claim& step);
void pack_cache_step(packer& out, const engine::delete_cache& step);
void pack_cache_step(packer& out, const engine::invalidate_tag& step);
void pack_cache_step(packer& out, const engine::delete_matching& step);
void pack_cache_step(packer& out, const engine::clear_cache& step);

/// The outcome of a step of the cache; empty where `kind` is none of them.
[[nodiscard]] std::optional<engine::outcome> unpack_cache_outcome(std::string_view kind,
                                                                  unpacker& in);

[[nodiscard]] engine::list_cache::rows unpack_cache_rows(unpacker& in);
/// Without `bytes_max`, which the scripts are told and do not tell.
[[nodiscard]] engine::read_cache_stats::numbers unpack_cache_numbers(unpacker& in);

// What lua/cache_read.lua is asked, and an entry of its answer.
[[nodiscard]] std::string pack_cache_read(const engine::read_cache& what,
                                          const std::optional<timestamp>& now);
/// Its `stale` is decided by `now`.
[[nodiscard]] engine::cache_entry unpack_cache_entry(unpacker& in, timestamp now);

}  // namespace millrace::engine_redis
