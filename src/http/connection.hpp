#pragma once

#include "message.hpp"
#include "request_reader.hpp"

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

struct server_core;

using stream_socket =
    asio::basic_stream_socket<asio::generic::stream_protocol, asio::io_context::executor_type>;

/// One client: reads requests, has them answered, writes the answers, one after the other.
///
/// Threading: one coroutine, so that no strand is needed, except while a request waits or streams:
///            then the work and the watch over the socket share a strand of their own. Deadlines
///            and `stop` come from other threads and only shut the socket down, which wakes
///            whatever waits on it.
class connection final {
public:
  enum class kind : std::uint8_t { tcp, local };

  connection(std::shared_ptr<server_core> core, stream_socket socket, kind what);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Until the client, a deadline or the server ends it.
  [[nodiscard]] static awaitable<void> serve(std::shared_ptr<connection> self);
  /// Says that there are too many connections, and ends.
  [[nodiscard]] static awaitable<void> refuse(std::shared_ptr<connection> self);

  // From the registry, under its lock.
  void cut_if_late(std::chrono::steady_clock::time_point now) noexcept;
  void wake_if_waiting() noexcept;
  void cut() noexcept;

  // What message.hpp offers to the routes.
  [[nodiscard]] awaitable<void> until_gone();
  [[nodiscard]] std::string peer_address() const;
  [[nodiscard]] bool has_gone() noexcept;
  [[nodiscard]] awaitable<bool> send_chunk(std::string_view bytes);
  [[nodiscard]] bool is_stopping() const noexcept;

private:
  enum class phase : std::uint8_t {
    /// No byte of a request has come yet.
    idle,
    reading,
    /// A route works; it has no deadline here.
    working,
    /// A route waits for something to happen: `stop` wakes it.
    waiting,
    writing,
  };
  enum class next : std::uint8_t { go_on, close, linger };

  void enter(phase what, std::chrono::milliseconds deadline) noexcept;
  void enter_waiting() noexcept;
  [[nodiscard]] awaitable<bool> receive();
  [[nodiscard]] awaitable<bool> read_request();
  [[nodiscard]] awaitable<next> handle_request();
  /// Looks at the header; an answer where the request is refused before its body is read.
  [[nodiscard]] std::optional<response> admit();
  [[nodiscard]] std::optional<response> admit_body();
  [[nodiscard]] bool charge_body();
  void give_back_body() noexcept;
  [[nodiscard]] response answer_unreadable();
  [[nodiscard]] awaitable<response> answer();
  [[nodiscard]] awaitable<bool> send(response& what);
  [[nodiscard]] awaitable<bool> send_stream(response& what);
  void hand_over(response& what);
  [[nodiscard]] awaitable<bool> write_all(std::string_view head, std::string_view body);
  [[nodiscard]] awaitable<void> linger();
  void render_head(const response& what, std::size_t body_bytes);
  void record(const response& what);

  std::shared_ptr<server_core> core_;
  stream_socket socket_;
  kind kind_;
  request_reader reader_;
  // Received and not yet read: [begin_, end_) of buffer_.
  std::vector<char> buffer_;
  std::size_t begin_{0};
  std::size_t end_{0};
  std::string out_;
  std::size_t route_{0};
  std::optional<response> refusal_;
  std::size_t charged_bytes_{0};
  std::size_t body_bytes_{0};
  std::size_t written_bytes_{0};
  bool keep_alive_{true};
  bool chunked_{false};
  std::chrono::steady_clock::time_point begun_{};
  // The phase in the low three bits, its deadline in steady milliseconds (0: none) above: one
  // word, so that a deadline is never taken for that of another phase.
  std::atomic<std::uint64_t> state_{0};
  std::atomic<bool> late_{false};
};

}  // namespace millrace::http
