#pragma once

#include "event_codec.hpp"

#include <millrace/engine/event_steps.hpp>

#include <string>

/// The events of one stream, as text/event-stream, without I/O.
namespace millrace::http {

/// Turns pages of a stream into what is new for one client, and knows where the next page begins.
///
/// Each event carries its cursor as `id`; a `gap` comes before what follows it. A client that is
/// cut off anywhere comes back with the last cursor it saw, and misses nothing.
class event_feed final {
public:
  event_feed(engine::stream_key stream, event_position from) noexcept;

  /// What to ask for next.
  [[nodiscard]] engine::read_events next() const;
  /// The beginning is where the stream ends: `end` is that.
  void begin_at(const engine::event_cursor& end, std::string& out);
  [[nodiscard]] bool begins_at_end() const noexcept { return from_.latest; }

  /// Appends what is new. True: there is more of it.
  bool take(const engine::read_events::page& page, std::string& out);

private:
  engine::stream_key stream_;
  event_position from_;
};

}  // namespace millrace::http
