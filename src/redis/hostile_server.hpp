#pragma once

#include <millrace/redis/address.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <utility>

namespace millrace::redis::testing {

/// A server that plays a given part on each connection in turn, and refuses those beyond. For
/// tests.
///
/// Lifetime: the destructor waits for the parts; they end when the client is gone.
class hostile_server final {
public:
  /// One connection as the server sees it.
  class peer final {
  public:
    explicit peer(boost::asio::io_context& context) : socket(context) {}

    /// Waits until `count` more commands have come, and forgets them; false when the client leaves.
    bool take(std::size_t count = 1) {
      while (count > 0) {
        while (!whole_command()) {
          boost::system::error_code ec;
          char piece[4096];
          const std::size_t got = socket.read_some(boost::asio::buffer(piece), ec);
          if (ec) return false;
          pending.append(piece, got);
        }
        pending.erase(0, whole_command());
        --count;
      }
      return true;
    }
    void send(std::string_view bytes) {
      boost::system::error_code gone;
      boost::asio::write(socket, boost::asio::buffer(bytes), gone);
    }
    void send_in_pieces(std::string_view bytes, std::size_t piece) {
      socket.set_option(boost::asio::ip::tcp::no_delay{true});
      for (std::size_t at = 0; at < bytes.size(); at += piece) send(bytes.substr(at, piece));
    }
    /// Takes HELLO and answers as a Redis of that version.
    bool greet(std::string_view version = "7.0.15", std::string_view mode = "standalone") {
      if (!take()) return false;
      send(greeting(version, mode));
      return true;
    }
    /// Until the client leaves.
    void listen() {
      while (take()) continue;
    }

    boost::asio::ip::tcp::socket socket;
    std::string pending;

  private:
    // The length of the command at the front; 0 while it is not all there.
    [[nodiscard]] std::size_t whole_command() const {
      std::size_t at = pending.find("\r\n");
      if (at == std::string::npos) return 0;
      std::size_t words = std::stoul(pending.substr(1, at - 1));
      at += 2;
      for (; words > 0; --words) {
        const std::size_t line = pending.find("\r\n", at);
        if (line == std::string::npos) return 0;
        at = line + 2 + std::stoul(pending.substr(at + 1, line - at - 1)) + 2;
        if (at > pending.size()) return 0;
      }
      return at;
    }
  };
  using part = std::function<void(peer& client, std::size_t connection)>;

  hostile_server(std::size_t connections, part play)
      : acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}),
        thread_([this, connections, play = std::move(play)] {
          for (std::size_t i = 0; i < connections; ++i) {
            peer client{context_};
            boost::system::error_code ec;
            acceptor_.accept(client.socket, ec);
            if (ec) return;
            play(client, i);
          }
        }) {}
  ~hostile_server() {
    // A client that never came is not waited for.
    ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
    thread_.join();
  }
  hostile_server(const hostile_server&) = delete;
  hostile_server& operator=(const hostile_server&) = delete;

  [[nodiscard]] std::string url() const {
    return "redis://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
  }

  static std::string greeting(std::string_view version, std::string_view mode) {
    const auto text = [](std::string_view value) {
      return "$" + std::to_string(value.size()) + "\r\n" + std::string{value} + "\r\n";
    };
    return "%7\r\n" + text("server") + text("redis") + text("version") + text(version) +
           text("proto") + ":3\r\n" + text("id") + ":10\r\n" + text("mode") + text(mode) +
           text("role") + text("master") + text("modules") + "*0\r\n";
  }

private:
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
};

}  // namespace millrace::redis::testing
