#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/store.hpp>

#include <string>
#include <vector>

/// The part of `describer` that is about streams, locks and what goes on right now. Stamps and
/// fences, which differ from engine to engine, are left out.
namespace millrace::conformance {

[[nodiscard]] std::string describe(const engine::read_events::page& page, timestamp start);
[[nodiscard]] std::string describe(const std::optional<engine::stream_info>& info, timestamp start);
[[nodiscard]] std::string describe(const std::optional<engine::lock_info>& lock, timestamp start);
[[nodiscard]] std::string describe(const std::optional<engine::progress_entry>& entry,
                                   timestamp start);
[[nodiscard]] std::string describe(const std::vector<engine::agent_progress>& agents,
                                   timestamp start);
[[nodiscard]] std::string describe(const engine::connection_page& page, timestamp start);
[[nodiscard]] std::string describe_correlated(const std::vector<engine::correlated_event>& events,
                                              timestamp start);

/// Outcomes of steps on these.
[[nodiscard]] std::string describe_other(const engine::outcome& outcome, timestamp start);

}  // namespace millrace::conformance
