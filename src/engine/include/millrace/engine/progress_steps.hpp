#pragma once

#include <millrace/base/clock.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What goes on right now: the progress of a request, the agents of a flow, the connections of
/// users. Each is kept for a while after it was last heard of, and then forgotten.
namespace millrace::engine {

enum class progress_status : std::uint8_t { running = 0, completed = 1, failed = 2 };
[[nodiscard]] std::string_view to_string(progress_status status) noexcept;
[[nodiscard]] std::optional<progress_status> parse_progress_status(std::string_view text) noexcept;

/// One step that was reported.
struct progress_mark {
  std::uint32_t step{0};
  timestamp at{};
  std::string message;
  friend bool operator==(const progress_mark&, const progress_mark&) = default;
};

struct progress_entry {
  std::string project{"default"};
  std::string correlation_id;
  std::uint32_t total_steps{0};
  std::uint32_t current_step{0};
  std::string message;
  progress_status status{progress_status::running};
  timestamp started_at{};
  timestamp updated_at{};
  timestamp expires_at{};
  /// Grows with every change.
  std::uint64_t version{0};
  /// The latest `progress_marks_max`, oldest first.
  std::vector<progress_mark> marks;
};

/// When a running entry is likely to be done: the median time of a step, so that a pause counts
/// once and not for ever, times what is left. Empty before the first step and after the end.
[[nodiscard]] std::optional<timestamp> estimated_completion(const progress_entry& of);

/// Starts, moves on or ends the progress of a correlation id.
///
/// With `total_steps` it begins anew. Without, it has to be there: progress_not_found; and to run:
/// progress_ended (conflict). A step beyond the total: step_beyond_total (invalid_argument).
/// `completed` sets the step to the total. Refused: too_many_records (exhausted).
struct put_progress {
  std::string project{"default"};
  std::string correlation_id;
  std::optional<std::uint32_t> total_steps;
  std::optional<std::uint32_t> step;
  std::optional<std::string> message;
  std::optional<progress_status> status;
  /// Forgotten so long after its last change.
  duration ttl{std::chrono::hours{1}};
};
/// Answers the entry as it was. Refused: progress_not_found.
struct delete_progress {
  std::string project{"default"};
  std::string correlation_id;
};
struct progress_changed {
  progress_entry entry;
};
struct find_progress {
  using answer = std::optional<progress_entry>;
  std::string project{"default"};
  std::string correlation_id;
};

/// What one agent of a flow does.
struct agent_progress {
  std::string agent;
  /// 0 to 1.
  double progress{0};
  std::string status;
  /// One JSON text.
  std::string details{"{}"};
  timestamp updated_at{};
  std::uint64_t version{0};
};
/// Replaces what is known of an agent. Refused: too_many_agents (exhausted: of this flow),
/// too_many_records.
struct put_agent {
  std::string project{"default"};
  std::string flow_id;
  agent_progress what;
  duration ttl{std::chrono::hours{1}};
};
struct agent_changed {
  agent_progress what;
};
/// All agents of a flow, by name.
struct list_agents {
  using answer = std::vector<agent_progress>;
  std::string project{"default"};
  std::string flow_id;
};

/// Somebody who listens, at whatever server.
struct live_connection {
  std::string id;
  std::string flow_id;
  std::string user;
  std::string server;
  timestamp connected_at{};
  timestamp seen_at{};
};
/// Registers a connection, or says that it lives: what is known of it is replaced, but for the
/// moment it began. Refused: too_many_records.
struct put_connection {
  std::string project{"default"};
  live_connection what;
  duration ttl{std::chrono::seconds{300}};
};
/// Answers the connection as it was. Refused: connection_not_found.
struct drop_connection {
  std::string project{"default"};
  std::string connection;
};
struct connection_changed {
  live_connection what;
};
struct connection_page {
  std::vector<live_connection> items;
  std::string cursor;
};
/// By id. A page may be short, or empty, and still have a cursor.
struct list_connections {
  using answer = connection_page;
  std::string project{"default"};
  std::optional<std::string> flow_id;
  std::optional<std::string> user;
  std::uint32_t limit{100};
  std::string cursor;
};

}  // namespace millrace::engine
