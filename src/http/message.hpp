#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

/// Requests and answers as the routes see them: no sockets, no Beast.
namespace millrace::http {

class connection;
struct subscription;

enum class method : std::uint8_t { get, head, post, put, patch, remove, options, other };

[[nodiscard]] std::string_view to_string(method verb) noexcept;

/// The request headers that mean something here; all others are dropped as they arrive.
enum class header : std::uint8_t {
  host,
  origin,
  content_type,
  content_encoding,
  transfer_encoding,
  expect,
  idempotency_key,
  correlation_id,
  traceparent,
  last_event_id,
  sec_fetch_site,
  sec_fetch_mode,
  if_match,
  if_none_match,
};
inline constexpr std::size_t header_count = 14;

struct request {
  request() = default;
  // `path` and `query` point into `target`.
  request(const request&) = delete;
  request& operator=(const request&) = delete;

  method verb{method::other};
  /// As sent; `path` and `query` are parts of it.
  std::string target;
  std::string_view path;
  std::string_view query;
  bool keep_alive{true};
  /// HTTP/1.0: no chunked answers, no `100 Continue`.
  bool old{false};
  /// Came over the Unix socket.
  bool local{false};
  bool has_body{false};
  std::string body;
  /// The variable parts of the path, decoded, in order.
  std::array<std::string, 2> params;
  /// From the header, or made.
  std::string correlation_id;
  /// Who asked; to watch for its end and to stream to it.
  connection* from{nullptr};

  [[nodiscard]] std::string_view operator[](header name) const noexcept {
    return headers[static_cast<std::size_t>(name)];
  }
  [[nodiscard]] bool has(header name) const noexcept { return (seen & bit(name)) != 0; }
  /// Clears everything, and keeps the memory.
  void clear() noexcept;

  [[nodiscard]] static constexpr std::uint32_t bit(header name) noexcept {
    return std::uint32_t{1} << static_cast<std::uint32_t>(name);
  }
  std::array<std::string, header_count> headers;
  std::uint32_t seen{0};
};

inline constexpr std::string_view json_type = "application/json";
inline constexpr std::string_view problem_type = "application/problem+json";
inline constexpr std::string_view event_stream_type = "text/event-stream";

struct response {
  unsigned status{200};
  /// Static storage.
  std::string_view content_type{json_type};
  std::string body;
  /// Further header lines, each with its CRLF.
  std::string headers;
  /// The problem's code, for the log; static storage.
  std::string_view code;
  /// Where set, it sends the body instead, by `send_chunk` to the connection it came with.
  std::move_only_function<awaitable<void>()> stream;
  /// Where set, the connection is handed to the hub of event streams.
  std::shared_ptr<subscription> follow;
  /// The length of a streamed body where it is known; else it is sent in chunks.
  std::optional<std::uint64_t> stream_length;
};

/// An answer with a JSON body.
[[nodiscard]] response json_response(std::string body, unsigned status = 200);
/// 204.
[[nodiscard]] response empty_response();

/// `application/json` or `…+json`, in UTF-8.
[[nodiscard]] bool is_json_type(std::string_view content_type) noexcept;
[[nodiscard]] bool is_expect_continue(std::string_view expectation) noexcept;

/// Ends when the client has gone or the server stops. Run it beside the work, on one strand.
///
/// Cancellation: terminal and total.
[[nodiscard]] awaitable<void> until_gone(connection& from);

/// Runs `work` while the client is there: cancels it (terminal) when the client goes or the server
/// stops, and returns when it has ended.
[[nodiscard]] awaitable<void> while_there(connection& with, awaitable<void> work);

/// The client's address; `local` over the Unix socket.
[[nodiscard]] std::string peer_address(const connection& of);

/// Whether the client has closed its side, as far as the kernel knows now.
[[nodiscard]] bool has_gone(connection& from) noexcept;

/// Sends a part of a streamed body; false when the client has gone.
[[nodiscard]] awaitable<bool> send_chunk(connection& to, std::string_view bytes);

/// The server is about to end: streams say `retry:` and stop.
[[nodiscard]] bool is_stopping(const connection& of) noexcept;

}  // namespace millrace::http
