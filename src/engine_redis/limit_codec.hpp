#pragma once

#include "packing.hpp"

#include <millrace/engine/limit_steps.hpp>

#include <string>

namespace millrace::engine_redis {

/// As lua/steps_limits.lua wants it.
void pack_limit(packer& out, const std::string& project, const engine::limit_check& what);

[[nodiscard]] engine::limits_checked unpack_limits(unpacker& in);

}  // namespace millrace::engine_redis
