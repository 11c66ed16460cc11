#pragma once

#include "packing.hpp"

#include <millrace/engine/limit_steps.hpp>

#include <array>
#include <cstdint>
#include <string>

namespace millrace::engine_redis {

/// What its count is called, behind what every key begins with.
[[nodiscard]] std::string limit_key(const std::string& project, const engine::limit_check& what);
/// What lua/counts.lua knows each kind of limit by.
[[nodiscard]] std::array<std::int64_t, 3> limit_numbers(const engine::limit_check& what);

/// As lua/steps_limits.lua wants it.
void pack_limit(packer& out, const std::string& project, const engine::limit_check& what);
void pack_block(packer& out, const engine::block_limit& step);

void pack_query(packer& out, const engine::list_limit_blocks& what);

[[nodiscard]] engine::limits_checked unpack_limits(unpacker& in);
[[nodiscard]] engine::limit_block_page unpack_answer(const engine::list_limit_blocks& what,
                                                     unpacker& in);

}  // namespace millrace::engine_redis
