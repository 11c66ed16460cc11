#pragma once

#include <millrace/base/awaitable.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// For this room's tests only.
namespace millrace {

/// An HTTP server on a free port of the loopback interface that answers what it is told to, and
/// remembers what it was asked. It lives as long as its context.
class scripted_server final {
public:
  using request_type = boost::beast::http::request<boost::beast::http::string_body>;
  using response_type = boost::beast::http::response<boost::beast::http::string_body>;
  using script = std::function<response_type(const request_type&)>;

  scripted_server(asio::io_context& context, script answer)
      : state_(std::make_shared<state>(context, std::move(answer))) {
    asio::co_spawn(context, accept(state_), asio::detached);
  }
  ~scripted_server() { stop(); }
  scripted_server(const scripted_server&) = delete;
  scripted_server& operator=(const scripted_server&) = delete;

  static constexpr std::uint64_t body_bytes_max = std::uint64_t{32} << 20U;

  /// Takes no further connection; the port stays its own.
  void stop() { state_->acceptor.close(); }

  [[nodiscard]] std::uint16_t port() const { return state_->port; }
  [[nodiscard]] std::string url(const std::string& path) const {
    return fmt::format("http://127.0.0.1:{}{}", port(), path);
  }
  [[nodiscard]] const std::vector<request_type>& asked() const { return state_->asked; }

  [[nodiscard]] static response_type answer(unsigned status, std::string body) {
    response_type made{boost::beast::http::int_to_status(status), 11};
    made.body() = std::move(body);
    return made;
  }

private:
  struct state {
    state(asio::io_context& context, script with)
        : acceptor(context, {asio::ip::make_address("127.0.0.1"), 0}),
          port(acceptor.local_endpoint().port()),
          answer(std::move(with)) {}
    asio::ip::tcp::acceptor acceptor;
    std::uint16_t port;
    script answer;
    std::vector<request_type> asked;
  };

  static awaitable<void> accept(std::shared_ptr<state> self) {
    for (;;) {
      auto accepted = co_await self->acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
      auto& [ec, socket] = accepted;
      if (ec) co_return;
      asio::co_spawn(self->acceptor.get_executor(), serve(self, std::move(socket)), asio::detached);
    }
  }

  static awaitable<void> serve(std::shared_ptr<state> self, asio::ip::tcp::socket socket) {
    boost::beast::flat_buffer buffer;
    for (;;) {
      boost::beast::http::request_parser<boost::beast::http::string_body> parser;
      parser.body_limit(body_bytes_max);
      const auto read = co_await boost::beast::http::async_read(
          socket, buffer, parser, asio::as_tuple(asio::use_awaitable));
      if (std::get<0>(read)) co_return;
      const request_type request = parser.release();
      self->asked.push_back(request);
      response_type response = self->answer(request);
      response.prepare_payload();
      const auto written = co_await boost::beast::http::async_write(
          socket, response, asio::as_tuple(asio::use_awaitable));
      if (std::get<0>(written)) co_return;
    }
  }

  std::shared_ptr<state> state_;
};

}  // namespace millrace
