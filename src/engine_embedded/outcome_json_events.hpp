#pragma once

#include "json_fields.hpp"

#include <millrace/engine/store.hpp>

#include <optional>

/// The outcomes of steps on streams, locks and what goes on right now, as `outcomes_to_json` keeps
/// them.
namespace millrace::embedded {

[[nodiscard]] json::object to_object(const engine::event_published& what);
[[nodiscard]] json::object to_object(const engine::stream_configured& what);
[[nodiscard]] json::object to_object(const engine::lock_answer& what);
[[nodiscard]] json::object to_object(const engine::progress_changed& what);
[[nodiscard]] json::object to_object(const engine::agent_changed& what);
[[nodiscard]] json::object to_object(const engine::connection_changed& what);

/// Empty where it is none of these.
[[nodiscard]] std::optional<engine::outcome> read_event_outcome(const json::object& from,
                                                                json_reader& in);

}  // namespace millrace::embedded
