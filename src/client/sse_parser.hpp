#pragma once

#include <millrace/base/error.hpp>
#include <millrace/client/event_stream.hpp>

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::client {

/// Takes the bytes of a `text/event-stream` as they come and gives whole events.
///
/// Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream".
class sse_parser final {
public:
  /// Errors: too_large (`event_too_large`) when a line or an event exceeds `event_bytes_max`.
  [[nodiscard]] result<void> feed(std::string_view bytes);

  /// The oldest event not yet taken.
  [[nodiscard]] std::optional<event> take();

  [[nodiscard]] const std::string& last_id() const noexcept { return id_; }
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry() const noexcept { return retry_; }

private:
  void end_line();
  void take_field(std::string_view name, std::string_view value);
  void dispatch();

  std::string line_;
  // A CR has ended a line: a LF right behind it belongs to that end.
  bool after_carriage_return_{false};
  bool at_start_{true};
  std::string type_;
  std::string data_;
  std::string id_;
  std::optional<std::chrono::milliseconds> retry_;
  std::deque<event> ready_;
};

}  // namespace millrace::client
