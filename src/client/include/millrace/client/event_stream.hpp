#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace millrace::client {

/// One server-sent event.
struct event {
  /// `message` when the server named none.
  std::string type;
  std::string data;
  /// The latest `id:` of the stream up to it.
  std::string id;
};

/// An event larger than this ends the stream with `too_large`.
inline constexpr std::size_t event_bytes_max = std::size_t{4} << 20U;

/// A stream of events under way. Made by `api_client::open_events`.
///
/// Threading:    one call at a time.
/// Lifetime:     closing (by the destructor) ends the connection.
/// Errors:       unavailable (`connection_lost`), deadline_exceeded (`stream_silent`: not even the
///               server's comment within 45 s), too_large. After an error the stream has ended:
///               open a new one with the last id.
/// Cancellation: terminal; the stream has ended.
class event_stream final {
public:
  struct state;
  explicit event_stream(std::unique_ptr<state> s) noexcept;
  event_stream(event_stream&&) noexcept;
  event_stream& operator=(event_stream&&) noexcept;
  ~event_stream();

  /// The next event; empty when the server has ended the stream.
  [[nodiscard]] awaitable<result<std::optional<event>>> next();

  /// The latest `id:` the stream has told, by events or by itself: what to resume after.
  [[nodiscard]] const std::string& last_id() const noexcept;

  /// How long the server asked to wait before connecting again; 3 s when it did not.
  [[nodiscard]] std::chrono::milliseconds retry() const noexcept;

private:
  std::unique_ptr<state> state_;
};

}  // namespace millrace::client
