#pragma once

#include "packing.hpp"

#include <millrace/engine/limit_steps.hpp>

#include <string>

namespace millrace::engine_redis {

/// As lua/steps_limits.lua wants it.
void pack_limit(packer& out, const std::string& project, const engine::limit_check& what);
void pack_block(packer& out, const engine::block_limit& step);

[[nodiscard]] engine::limits_checked unpack_limits(unpacker& in);

}  // namespace millrace::engine_redis
