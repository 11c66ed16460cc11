#pragma once

#include "packing.hpp"

#include <millrace/engine/store.hpp>

#include <optional>
#include <string_view>

/// The part of the calls that is about sessions: see lua/steps_sessions.lua.
namespace millrace::engine_redis {

void pack_step(packer& out, const engine::create_session& step);
void pack_step(packer& out, const engine::touch_session& step);
void pack_step(packer& out, const engine::change_session& step);
void pack_step(packer& out, const engine::rotate_session& step);
void pack_step(packer& out, const engine::end_session& step);
void pack_step(packer& out, const engine::end_user_sessions& step);

void pack_query(packer& out, const engine::find_session& what);
void pack_query(packer& out, const engine::list_sessions& what);

/// Empty where the kind is none of these.
[[nodiscard]] std::optional<engine::outcome> unpack_session_outcome(std::string_view kind,
                                                                    unpacker& in);

[[nodiscard]] std::optional<engine::session_info> unpack_answer(const engine::find_session& what,
                                                                unpacker& in);
[[nodiscard]] engine::session_page unpack_answer(const engine::list_sessions& what, unpacker& in);

}  // namespace millrace::engine_redis
