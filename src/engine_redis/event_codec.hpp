#pragma once

#include "packing.hpp"

#include <millrace/engine/store.hpp>

#include <optional>
#include <string_view>

/// The part of the calls that is about streams and what goes on right now: see
/// lua/steps_events.lua and lua/steps_live.lua.
namespace millrace::engine_redis {

void pack_step(packer& out, const engine::publish_event& step);
void pack_step(packer& out, const engine::configure_stream& step);
void pack_step(packer& out, const engine::put_progress& step);
void pack_step(packer& out, const engine::delete_progress& step);
void pack_step(packer& out, const engine::put_agent& step);
void pack_step(packer& out, const engine::put_connection& step);
void pack_step(packer& out, const engine::drop_connection& step);

void pack_query(packer& out, const engine::read_events& what);
void pack_query(packer& out, const engine::find_stream& what);
void pack_query(packer& out, const engine::find_progress& what);
void pack_query(packer& out, const engine::list_agents& what);
void pack_query(packer& out, const engine::list_connections& what);

/// Empty where the kind is none of these.
[[nodiscard]] std::optional<engine::outcome> unpack_event_outcome(std::string_view kind,
                                                                  unpacker& in);

/// One event, as it stands in an answer.
[[nodiscard]] engine::event unpack_event(unpacker& in);

[[nodiscard]] engine::read_events::page unpack_answer(const engine::read_events& what,
                                                      unpacker& in);
[[nodiscard]] std::optional<engine::stream_info> unpack_answer(const engine::find_stream& what,
                                                               unpacker& in);
[[nodiscard]] std::optional<engine::progress_entry> unpack_answer(const engine::find_progress& what,
                                                                  unpacker& in);
[[nodiscard]] std::vector<engine::agent_progress> unpack_answer(const engine::list_agents& what,
                                                                unpacker& in);
[[nodiscard]] engine::connection_page unpack_answer(const engine::list_connections& what,
                                                    unpacker& in);

}  // namespace millrace::engine_redis
