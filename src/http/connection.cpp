#include "connection.hpp"

#include "problem.hpp"
#include "route_limits.hpp"
#include "server_core.hpp"

#include <millrace/base/names.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <sys/socket.h>
#include <utility>

namespace millrace::http {
namespace {

constexpr std::size_t buffer_bytes_small = 4096;
constexpr std::size_t buffer_bytes_large = 65536;
/// Bodies up to this size are not counted against `body_bytes_in_flight_max`.
constexpr std::size_t uncharged_bytes = 65536;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

std::uint64_t steady_ms(std::chrono::steady_clock::time_point at) noexcept {
  using std::chrono::milliseconds;
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<milliseconds>(at.time_since_epoch()).count());
}

constexpr std::size_t correlation_bytes_max = engine::type_bytes_max;

bool is_correlation_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= correlation_bytes_max && !has_control_characters(text) &&
         is_utf8(text);
}

// 128 random bits. Unique is all they have to be: nothing is guarded by them.
std::string make_correlation_id() {
  thread_local std::mt19937_64 source = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device()};
    return std::mt19937_64{seed};
  }();
  constexpr std::string_view digits = "0123456789abcdef";
  std::string id;
  id.reserve(32);
  for (int half = 0; half < 2; ++half) {
    std::uint64_t bits = source();
    for (int i = 0; i < 16; ++i, bits >>= 4U) id += digits[bits & 15U];
  }
  return id;
}

}  // namespace

connection::connection(std::shared_ptr<server_core> core, stream_socket socket, kind what)
    : core_(std::move(core)),
      socket_(std::move(socket)),
      kind_(what),
      reader_(core_->options.limits.body_bytes_max),
      buffer_(buffer_bytes_small) {
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
  core_->connections.add(*this);
  core_->numbers.open_connections.fetch_add(1, std::memory_order_relaxed);
}

connection::~connection() {
  give_back_body();
  core_->numbers.open_connections.fetch_sub(1, std::memory_order_relaxed);
  core_->connections.remove(*this);
}

awaitable<void> connection::serve(std::shared_ptr<connection> self) {
  const server_limits& limits = self->core_->options.limits;
  std::chrono::milliseconds patience = limits.header_deadline;
  next what = next::go_on;
  while (what == next::go_on) {
    self->enter(phase::idle, patience);
    if (self->is_stopping() && self->begin_ == self->end_) break;
    const bool read = co_await self->read_request();
    if (!read) break;
    what = co_await self->handle_request();
    self->reader_.reset();
    self->refusal_.reset();
    if (self->buffer_.size() > buffer_bytes_small && self->begin_ == self->end_) {
      self->buffer_ = std::vector<char>(buffer_bytes_small);
      self->begin_ = self->end_ = 0;
    }
    patience = limits.idle_deadline;
  }
  if (what == next::linger) co_await self->linger();
}

awaitable<void> connection::refuse(std::shared_ptr<connection> self) {
  self->begun_ = std::chrono::steady_clock::now();
  self->route_ = self->core_->routes.table().size();
  self->keep_alive_ = false;
  response answer = problem(error{.kind = errc::unavailable,
                                  .code = "too_many_connections",
                                  .detail = "The server has as many connections as it may have."});
  const bool sent = co_await self->send(answer);
  self->record(answer);
  if (sent) co_await self->linger();
}

void connection::enter(phase what, std::chrono::milliseconds deadline) noexcept {
  const std::uint64_t at =
      deadline.count() == 0 ? 0 : steady_ms(std::chrono::steady_clock::now() + deadline);
  state_.store(at << 3U | static_cast<std::uint64_t>(what));
}

// `stop` sets its flag and then wakes who waits; who begins to wait sets the phase and then looks
// at the flag. One of the two sees the other.
void connection::enter_waiting() noexcept {
  enter(phase::waiting, {});
  if (is_stopping()) ::shutdown(socket_.native_handle(), SHUT_RD);
}

void connection::cut_if_late(std::chrono::steady_clock::time_point now) noexcept {
  const std::uint64_t state = state_.load();
  const std::uint64_t deadline = state >> 3U;
  if (deadline == 0 || steady_ms(now) < deadline) return;
  late_.store(true);
  // A reader may still be told why; a writer has proved that it takes nothing.
  const bool writes = static_cast<phase>(state & 7U) == phase::writing;
  ::shutdown(socket_.native_handle(), writes ? SHUT_RDWR : SHUT_RD);
}

void connection::wake_if_waiting() noexcept {
  const auto what = static_cast<phase>(state_.load() & 7U);
  if (what == phase::idle || what == phase::waiting) {
    ::shutdown(socket_.native_handle(), SHUT_RD);
  }
}

void connection::cut() noexcept { ::shutdown(socket_.native_handle(), SHUT_RDWR); }

bool connection::is_stopping() const noexcept { return core_->stopping.load(); }

// More bytes into the buffer; false at the end of the stream.
awaitable<bool> connection::receive() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == buffer_.size() && begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  const bool large_body =
      reader_.head_done() && reader_.body_left().value_or(buffer_bytes_large) > buffer_bytes_small;
  if (buffer_.size() < buffer_bytes_large && (end_ == buffer_.size() || large_body)) {
    buffer_.resize(large_body ? buffer_bytes_large : buffer_.size() * 2);
  }
  const auto got = co_await socket_.async_read_some(
      asio::buffer(buffer_.data() + end_, buffer_.size() - end_), as_result);
  if (std::get<0>(got)) co_return false;
  end_ += std::get<1>(got);
  co_return true;
}

// Until a request is complete or has to be answered before it is. False when there is nothing to
// answer any more.
awaitable<bool> connection::read_request() {
  bool admitted = false;
  bool begun = false;
  while (true) {
    if (begin_ < end_) {
      if (!begun) {
        begun = true;
        enter(phase::reading, core_->options.limits.header_deadline);
      }
      begin_ += reader_.feed({buffer_.data() + begin_, end_ - begin_});
    }
    if (reader_.failure()) {
      refusal_ = answer_unreadable();
      co_return true;
    }
    if (!admitted && reader_.head_done()) {
      admitted = true;
      begun_ = std::chrono::steady_clock::now();
      refusal_ = admit();
      if (refusal_ || reader_.done()) co_return true;
      enter(phase::reading, core_->options.limits.body_deadline);
      if (reader_.what().has(header::expect)) {
        const bool sent = co_await write_all("HTTP/1.1 100 Continue\r\n\r\n", {});
        if (!sent) co_return false;
        enter(phase::reading, core_->options.limits.body_deadline);
      }
    }
    if (reader_.done()) co_return true;
    if (!charge_body()) {
      refusal_ =
          problem(error{.kind = errc::unavailable,
                        .code = "too_many_bodies",
                        .detail = "The bodies that are being read have reached their bound."});
      co_return true;
    }
    const bool more = co_await receive();
    if (more) continue;
    if (!late_.load() || !begun) co_return false;
    begun_ = std::chrono::steady_clock::now();
    refusal_ = problem(408, error{.kind = errc::deadline_exceeded,
                                  .code = "request_timeout",
                                  .detail = "The request took too long to arrive."});
    co_return true;
  }
}

std::optional<response> connection::admit() {
  request& what = reader_.what();
  what.local = kind_ == kind::local;
  what.from = this;
  // Also what is refused can be found again, by an id of ours where the client's is of no use.
  const bool id_given = what.has(header::correlation_id);
  const bool id_useful = id_given && is_correlation_id(what[header::correlation_id]);
  what.correlation_id =
      id_useful ? std::string{what[header::correlation_id]} : make_correlation_id();
  route_ = core_->routes.table().size();
  const result<void> allowed = core_->access(what);
  if (!allowed) return problem(allowed.error());
  const auto matched = core_->routes.match(what);
  if (const auto* refused = std::get_if<router::refused>(&matched)) {
    if (refused->allow.empty()) return problem(refused->why);
    response answer = problem(405, refused->why);
    answer.headers += fmt::format("Allow: {}\r\n", refused->allow);
    return answer;
  }
  route_ = std::get<router::found>(matched).index;
  if (id_given && !id_useful) {
    return problem(
        invalid("X-Correlation-ID",
                fmt::format("X-Correlation-ID must be 1 to {} bytes of UTF-8 without control "
                            "characters.",
                            correlation_bytes_max))
            .error());
  }
  return admit_body();
}

std::optional<response> connection::admit_body() {
  const request& what = reader_.what();
  if (what.has(header::expect) && !is_expect_continue(what[header::expect])) {
    return problem(417,
                   error{.kind = errc::malformed,
                         .code = "unknown_expectation",
                         .detail = "The only expectation that is understood is 100-continue."});
  }
  if (!what.has_body) return std::nullopt;
  if (core_->routes.table()[route_].body == body_kind::none) return std::nullopt;
  if (what.has(header::content_encoding) && what[header::content_encoding] != "identity") {
    return problem(415, error{.kind = errc::malformed,
                              .code = "unsupported_content_encoding",
                              .detail = "Send the body as it is, without a Content-Encoding.",
                              .field = "Content-Encoding"});
  }
  if (core_->routes.table()[route_].body == body_kind::bytes) return std::nullopt;
  if (!is_json_type(what[header::content_type])) {
    return problem(415, error{.kind = errc::malformed,
                              .code = "unsupported_content_type",
                              .detail = "Send JSON, and say so: Content-Type: application/json.",
                              .field = "Content-Type"});
  }
  return std::nullopt;
}

// Counts a body as it grows, so that many clients with large ones cannot take all memory.
bool connection::charge_body() {
  const std::size_t bytes = reader_.what().body.capacity();
  if (bytes <= uncharged_bytes || bytes <= charged_bytes_) return true;
  const std::size_t more = bytes - charged_bytes_;
  const std::size_t before = core_->body_bytes.fetch_add(more);
  charged_bytes_ += more;
  return before + more <= core_->options.limits.body_bytes_in_flight_max;
}

void connection::give_back_body() noexcept {
  if (charged_bytes_ == 0) return;
  std::string().swap(reader_.what().body);
  core_->body_bytes.fetch_sub(charged_bytes_);
  charged_bytes_ = 0;
}

response connection::answer_unreadable() {
  begun_ = std::chrono::steady_clock::now();
  route_ = core_->routes.table().size();
  return problem(reader_.failure()->status, reader_.failure()->why);
}

std::string connection::peer_address() const {
  if (kind_ == kind::local) return "local";
  boost::system::error_code code;
  const auto remote = socket_.remote_endpoint(code);
  if (code) return "gone";
  asio::ip::tcp::endpoint endpoint;
  endpoint.resize(std::min(remote.size(), endpoint.capacity()));
  std::memcpy(endpoint.data(), remote.data(), endpoint.size());
  return endpoint.address().to_string();
}

awaitable<connection::next> connection::handle_request() {
  // Where the next request begins is known only after one that was read to its end.
  const bool whole = reader_.done();
  enter(phase::working, {});
  response answer = co_await this->answer();
  // A large body has served its purpose; the client may take its time with the answer.
  body_bytes_ = reader_.what().body.size();
  give_back_body();
  keep_alive_ =
      whole && reader_.what().keep_alive && !is_stopping() && !answer.stream && !answer.follow;
  const bool sent = co_await send(answer);
  record(answer);
  if (!sent) co_return next::close;
  if (!whole) co_return next::linger;
  co_return keep_alive_ ? next::go_on : next::close;
}

awaitable<response> connection::answer() {
  if (refusal_) co_return std::move(*refusal_);
  std::optional<response> answered;
  const route& asked = core_->routes.table()[route_];
  try {
    std::string limit_headers;
    if (core_->api.limits.binds_routes()) {
      answered = co_await limit_route(core_->api, reader_.what(), asked.pattern, limit_headers);
    }
    if (!answered) {
      answered = co_await asked.handle(core_->api, reader_.what());
      answered->headers += limit_headers;
    }
  } catch (const std::exception&) {
    // Out of memory, at worst: nothing of ours throws on purpose.
    answered = problem(error{.kind = errc::internal,
                             .code = "internal",
                             .detail = "A defect of the server. Please report it."});
  }
  co_return std::move(*answered);
}

void connection::record(const response& what) {
  const auto took = std::chrono::steady_clock::now() - begun_;
  core_->numbers.record(route_, what.status, took);
  if (!core_->options.on_request) return;
  const std::span<const route> table = core_->routes.table();
  const request& asked = reader_.what();
  core_->options.on_request(
      {.method = to_string(asked.verb),
       .route = route_ < table.size() ? table[route_].pattern : std::string_view{"-"},
       .status = what.status,
       .took = std::chrono::duration_cast<std::chrono::microseconds>(took),
       .correlation_id = asked.correlation_id,
       .project = core_->api.project,
       .code = what.code,
       .bytes_in = body_bytes_,
       .bytes_out = written_bytes_});
}

}  // namespace millrace::http
