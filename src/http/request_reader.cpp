#include "request_reader.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace millrace::http {
namespace {

namespace beast = boost::beast;

method to_method(beast::http::verb verb) noexcept {
  using beast::http::verb;
  switch (verb) {
    case verb::get: return method::get;
    case verb::head: return method::head;
    case verb::post: return method::post;
    case verb::put: return method::put;
    case verb::patch: return method::patch;
    case verb::delete_: return method::remove;
    case verb::options: return method::options;
    default: return method::other;
  }
}

struct named_header {
  std::string_view name;
  header which;
};
// Those that Beast has no number for.
constexpr std::array other_headers{
    named_header{"idempotency-key", header::idempotency_key},
    named_header{"x-correlation-id", header::correlation_id},
    named_header{"traceparent", header::traceparent},
    named_header{"last-event-id", header::last_event_id},
    named_header{"sec-fetch-site", header::sec_fetch_site},
    named_header{"sec-fetch-mode", header::sec_fetch_mode},
};

std::optional<header> to_header(beast::http::field field, beast::string_view name) noexcept {
  using beast::http::field;
  switch (field) {
    case field::host: return header::host;
    case field::origin: return header::origin;
    case field::content_type: return header::content_type;
    case field::content_encoding: return header::content_encoding;
    case field::transfer_encoding: return header::transfer_encoding;
    case field::expect: return header::expect;
    case field::if_match: return header::if_match;
    case field::if_none_match: return header::if_none_match;
    default: break;
  }
  for (const named_header& one : other_headers) {
    if (one.name.size() == name.size() && beast::iequals(name, one.name)) return one.which;
  }
  return std::nullopt;
}

std::string_view name_of(header which) noexcept {
  switch (which) {
    case header::host: return "Host";
    case header::origin: return "Origin";
    case header::content_type: return "Content-Type";
    case header::content_encoding: return "Content-Encoding";
    case header::transfer_encoding: return "Transfer-Encoding";
    case header::expect: return "Expect";
    case header::idempotency_key: return "Idempotency-Key";
    case header::correlation_id: return "X-Correlation-ID";
    case header::traceparent: return "traceparent";
    case header::last_event_id: return "Last-Event-ID";
    case header::sec_fetch_site: return "Sec-Fetch-Site";
    case header::sec_fetch_mode: return "Sec-Fetch-Mode";
    case header::if_match: return "If-Match";
    case header::if_none_match: return "If-None-Match";
  }
  return "?";
}

}  // namespace

// Beast finds the parts; they go straight to where the routes read them, so that a request costs no
// allocation once a connection's strings have grown.
struct request_reader::parser final : beast::http::basic_parser<true> {
  parser(request& into, std::size_t body_bytes_max) : into_(into) {
    eager(true);
    header_limit(static_cast<std::uint32_t>(header_bytes_max));
    body_limit(body_bytes_max);
  }

  [[nodiscard]] std::string_view doubled() const noexcept { return doubled_; }

private:
  using error_code = beast::error_code;

  void on_request_impl(beast::http::verb verb, beast::string_view, beast::string_view target,
                       int version, error_code&) override {
    into_.verb = to_method(verb);
    into_.target.assign(target.data(), target.size());
    into_.old = version < 11;
  }

  void on_response_impl(int, beast::string_view, int, error_code&) override {}

  void on_field_impl(beast::http::field field, beast::string_view name, beast::string_view value,
                     error_code&) override {
    // What stands in the trailer of a chunked body must not pass for a checked header.
    if (is_header_done()) return;
    const std::optional<header> which = to_header(field, name);
    if (!which) return;
    if (into_.has(*which)) doubled_ = name_of(*which);
    into_.seen |= request::bit(*which);
    into_.headers[static_cast<std::size_t>(*which)].assign(value.data(), value.size());
  }

  // Not later: a trailer has no say in it, though the parser lets it have one.
  void on_header_impl(error_code&) override { into_.keep_alive = keep_alive(); }

  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override {
    // A promise is not believed beyond a page or two: memory is taken as bytes arrive.
    constexpr std::uint64_t believed = 65536;
    if (length) into_.body.reserve(static_cast<std::size_t>(std::min(*length, believed)));
  }

  std::size_t on_body_impl(beast::string_view part, error_code&) override {
    into_.body.append(part.data(), part.size());
    return part.size();
  }

  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}

  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view part, error_code&) override {
    into_.body.append(part.data(), part.size());
    return part.size();
  }

  void on_finish_impl(error_code&) override {}

  request& into_;
  std::string_view doubled_;
};

request_reader::request_reader(std::size_t body_bytes_max)
    : body_bytes_max_(body_bytes_max),
      parser_(std::make_unique<parser>(request_, body_bytes_max)) {}

request_reader::~request_reader() = default;

std::size_t request_reader::feed(std::string_view bytes) {
  if (failure_ || parser_->is_done()) return 0;
  const bool had_head = parser_->is_header_done();
  // The parser takes it for granted that the last chunk's header comes with two bytes more. Nothing
  // that ends a chunked body is shorter than this, so waiting for it delays nothing.
  constexpr std::size_t last_chunk_bytes = std::string_view{"0\r\n\r\n"}.size();
  if (had_head && parser_->chunked() && bytes.size() < last_chunk_bytes) return 0;
  beast::error_code ec;
  const std::size_t used = parser_->put({bytes.data(), bytes.size()}, ec);
  using beast::http::error;
  if (ec == error::header_limit) {
    fail_with(431, errc::too_large, "header_too_large",
              fmt::format("The header is longer than {} bytes.", header_bytes_max));
  } else if (ec == error::body_limit) {
    fail_with(
        413, errc::too_large, "body_too_large",
        fmt::format("The body is longer than {} bytes. Send less at a time.", body_bytes_max_));
  } else if (ec && ec != error::need_more) {
    fail_with(400, errc::malformed, "malformed_request",
              fmt::format("This is not an HTTP/1.1 request: {}.", ec.message()));
  } else if (!had_head && parser_->is_header_done()) {
    finish_head();
  } else if (ec == error::need_more && bytes.size() - used >= header_bytes_max) {
    // A chunk's own header, or the trailer, that does not end.
    fail_with(431, errc::too_large, "header_too_large", "A chunk header or trailer is too long.");
  }
  return used;
}

void request_reader::finish_head() {
  if (!parser_->doubled().empty()) {
    return fail_with(400, errc::malformed, "doubled_header",
                     fmt::format("The header {} stands there twice.", parser_->doubled()));
  }
  if (request_.has(header::transfer_encoding)) {
    const std::string_view coding = request_[header::transfer_encoding];
    if (!beast::iequals({coding.data(), coding.size()}, "chunked") || request_.old) {
      return fail_with(501, errc::malformed, "unknown_transfer_coding",
                       "The only transfer coding that is understood is chunked.");
    }
  }
  const auto length = parser_->content_length();
  request_.has_body = parser_->chunked() || (length && *length > 0);
  if (!split_target(request_)) {
    return fail_with(400, errc::malformed, "malformed_target",
                     "The request target has to be a path that begins with a slash.");
  }
}

bool split_target(request& of) {
  std::string_view rest = of.target;
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    of.headers[static_cast<std::size_t>(header::host)].assign(rest.substr(0, end));
    of.seen |= request::bit(header::host);
    rest.remove_prefix(end);
    if (rest.empty()) rest = "/";
  }
  if (!rest.starts_with('/')) return false;
  const std::size_t mark = std::min(rest.find('?'), rest.size());
  of.path = rest.substr(0, mark);
  of.query = mark < rest.size() ? rest.substr(mark + 1) : std::string_view{};
  return true;
}

void request_reader::fail_with(unsigned status, errc kind, std::string_view code,
                               std::string detail) {
  failure_ = refusal{status, {.kind = kind, .code = code, .detail = std::move(detail)}};
}

bool request_reader::head_done() const noexcept { return !failure_ && parser_->is_header_done(); }

bool request_reader::done() const noexcept { return !failure_ && parser_->is_done(); }

bool request_reader::begun() const noexcept { return parser_->got_some(); }

std::optional<std::size_t> request_reader::body_left() const noexcept {
  const auto left = parser_->content_length_remaining();
  if (!left) return std::nullopt;
  return static_cast<std::size_t>(*left);
}

void request_reader::reset() {
  request_.clear();
  // A large body's memory does not stay with an idle connection.
  constexpr std::size_t kept = 65536;
  if (request_.body.capacity() > kept) std::string().swap(request_.body);
  failure_.reset();
  // In its own place: a parser is good for one message, and its memory for all of them.
  std::destroy_at(parser_.get());
  std::construct_at(parser_.get(), request_, body_bytes_max_);
}

}  // namespace millrace::http
