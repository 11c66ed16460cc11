#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/progress_steps.hpp>

#include <string>
#include <string_view>

/// Progress, agents and connections as JSON, in the shapes of the API.
namespace millrace::http {

[[nodiscard]] result<engine::put_progress> decode_put_progress(std::string_view body,
                                                               std::string project,
                                                               std::string correlation_id);
/// The entry in one line.
void append_progress_entry(std::string& out, const engine::progress_entry& what);

[[nodiscard]] result<engine::put_agent> decode_agent(std::string_view body, std::string project,
                                                     std::string flow_id, std::string agent);
/// The agent in one line.
void append_agent(std::string& out, const engine::agent_progress& what);

[[nodiscard]] result<engine::put_connection> decode_connection(std::string_view body,
                                                               std::string project, std::string id);
void append_connection(std::string& out, const engine::live_connection& what);

}  // namespace millrace::http
