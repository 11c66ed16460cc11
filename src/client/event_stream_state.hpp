#pragma once

#include "connection.hpp"
#include "sse_parser.hpp"

#include <millrace/client/event_stream.hpp>

#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <array>
#include <memory>

namespace millrace::client {

struct event_stream::state {
  using parser_type = boost::beast::http::response_parser<boost::beast::http::buffer_body>;

  state(asio::any_io_executor on, std::unique_ptr<connection> with)
      : strand(std::move(on)), over(std::move(with)), parser(std::make_unique<parser_type>()) {}

  asio::any_io_executor strand;
  std::unique_ptr<connection> over;
  std::unique_ptr<parser_type> parser;
  sse_parser events;
  // Where the body is read into, a piece at a time.
  std::array<char, 16 * 1024> piece{};
};

/// Reads some more of the body into `piece`: how many bytes, 0 at its end. Runs on the strand.
/// borrows: awaited in place.
[[nodiscard]] awaitable<result<std::size_t>> read_piece(event_stream::state& stream,
                                                        std::chrono::milliseconds longest);

}  // namespace millrace::client
