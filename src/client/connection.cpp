#include "connection.hpp"

#include "tls_trust.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <cerrno>
#include <sys/socket.h>
#include <sys/un.h>
#include <utility>
#include <vector>

namespace millrace::client {
namespace {

constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);
using generic_endpoint = asio::generic::stream_protocol::endpoint;

error no_server(const endpoint& where, std::string_view why) {
  return {.kind = errc::unavailable,
          .code = "no_server",
          .detail = fmt::format("no server answers at {}: {}", where.text(), why),
          .field = {},
          .retry_after = std::nullopt};
}

error not_trusted(const endpoint& where, std::string_view why) {
  return {.kind = errc::unavailable,
          .code = "tls_failed",
          .detail = fmt::format("no TLS connection to {}: {}", where.text(), why),
          .field = {},
          .retry_after = std::nullopt};
}

// The resolver cannot be given a deadline of its own and may ask a name server for minutes.
awaitable<result<std::vector<generic_endpoint>>> look_up(asio::any_io_executor strand,
                                                         endpoint where, deadline until) {
  // Shared, since a timer that has just fired may still be about to cancel it.
  const auto resolver = std::make_shared<asio::ip::tcp::resolver>(strand);
  asio::steady_timer limit{strand, until};
  limit.async_wait([resolver](const boost::system::error_code& ec) {
    if (!ec) resolver->cancel();
  });
  auto found =
      co_await resolver->async_resolve(where.host, std::to_string(where.port),
                                       asio::ip::resolver_base::numeric_service, tuple_awaitable);
  const bool in_time = limit.cancel() > 0;
  auto& [ec, entries] = found;
  if (ec) {
    const bool gave_up = co_await is_cancelled();
    if (gave_up) co_return std::unexpected(cancelled_error());
    co_return std::unexpected(
        no_server(where, in_time ? "the host name is not known" : "the name lookup took too long"));
  }
  std::vector<generic_endpoint> places;
  for (const auto& entry : entries) places.emplace_back(entry.endpoint());
  co_return places;
}

awaitable<result<std::vector<generic_endpoint>>> places_of(asio::any_io_executor strand,
                                                           endpoint where, deadline until) {
  if (where.over == endpoint::transport::unix_socket) {
    if (where.path.size() >= sizeof(sockaddr_un{}.sun_path)) {
      co_return std::unexpected(
          no_server(where, "the path of the socket is too long; use a shorter one or TCP"));
    }
    const generic_endpoint socket{asio::local::stream_protocol::endpoint{where.path}};
    co_return std::vector{socket};
  }
  boost::system::error_code not_literal;
  const auto literal = asio::ip::make_address(where.host, not_literal);
  if (!not_literal) {
    const generic_endpoint address{asio::ip::tcp::endpoint{literal, where.port}};
    co_return std::vector{address};
  }
  co_return co_await look_up(std::move(strand), std::move(where), until);
}

}  // namespace

bool connection::still_good() {
  char unasked = 0;
  const auto got =
      ::recv(stream.plain().socket().native_handle(), &unasked, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

awaitable<bool> is_cancelled() {
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

error cancelled_error() {
  return {.kind = errc::cancelled,
          .code = "cancelled",
          .detail = "the request was given up",
          .field = {},
          .retry_after = std::nullopt};
}

awaitable<result<std::unique_ptr<connection>>> connect(asio::any_io_executor strand, endpoint where,
                                                       std::shared_ptr<const tls_trust> trust,
                                                       std::chrono::milliseconds longest) {
  const deadline until = std::chrono::steady_clock::now() + longest;
  auto places = co_await places_of(strand, where, until);
  if (!places) co_return std::unexpected(std::move(places.error()));
  boost::system::error_code last;
  for (const generic_endpoint& place : *places) {
    auto made = std::make_unique<connection>(strand);
    made->stream.expires_at(until);
    const auto connected = co_await made->stream.plain().async_connect(place, tuple_awaitable);
    last = std::get<0>(connected);
    const bool gave_up = co_await is_cancelled();
    if (gave_up) co_return std::unexpected(cancelled_error());
    if (last) continue;
    boost::system::error_code without_nodelay;
    if (where.over == endpoint::transport::tcp) {
      made->stream.plain().socket().set_option(asio::ip::tcp::no_delay{true}, without_nodelay);
    }
    if (!where.tls) co_return made;
    const std::string wrong = co_await made->stream.secure(*trust, where.host);
    if (wrong.empty()) co_return made;
    const bool given_up = co_await is_cancelled();
    if (given_up) co_return std::unexpected(cancelled_error());
    co_return std::unexpected(not_trusted(where, wrong));
  }
  if (last == boost::beast::error::timeout) {
    co_return std::unexpected(
        no_server(where, fmt::format("no connection within {} ms", longest.count())));
  }
  co_return std::unexpected(no_server(where, last.message()));
}

}  // namespace millrace::client
