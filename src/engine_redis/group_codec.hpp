#pragma once

#include "packing.hpp"

#include <millrace/engine/store.hpp>

#include <optional>
#include <string_view>
#include <vector>

/// The part of the calls that is about groups of consumers: see lua/steps_groups.lua.
namespace millrace::engine_redis {

void pack_step(packer& out, const engine::put_group& step);
void pack_step(packer& out, const engine::delete_group& step);
void pack_step(packer& out, const engine::read_group& step);
void pack_step(packer& out, const engine::settle_deliveries& step);

void pack_query(packer& out, const engine::list_groups& what);
void pack_query(packer& out, const engine::list_pending& what);

/// Empty where the kind is none of these.
[[nodiscard]] std::optional<engine::outcome> unpack_group_outcome(std::string_view kind,
                                                                  unpacker& in);

[[nodiscard]] std::vector<engine::group_info> unpack_answer(const engine::list_groups& what,
                                                            unpacker& in);
[[nodiscard]] std::vector<engine::pending_delivery> unpack_answer(const engine::list_pending& what,
                                                                  unpacker& in);

}  // namespace millrace::engine_redis
