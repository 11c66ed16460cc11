#pragma once

#include "packing.hpp"

#include <millrace/engine/store.hpp>

#include <optional>
#include <string_view>
#include <vector>

/// The part of the calls that is about locks: see lua/steps_live.lua and lua/steps_permits.lua.
namespace millrace::engine_redis {

void pack_step(packer& out, const engine::acquire_lock& step);
void pack_step(packer& out, const engine::extend_lock& step);
void pack_step(packer& out, const engine::release_lock& step);
void pack_step(packer& out, const engine::pass_fence& step);

void pack_query(packer& out, const engine::find_lock& what);
void pack_query(packer& out, const engine::list_lock_holders& what);

/// Empty where the kind is none of these.
[[nodiscard]] std::optional<engine::outcome> unpack_lock_outcome(std::string_view kind,
                                                                 unpacker& in);

[[nodiscard]] std::optional<engine::lock_info> unpack_answer(const engine::find_lock& what,
                                                             unpacker& in);
[[nodiscard]] std::vector<engine::lock_info> unpack_answer(const engine::list_lock_holders& what,
                                                           unpacker& in);

}  // namespace millrace::engine_redis
