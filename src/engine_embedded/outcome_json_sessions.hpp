#pragma once

#include "json_fields.hpp"

#include <millrace/engine/store.hpp>

#include <optional>

/// The outcomes of steps on sessions, as `outcomes_to_json` keeps them.
namespace millrace::embedded {

[[nodiscard]] json::object to_object(const engine::session_changed& what);
[[nodiscard]] json::object to_object(const engine::sessions_ended& what);

/// Empty where it is none of these.
[[nodiscard]] std::optional<engine::outcome> read_session_outcome(const json::object& from,
                                                                  json_reader& in);

}  // namespace millrace::embedded
