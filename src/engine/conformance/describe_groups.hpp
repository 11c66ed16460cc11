#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/store.hpp>

#include <optional>
#include <string>
#include <vector>

/// The part of `describer` that is about fences and groups of consumers. Stamps and fences, which
/// differ from engine to engine, are left out.
namespace millrace::conformance {

[[nodiscard]] std::string describe(const std::vector<engine::lock_info>& holders, timestamp start);
[[nodiscard]] std::string describe(const std::vector<engine::group_info>& groups, timestamp start);
[[nodiscard]] std::string describe(const std::vector<engine::pending_delivery>& pending,
                                   timestamp start);

/// Empty where it is none of these.
[[nodiscard]] std::optional<std::string> describe_group_outcome(const engine::outcome& outcome,
                                                                timestamp start);

}  // namespace millrace::conformance
