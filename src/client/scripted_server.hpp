#pragma once

#include <millrace/client/endpoint.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::client {

/// A server that plays a given part: a blocking function gets each accepted connection in turn.
/// For tests.
class scripted_server final {
public:
  using socket = boost::asio::ip::tcp::socket;
  /// Plays connection number `index`, from 0.
  using part = std::function<void(socket& peer, std::size_t index)>;

  scripted_server(std::size_t connections, part play)
      : acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}),
        thread_([this, connections, play = std::move(play)] {
          for (std::size_t i = 0; i < connections; ++i) {
            socket peer{context_};
            boost::system::error_code ec;
            acceptor_.accept(peer, ec);
            if (ec) return;
            play(peer, i);
          }
        }) {}

  ~scripted_server() { join(); }
  scripted_server(const scripted_server&) = delete;
  scripted_server& operator=(const scripted_server&) = delete;

  void join() {
    if (thread_.joinable()) thread_.join();
  }

  [[nodiscard]] endpoint where() const {
    return {.host = "127.0.0.1", .port = acceptor_.local_endpoint().port()};
  }

  /// Reads one request, head and body, as it came; empty when the peer has closed.
  static std::string read_request(socket& peer) {
    boost::asio::streambuf buffer;
    boost::system::error_code ec;
    const std::size_t head = boost::asio::read_until(peer, buffer, "\r\n\r\n", ec);
    if (ec) return {};
    std::string text{boost::asio::buffers_begin(buffer.data()),
                     boost::asio::buffers_end(buffer.data())};
    constexpr std::string_view length_field = "Content-Length: ";
    const std::size_t at = text.find(length_field);
    const std::size_t body =
        at < head ? std::stoul(text.substr(at + length_field.size())) : std::size_t{0};
    while (text.size() < head + body) {
      char more[4096];
      const std::size_t got = peer.read_some(boost::asio::buffer(more), ec);
      if (ec) return {};
      text.append(more, got);
    }
    return text;
  }

  static void write(socket& peer, std::string_view text) {
    boost::system::error_code gone;
    boost::asio::write(peer, boost::asio::buffer(text), gone);
  }

  static std::string answer(std::string_view status, std::string_view body,
                            std::string_view headers = {}) {
    return "HTTP/1.1 " + std::string{status} + "\r\n" + std::string{headers} +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string{body};
  }

private:
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
};

}  // namespace millrace::client
