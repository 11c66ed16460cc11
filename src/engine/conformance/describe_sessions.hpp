#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/store.hpp>

#include <optional>
#include <string>

/// The part of `describer` that is about sessions. Their refs, which differ from engine to engine,
/// are left out.
namespace millrace::conformance {

[[nodiscard]] std::string describe(const std::optional<engine::session_info>& session,
                                   timestamp start);
[[nodiscard]] std::string describe(const engine::session_page& page, timestamp start);
[[nodiscard]] std::string describe(const engine::session_changed& done, timestamp start);
[[nodiscard]] std::string describe(const engine::sessions_ended& done, timestamp start);

}  // namespace millrace::conformance
