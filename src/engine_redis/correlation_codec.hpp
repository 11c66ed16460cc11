#pragma once

#include "packing.hpp"

#include <millrace/engine/correlation_queries.hpp>

/// The part of the calls that is about what carries a correlation id: see
/// lua/list_correlated.lua.
namespace millrace::engine_redis {

void pack_query(packer& out, const engine::list_correlated& what);

[[nodiscard]] engine::list_correlated::page unpack_answer(const engine::list_correlated& what,
                                                          unpacker& in);

}  // namespace millrace::engine_redis
