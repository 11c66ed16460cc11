#pragma once

#include "wire_stream.hpp"

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/client/endpoint.hpp>

#include <boost/beast/core/flat_buffer.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace millrace::client {

using deadline = std::chrono::steady_clock::time_point;

/// One open connection, over TCP, TLS or a Unix socket alike.
///
/// Threading: one strand, that of the executor it was made with.
struct connection {
  explicit connection(const asio::any_io_executor& executor) : stream(executor) {}

  /// False when the other side has closed it or has sent something unasked.
  [[nodiscard]] bool still_good();

  wire_stream stream;
  boost::beast::flat_buffer buffer;
  std::chrono::steady_clock::time_point idle_since{};
  bool used_before{false};
};

/// `trust` is needed where the endpoint speaks TLS.
/// Errors: unavailable (`no_server`; `tls_failed`: somebody answers, but not in a way that can be
///         trusted), cancelled.
[[nodiscard]] awaitable<result<std::unique_ptr<connection>>> connect(
    asio::any_io_executor strand, endpoint where, std::shared_ptr<const tls_trust> trust,
    std::chrono::milliseconds longest);

/// The coroutine's caller has given up.
[[nodiscard]] awaitable<bool> is_cancelled();

[[nodiscard]] error cancelled_error();

}  // namespace millrace::client
