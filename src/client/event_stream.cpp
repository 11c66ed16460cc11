#include "event_stream_state.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/read.hpp>
#include <fmt/format.h>

#include <utility>

namespace millrace::client {
namespace {

namespace http = boost::beast::http;

/// Three times the comment that a server sends into a quiet stream.
constexpr std::chrono::seconds silence_max{45};
constexpr std::chrono::milliseconds retry_default{3'000};

awaitable<result<std::optional<event>>> next_on_strand(event_stream::state& stream) {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (true) {
    if (auto ready = stream.events.take()) co_return ready;
    const auto got = co_await read_piece(stream, silence_max);
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return std::optional<event>{};
    auto fed = stream.events.feed({stream.piece.data(), *got});
    if (!fed) co_return std::unexpected(std::move(fed.error()));
  }
}

}  // namespace

awaitable<result<std::size_t>> read_piece(event_stream::state& stream,
                                          std::chrono::milliseconds longest) {
  auto& body = stream.parser->get().body();
  while (!stream.parser->is_done()) {
    body.data = stream.piece.data();
    body.size = stream.piece.size();
    stream.over->stream.expires_after(longest);
    const auto read =
        co_await http::async_read_some(stream.over->stream, stream.over->buffer, *stream.parser,
                                       asio::as_tuple(asio::use_awaitable));
    const auto ec = std::get<0>(read);
    const std::size_t got = stream.piece.size() - body.size;
    if (got > 0) co_return got;
    if (!ec || ec == http::error::need_buffer) continue;
    const bool gave_up = co_await is_cancelled();
    if (gave_up) co_return std::unexpected(cancelled_error());
    if (ec == boost::beast::error::timeout) {
      co_return fail(errc::deadline_exceeded, "stream_silent",
                     fmt::format("the stream was silent for {} ms", longest.count()));
    }
    co_return fail(errc::unavailable, "connection_lost",
                   fmt::format("the stream broke: {}", ec.message()));
  }
  co_return std::size_t{0};
}

event_stream::event_stream(std::unique_ptr<state> s) noexcept : state_(std::move(s)) {}
event_stream::event_stream(event_stream&&) noexcept = default;
event_stream& event_stream::operator=(event_stream&&) noexcept = default;
event_stream::~event_stream() = default;

awaitable<result<std::optional<event>>> event_stream::next() {
  co_return co_await asio::co_spawn(state_->strand, next_on_strand(*state_), asio::use_awaitable);
}

const std::string& event_stream::last_id() const noexcept { return state_->events.last_id(); }

std::chrono::milliseconds event_stream::retry() const noexcept {
  return state_->events.retry().value_or(retry_default);
}

}  // namespace millrace::client
