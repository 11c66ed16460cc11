#include "connection.hpp"
#include "server_core.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/compile.h>
#include <fmt/format.h>

#include <array>
#include <ctime>
#include <exception>
#include <iterator>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

namespace millrace::http {
namespace {

/// What a refused client may still send before its connection is cut.
constexpr std::size_t linger_bytes_max = std::size_t{4} << 20U;
constexpr std::chrono::milliseconds linger_deadline{2'000};
/// How often a waiting request looks for its client where it cannot be told (see `until_gone`).
constexpr std::chrono::milliseconds pipelined_look{250};

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

std::string_view reason_of(unsigned status) noexcept {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 507: return "Insufficient Storage";
    default: return "Other";
  }
}

// `Date: …` with its line end; made once a second a thread.
std::string_view date_line() {
  thread_local std::time_t made_at = 0;
  thread_local std::string line;
  const std::time_t now = std::time(nullptr);
  if (now != made_at) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::array<char, 64> text{};
    const std::size_t bytes =
        std::strftime(text.data(), text.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    line.assign(text.data(), bytes);
    made_at = now;
  }
  return line;
}

// Answers are of the moment and belong to nobody else's cache; a browser takes them for what they
// say they are; a proxy does not recode (and thereby hold back) a stream.
constexpr std::string_view common_headers =
    "Cache-Control: no-store, no-transform\r\nX-Content-Type-Options: nosniff\r\n";

}  // namespace

void connection::render_head(const response& what, std::size_t body_bytes) {
  const request& asked = reader_.what();
  out_.clear();
  const auto at = std::back_inserter(out_);
  fmt::format_to(at, FMT_COMPILE("HTTP/1.1 {} {}\r\n"), what.status, reason_of(what.status));
  out_ += date_line();
  if (!what.content_type.empty()) {
    fmt::format_to(at, FMT_COMPILE("Content-Type: {}\r\n"), what.content_type);
  }
  if (what.follow || (what.stream && !what.stream_length)) {
    if (chunked_) out_ += "Transfer-Encoding: chunked\r\n";
  } else if (what.status != 204 && what.status != 304) {
    fmt::format_to(at, FMT_COMPILE("Content-Length: {}\r\n"), body_bytes);
  }
  if (!asked.correlation_id.empty()) {
    fmt::format_to(at, FMT_COMPILE("X-Correlation-ID: {}\r\n"), asked.correlation_id);
  }
  out_ += common_headers;
  out_ += what.headers;
  if (!keep_alive_) {
    out_ += "Connection: close\r\n";
  } else if (asked.old) {
    out_ += "Connection: keep-alive\r\n";
  }
  out_ += "\r\n";
}

awaitable<bool> connection::send(response& what) {
  const bool head_only = reader_.what().verb == method::head;
  if (what.stream && !head_only) co_return co_await send_stream(what);
  if (what.follow && !head_only) {
    hand_over(what);
    co_return true;
  }
  render_head(what, what.stream ? what.stream_length.value_or(0) : what.body.size());
  written_bytes_ = out_.size() + (head_only ? 0 : what.body.size());
  co_return co_await write_all(out_, head_only ? std::string_view{} : what.body);
}

awaitable<bool> connection::send_stream(response& what) {
  chunked_ = !what.stream_length && !reader_.what().old;
  render_head(what, what.stream_length.value_or(0));
  written_bytes_ = out_.size();
  bool sent = co_await write_all(out_, {});
  if (!sent) co_return false;
  co_await while_there(*this, what.stream());
  if (chunked_) sent = co_await write_all("0\r\n\r\n", {});
  co_return sent;
}

// From here on the socket is the hub's, and all that this connection took is given back.
void connection::hand_over(response& what) {
  chunked_ = !reader_.what().old;
  render_head(what, 0);
  written_bytes_ = out_.size();
  core_->streams->expect();
  core_->connections.remove(*this);
  core_->streams->accept(std::move(socket_), std::move(*what.follow), std::move(out_), chunked_);
}

awaitable<bool> connection::write_all(std::string_view head, std::string_view body) {
  std::array<asio::const_buffer, 2> parts{asio::buffer(head), asio::buffer(body)};
  boost::system::error_code code;
  // An answer nearly always fits into the socket's buffer: then nothing has to wait.
  const std::size_t written = socket_.write_some(parts, code);
  if (!code && written == head.size() + body.size()) co_return true;
  if (code && code != asio::error::would_block) co_return false;
  for (std::size_t rest = written; asio::const_buffer & part : parts) {
    const std::size_t of_part = std::min(rest, part.size());
    part += of_part;
    rest -= of_part;
  }
  while (asio::buffer_size(parts) > 0) {
    enter(phase::writing, core_->options.limits.write_deadline);
    const auto step = co_await socket_.async_write_some(parts, as_result);
    if (std::get<0>(step)) co_return false;
    std::size_t rest = std::get<1>(step);
    for (asio::const_buffer& part : parts) {
      const std::size_t of_part = std::min(rest, part.size());
      part += of_part;
      rest -= of_part;
    }
  }
  enter(phase::working, {});
  co_return true;
}

// Closing a socket with unread bytes resets the connection, and the client may lose the answer it
// has not read yet. So the rest is read for a while, and the client closes first.
awaitable<void> connection::linger() {
  boost::system::error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  enter(phase::reading, linger_deadline);
  buffer_.resize(std::max<std::size_t>(buffer_.size(), 16384));
  std::size_t total = 0;
  while (total < linger_bytes_max) {
    const auto got = co_await socket_.async_read_some(asio::buffer(buffer_), as_result);
    if (std::get<0>(got)) co_return;
    total += std::get<1>(got);
  }
}

bool connection::has_gone() noexcept {
  pollfd look{.fd = socket_.native_handle(), .events = POLLRDHUP, .revents = 0};
  const int ready = ::poll(&look, 1, 0);
  return ready > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

awaitable<void> connection::until_gone() {
  enter_waiting();
  while (!has_gone()) {
    if (begin_ == end_) {
      const auto ready = co_await socket_.async_wait(stream_socket::wait_read, as_result);
      if (std::get<0>(ready)) co_return;
      if (has_gone()) co_return;
    }
    // The client has sent its next request already. Those bytes stay where they are, so that
    // readiness says nothing any more; now and then a look at the socket does.
    asio::steady_timer timer(socket_.get_executor(), pipelined_look);
    const auto slept = co_await timer.async_wait(as_result);
    if (std::get<0>(slept)) co_return;
  }
}

awaitable<bool> connection::send_chunk(std::string_view bytes) {
  if (bytes.empty()) co_return true;
  written_bytes_ += bytes.size();
  bool sent = false;
  if (chunked_) {
    std::string framed = fmt::format("{:x}\r\n", bytes.size());
    framed.append(bytes).append("\r\n");
    sent = co_await write_all(framed, {});
  } else {
    sent = co_await write_all(bytes, {});
  }
  enter_waiting();
  co_return sent;
}

awaitable<void> until_gone(connection& from) { return from.until_gone(); }
std::string peer_address(const connection& of) { return of.peer_address(); }
bool has_gone(connection& from) noexcept { return from.has_gone(); }
awaitable<bool> send_chunk(connection& to, std::string_view bytes) { return to.send_chunk(bytes); }
bool is_stopping(const connection& of) noexcept { return of.is_stopping(); }

namespace {

// Nothing of a group may end before all of it have begun: Boost 1.81 would throw out of the loop.
awaitable<void> after_a_turn(awaitable<void> work) {
  co_await asio::post(asio::use_awaitable);
  co_await std::move(work);
}

awaitable<void> race(connection* with, awaitable<void> work) {
  const auto strand = co_await asio::this_coro::executor;
  auto ended = co_await asio::experimental::make_parallel_group(
                   asio::co_spawn(strand, after_a_turn(std::move(work)), asio::deferred),
                   asio::co_spawn(strand, with->until_gone(), asio::deferred))
                   .async_wait(asio::experimental::wait_for_one(asio::cancellation_type::terminal),
                               asio::use_awaitable);
  const auto& [order, work_failed, watch_failed] = ended;
  // The watch ended first: whatever the work threw, it was the cancellation.
  if (work_failed && order[0] == 0) std::rethrow_exception(work_failed);
}

}  // namespace

awaitable<void> while_there(connection& with, awaitable<void> work) {
  const auto executor = co_await asio::this_coro::executor;
  co_await asio::co_spawn(asio::make_strand(executor), race(&with, std::move(work)),
                          asio::use_awaitable);
}

}  // namespace millrace::http
