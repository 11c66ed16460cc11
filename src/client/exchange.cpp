#include "exchange.hpp"

#include "wire.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::client {
namespace {

namespace http = boost::beast::http;
constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);

bool breaks_line(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  });
}

error told_by(const boost::system::error_code& ec, const request& what, bool unsent,
              const endpoint& where, std::size_t response_bytes_max) {
  if (ec == boost::beast::error::timeout) {
    return {
        .kind = errc::deadline_exceeded,
        .code = "timeout",
        .detail = fmt::format("no answer from {} within {} ms", where.text(), what.timeout.count()),
        .field = {},
        .retry_after = std::nullopt};
  }
  if (ec == http::error::body_limit) {
    return {.kind = errc::too_large,
            .code = "response_too_large",
            .detail = fmt::format("the answer of {} is larger than {} bytes", where.text(),
                                  response_bytes_max),
            .field = {},
            .retry_after = std::nullopt};
  }
  const bool harmless = unsent || is_repeatable(what);
  return {
      .kind = harmless ? errc::unavailable : errc::outcome_unknown,
      .code = "connection_lost",
      .detail = fmt::format("the connection to {} broke ({}){}", where.text(), ec.message(),
                            harmless ? "" : "; whether the request had its effect is not known"),
      .field = {},
      .retry_after = std::nullopt};
}

}  // namespace

http::request<http::string_body> to_wire(const request& what, const endpoint& where,
                                         const std::string& key) {
  http::request<http::string_body> wire;
  wire.version(11);
  wire.method_string(to_string(what.method));
  wire.target(what.target);
  wire.set(http::field::host, where.host_header());
  wire.set(http::field::user_agent, "millrace");
  if (!key.empty()) wire.set(http::field::authorization, fmt::format("Bearer {}", key));
  if (!what.body.empty()) wire.set(http::field::content_type, "application/json");
  for (const header& h : what.headers) wire.set(h.name, h.value);
  wire.body() = what.body;
  const bool carries_body = what.method == verb::post || what.method == verb::put ||
                            what.method == verb::patch || !what.body.empty();
  if (carries_body) wire.content_length(what.body.size());
  return wire;
}

std::vector<header> from_wire(const http::fields& fields) {
  std::vector<header> headers;
  for (const auto& field : fields) {
    headers.push_back({.name = std::string{field.name_string().data(), field.name_string().size()},
                       .value = std::string{field.value().data(), field.value().size()}});
  }
  return headers;
}

bool is_repeatable(const request& what) noexcept {
  if (what.method != verb::post && what.method != verb::patch) return true;
  return std::ranges::any_of(what.headers, [](const header& h) {
    return boost::beast::iequals(h.name, "Idempotency-Key");
  });
}

result<void> check(const request& what) {
  if (!what.target.starts_with('/') || breaks_line(what.target) || what.target.contains(' ')) {
    return invalid("target", "the target of a request is an encoded path that begins with '/'");
  }
  for (const header& h : what.headers) {
    if (h.name.empty() || breaks_line(h.name) ||
        h.name.find_first_of(" :\t") != std::string::npos || breaks_line(h.value)) {
      return invalid("headers", "a header's name or value holds a control character");
    }
  }
  return {};
}

// borrows: awaited in place.
awaitable<exchange_report> exchange(connection& over, const request& what, const endpoint& where,
                                    const std::string& key, deadline until,
                                    std::size_t response_bytes_max) {
  exchange_report report{.answer = response{}};
  over.stream.expires_at(until);
  auto wire = to_wire(what, where, key);
  const auto written = co_await http::async_write(over.stream, wire, tuple_awaitable);
  const auto [write_error, written_bytes] = written;
  report.unsent = write_error && written_bytes == 0;

  http::response_parser<http::string_body> parser;
  parser.header_limit(head_bytes_max);
  parser.body_limit(response_bytes_max);
  if (what.method == verb::head) parser.skip(true);
  boost::system::error_code ec = write_error;
  // A server that refuses a large body answers and closes while it is still being sent.
  const bool answer_may_be_there = !write_error || (write_error != boost::beast::error::timeout &&
                                                    write_error != asio::error::operation_aborted);
  if (answer_may_be_there) {
    const auto read = co_await http::async_read(over.stream, over.buffer, parser, tuple_awaitable);
    if (!write_error || !std::get<0>(read)) ec = std::get<0>(read);
  }
  if (ec) {
    const bool gave_up = co_await is_cancelled();
    report.unanswered = ec != boost::beast::error::timeout && !parser.got_some() && !gave_up;
    report.answer = std::unexpected(
        gave_up ? cancelled_error() : told_by(ec, what, report.unsent, where, response_bytes_max));
    co_return report;
  }
  over.stream.expires_never();
  report.reusable = parser.get().keep_alive() && !write_error && over.buffer.size() == 0;
  response answer{.status = parser.get().result_int(),
                  .headers = from_wire(parser.get().base()),
                  .body = std::move(parser.get().body())};
  report.answer = std::move(answer);
  co_return report;
}

}  // namespace millrace::client
