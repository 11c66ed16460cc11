#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/basic_stream.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace millrace::client {

class tls_trust;

/// The bytes of a connection: plain ones, or through TLS once `secure` has succeeded. What Beast
/// reads and writes, with the same deadline for both.
///
/// Threading: one strand, that of the executor it was made with.
// Not final: Asio derives from a stream's type to learn what it is.
class wire_stream {
public:
  using plain_stream =
      boost::beast::basic_stream<asio::generic::stream_protocol, asio::any_io_executor,
                                 boost::beast::unlimited_rate_policy>;
  using executor_type = plain_stream::executor_type;

  explicit wire_stream(const asio::any_io_executor& executor) : plain_(executor) {}

  [[nodiscard]] executor_type get_executor() { return plain_.get_executor(); }
  [[nodiscard]] plain_stream& plain() noexcept { return plain_; }

  void expires_at(std::chrono::steady_clock::time_point until) { plain_.expires_at(until); }
  void expires_after(std::chrono::steady_clock::duration longest) { plain_.expires_after(longest); }
  void expires_never() { plain_.expires_never(); }

  /// Speaks TLS from here on, to whoever can show a certificate of `host` that is trusted.
  ///
  /// Returns: empty, or what was wrong in words.
  /// borrows: awaited in place.
  [[nodiscard]] awaitable<std::string> secure(const tls_trust& trust, const std::string& host);

  template <class Buffers, class Token>
  BOOST_ASIO_INITFN_RESULT_TYPE(Token, void(boost::system::error_code, std::size_t))
  async_read_some(const Buffers& buffers, Token&& token) {
    if (tls_ != nullptr) return tls_->async_read_some(buffers, std::forward<Token>(token));
    return plain_.async_read_some(buffers, std::forward<Token>(token));
  }

  template <class Buffers, class Token>
  BOOST_ASIO_INITFN_RESULT_TYPE(Token, void(boost::system::error_code, std::size_t))
  async_write_some(const Buffers& buffers, Token&& token) {
    if (tls_ != nullptr) return tls_->async_write_some(buffers, std::forward<Token>(token));
    return plain_.async_write_some(buffers, std::forward<Token>(token));
  }

private:
  plain_stream plain_;
  // Above the plain one, which it uses.
  std::unique_ptr<asio::ssl::stream<plain_stream&>> tls_;
};

}  // namespace millrace::client
