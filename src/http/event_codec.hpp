#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/event_steps.hpp>
#include <millrace/engine/job.hpp>

#include <optional>
#include <string>
#include <string_view>

/// Events and streams as JSON, in the shapes of the API. As for jobs, every decoder takes any
/// bytes, refuses members it does not know, and keeps a payload byte for byte.
namespace millrace::http {

struct publish_request {
  engine::publish_event step;
  /// Empty: the strongest that the store gives.
  std::optional<engine::durability> level;
};
[[nodiscard]] result<publish_request> decode_publish(std::string_view body,
                                                     engine::stream_key stream);

/// `{"count","age","bytes"}`; what is left out has its default.
[[nodiscard]] result<engine::configure_stream> decode_stream_settings(std::string_view body,
                                                                      engine::stream_key stream);

/// The event as one line.
void append_event_json(std::string& out, const engine::stream_key& stream, std::uint64_t epoch,
                       const engine::event& what);
void append_published(std::string& out, const engine::stream_key& stream,
                      const engine::event_published& what);
void append_stream(std::string& out, const engine::stream_info& what);
/// What a reader is told of a gap.
void append_gap(std::string& out, const engine::stream_key& stream,
                const engine::event_cursor& asked, const engine::read_events::page& page);

/// Where reading begins.
struct event_position {
  /// Of these at most one; neither: at the beginning, or at the end where `latest`.
  std::optional<engine::event_cursor> cursor;
  std::optional<timestamp> at;
  bool latest{false};
};
/// `earliest`, `latest`, a cursor or a time. Errors: malformed (bad_cursor).
[[nodiscard]] result<event_position> parse_event_position(std::string_view text,
                                                          std::string_view field);

}  // namespace millrace::http
