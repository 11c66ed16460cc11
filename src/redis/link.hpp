#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/redis/address.hpp>
#include <millrace/redis/connection.hpp>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/system/error_code.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::redis {

/// One open stream of bytes to a server: TCP, TLS or a Unix socket alike.
///
/// Threading: one strand, that of the executor it was made with, but for `write_at_once`.
/// Lifetime:  shared by its owner and the operations under way.
class link final : public std::enable_shared_from_this<link> {
public:
  using socket_type = asio::generic::stream_protocol::socket;
  using when = std::chrono::steady_clock::time_point;

  explicit link(const asio::any_io_executor& strand) : strand_(strand), socket_(strand) {}

  /// Connects, and shakes hands where it is TLS, by `until`. `close` ends it early.
  ///
  /// Errors: unavailable (`redis_unreachable`), unsupported (`tls_failed`, `tls_setup`), forbidden
  /// (`tls_untrusted`), cancelled.
  [[nodiscard]] static awaitable<result<void>> open(std::shared_ptr<link> self, address where,
                                                    tls_options tls, when until);

  /// Waits for bytes: those that have come, until the next call.
  [[nodiscard]] static awaitable<result<std::string_view>> read_some(std::shared_ptr<link> self);

  /// Where the next bytes to write are gathered. Not to be touched between `write` and its end.
  [[nodiscard]] std::string& outgoing() noexcept { return outgoing_; }
  /// Writes as much of `outgoing()` as the system takes at once, and tells how much; with TLS
  /// nothing. What went wrong is told to the next `read_some` or `write`.
  ///
  /// Threading: any, if neither `close`, `open` nor `write` run at the same time.
  [[nodiscard]] std::size_t write_at_once() noexcept;
  /// Writes the rest of `outgoing()`; one at a time.
  void write(std::size_t from,
             std::move_only_function<void(const boost::system::error_code&)> done);

  [[nodiscard]] bool is_tls() const noexcept { return tls_.has_value(); }

  /// Ends everything under way. Safe to call twice.
  void close() noexcept;
  [[nodiscard]] bool closed() const noexcept { return closed_; }

private:
  using endpoint_type = asio::generic::stream_protocol::endpoint;

  [[nodiscard]] static awaitable<result<void>> connect(std::shared_ptr<link> self, address where,
                                                       when until);
  [[nodiscard]] static awaitable<result<void>> secure(std::shared_ptr<link> self, address where,
                                                      tls_options tls, when until);
  [[nodiscard]] result<void> make_tls(const address& where, const tls_options& tls);
  [[nodiscard]] error tls_failure(const address& where, const boost::system::error_code& ec);
  void set_options(bool tcp);

  asio::any_io_executor strand_;
  socket_type socket_;
  std::optional<asio::ssl::context> tls_context_;
  std::optional<asio::ssl::stream<socket_type&>> tls_;
  std::string outgoing_;
  std::array<char, read_bytes> incoming_;
  bool closed_{false};
};

/// In words, also where it is TLS that failed.
[[nodiscard]] std::string reason_of(const boost::system::error_code& ec);

}  // namespace millrace::redis
