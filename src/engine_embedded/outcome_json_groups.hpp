#pragma once

#include "json_fields.hpp"

#include <millrace/engine/store.hpp>

#include <optional>

/// The outcomes of steps on fences and groups of consumers, as `outcomes_to_json` keeps them.
namespace millrace::embedded {

[[nodiscard]] json::object to_object(const engine::fence_passed& what);
[[nodiscard]] json::object to_object(const engine::group_changed& what);
[[nodiscard]] json::object to_object(const engine::group_read& what);
[[nodiscard]] json::object to_object(const engine::deliveries_settled& what);

/// Empty where it is none of these.
[[nodiscard]] std::optional<engine::outcome> read_group_outcome(const json::object& from,
                                                                json_reader& in);

}  // namespace millrace::embedded
