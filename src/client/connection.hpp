#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/client/endpoint.hpp>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace millrace::client {

using deadline = std::chrono::steady_clock::time_point;

/// One open connection, over TCP or a Unix socket alike.
///
/// Threading: one strand, that of the executor it was made with.
struct connection {
  using stream_type =
      boost::beast::basic_stream<asio::generic::stream_protocol, asio::any_io_executor,
                                 boost::beast::unlimited_rate_policy>;

  explicit connection(const asio::any_io_executor& executor) : stream(executor) {}

  /// False when the other side has closed it or has sent something unasked.
  [[nodiscard]] bool still_good();

  stream_type stream;
  boost::beast::flat_buffer buffer;
  std::chrono::steady_clock::time_point idle_since{};
  bool used_before{false};
};

/// Errors: unavailable (`no_server`), cancelled.
[[nodiscard]] awaitable<result<std::unique_ptr<connection>>> connect(
    asio::any_io_executor strand, endpoint where, std::chrono::milliseconds longest);

/// The coroutine's caller has given up.
[[nodiscard]] awaitable<bool> is_cancelled();

[[nodiscard]] error cancelled_error();

}  // namespace millrace::client
