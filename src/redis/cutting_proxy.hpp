#pragma once

#include <millrace/base/awaitable.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>

namespace millrace::redis::testing {

/// Stands between a client and a server and cuts each connection after a random number of bytes of
/// replies, in the middle of whatever it is. For tests.
class cutting_proxy final {
public:
  /// A connection lives for up to `bytes_max` bytes of replies, some for less than one reply.
  cutting_proxy(std::uint16_t server, std::size_t bytes_max, std::uint32_t seed)
      : server_(server),
        bytes_max_(bytes_max),
        random_(seed),
        acceptor_(context_, {asio::ip::address_v4::loopback(), 0}),
        port_(acceptor_.local_endpoint().port()) {
    accept();
    thread_ = std::thread{[this] { context_.run(); }};
  }
  ~cutting_proxy() {
    asio::post(context_, [this] { context_.stop(); });
    thread_.join();
  }
  cutting_proxy(const cutting_proxy&) = delete;
  cutting_proxy& operator=(const cutting_proxy&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] std::size_t cuts() const noexcept { return cuts_; }
  /// From now on it only forwards.
  void stop_cutting() noexcept { cutting_ = false; }

private:
  using tcp = asio::ip::tcp;

  struct pair {
    explicit pair(asio::io_context& context) : client(context), server(context) {}
    tcp::socket client;
    tcp::socket server;
    std::size_t bytes_left{0};
    std::array<char, 16'384> up{};
    std::array<char, 16'384> down{};
  };

  void accept() {
    const auto both = std::make_shared<pair>(context_);
    acceptor_.async_accept(both->client, [this, both](const boost::system::error_code& ec) {
      if (ec) return;
      boost::system::error_code refused;
      both->server.connect({asio::ip::address_v4::loopback(), server_}, refused);
      if (!refused) {
        const bool short_lived = random_() % 4 == 0;
        both->bytes_left = 1 + random_() % (short_lived ? 400 : bytes_max_);
        both->client.set_option(tcp::no_delay{true});
        both->server.set_option(tcp::no_delay{true});
        forward_up(both);
        forward_down(both);
      }
      accept();
    });
  }

  static void close(pair& both) {
    boost::system::error_code ignored;
    both.client.close(ignored);
    both.server.close(ignored);
  }

  void forward_up(const std::shared_ptr<pair>& both) {
    both->client.async_read_some(
        asio::buffer(both->up), [this, both](const boost::system::error_code& ec, std::size_t got) {
          boost::system::error_code gone;
          if (!ec) asio::write(both->server, asio::buffer(both->up, got), gone);
          if (ec || gone) return close(*both);
          forward_up(both);
        });
  }

  void forward_down(const std::shared_ptr<pair>& both) {
    both->server.async_read_some(
        asio::buffer(both->down),
        [this, both](const boost::system::error_code& ec, std::size_t got) {
          if (ec) return close(*both);
          if (cutting_) got = std::min(got, both->bytes_left);
          both->bytes_left -= std::min(got, both->bytes_left);
          boost::system::error_code gone;
          asio::write(both->client, asio::buffer(both->down, got), gone);
          if (cutting_ && both->bytes_left == 0) {
            ++cuts_;
            return close(*both);
          }
          if (gone) return close(*both);
          forward_down(both);
        });
  }

  const std::uint16_t server_;
  const std::size_t bytes_max_;
  std::mt19937 random_;
  asio::io_context context_;
  tcp::acceptor acceptor_;
  const std::uint16_t port_;
  std::atomic<std::size_t> cuts_{0};
  std::atomic<bool> cutting_{true};
  std::thread thread_;
};

}  // namespace millrace::redis::testing
