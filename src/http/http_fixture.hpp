#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/http/server.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace millrace::http::testing {

/// One answer as it came over the wire.
struct reply {
  unsigned status{0};
  /// Names in lower case.
  std::map<std::string, std::string> headers;
  std::string body;

  [[nodiscard]] boost::json::value json() const;
  /// A member of the body as text; empty where there is none.
  [[nodiscard]] std::string text(std::string_view member) const;
  [[nodiscard]] std::string header(const std::string& name) const;
};

/// A client that says exactly what it is told, byte for byte.
///
/// Every read gives up after ten seconds, so that a broken server fails a test and does not hang
/// it.
class raw_client final {
public:
  raw_client(const std::string& address, std::uint16_t port);
  explicit raw_client(const std::filesystem::path& unix_socket);
  ~raw_client();
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;

  void send(std::string_view bytes);
  /// False where the server takes no more.
  [[nodiscard]] bool try_send(std::string_view bytes);
  /// The next answer; empty where the connection ended before one was complete.
  [[nodiscard]] std::optional<reply> receive();
  /// Only the header of the next answer; the body follows by `read_until`.
  [[nodiscard]] std::optional<reply> receive_head();
  /// Everything up to and including `end`; empty where the connection ended before.
  [[nodiscard]] std::optional<std::string> read_until(std::string_view end);
  /// Until the server closes; false when it does not.
  [[nodiscard]] bool closed_by_server();
  /// Tells the server that nothing more will come.
  void finish_sending();
  void close();

private:
  [[nodiscard]] bool fill();

  int fd_{-1};
  std::string received_;
};

/// A server on the reference engine, with a clock that stands still, on a free port.
class test_server final {
public:
  explicit test_server(server_options options = {});
  ~test_server();
  test_server(const test_server&) = delete;
  test_server& operator=(const test_server&) = delete;

  [[nodiscard]] raw_client connect() const { return raw_client("127.0.0.1", port_); }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// `POST /v1/x`, with the body as JSON, on a connection of its own.
  [[nodiscard]] reply ask(std::string_view line, std::string_view body = {},
                          std::string_view headers = {}) const;
  void stop();
  /// Begins to stop; `stop` waits for its end.
  void begin_stop();

  manual_clock clock;
  std::unique_ptr<engine::store> store;
  /// Every answered request.
  struct record {
    std::string method, route, correlation_id, code;
    unsigned status;
  };
  [[nodiscard]] std::vector<record> records() const;

private:
  mutable std::mutex mutex_;
  std::vector<record> records_;
  boost::asio::io_context context_{2};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::unique_ptr<server> server_;
  std::vector<std::thread> threads_;
  std::future<void> stopping_;
  std::uint16_t port_{0};
};

/// The bytes of a request: `line` is `POST /path`.
[[nodiscard]] std::string make_request(std::string_view line, std::string_view body = {},
                                       std::string_view headers = {});

}  // namespace millrace::http::testing
