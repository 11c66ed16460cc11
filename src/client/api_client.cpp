#include <millrace/client/api_client.hpp>

#include "connection.hpp"
#include "event_stream_state.hpp"
#include "exchange.hpp"
#include "tls_trust.hpp"
#include "wire.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

namespace millrace::client {
namespace {

namespace http = boost::beast::http;
constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);
/// Of the answer that refuses a stream.
constexpr std::size_t refusal_bytes_max = 64 * 1024;

std::chrono::milliseconds left_until(deadline until) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
  return std::max(left, std::chrono::milliseconds{0});
}

}  // namespace

// Everything in here belongs to the strand.
struct api_client::state {
  // One who waits for a connection to become free; waked by cancelling the timer.
  struct waiter {
    explicit waiter(const asio::any_io_executor& executor, deadline until)
        : timer(executor, until) {}
    asio::steady_timer timer;
    bool granted{false};
  };

  state(const asio::any_io_executor& executor, client_options with)
      : options(std::move(with)), strand(asio::make_strand(executor)) {}

  [[nodiscard]] std::unique_ptr<connection> take_idle();
  void give_back(std::unique_ptr<connection> over);
  void release_slot();

  client_options options;
  asio::any_io_executor strand;
  // Newest last: those used recently stay in use, the others age and go.
  std::vector<std::unique_ptr<connection>> idle;
  std::size_t slots_taken{0};
  std::deque<std::shared_ptr<waiter>> waiting;
  bool closed{false};
  // Read at the first connection that needs it.
  std::shared_ptr<tls_trust> trust;

  /// A new connection. Errors: as `client::connect`, and those of the trust.
  static awaitable<result<std::unique_ptr<connection>>> make_connection(
      std::shared_ptr<state> self, std::chrono::milliseconds longest);
  static awaitable<result<void>> acquire_slot(std::shared_ptr<state> self, deadline until);
  static awaitable<result<response>> send(std::shared_ptr<state> self, request what);
  static awaitable<result<response>> send_in_slot(std::shared_ptr<state> self, request what,
                                                  deadline until);
  static awaitable<result<std::unique_ptr<event_stream::state>>> open(std::shared_ptr<state> self,
                                                                      request what);
  static awaitable<result<std::uint64_t>> download(
      std::shared_ptr<state> self, request what,
      std::function<result<void>(std::string_view)> take);
};

std::unique_ptr<connection> api_client::state::take_idle() {
  const auto too_old = std::chrono::steady_clock::now() - options.idle_timeout;
  std::erase_if(idle, [too_old](const auto& over) { return over->idle_since < too_old; });
  while (!idle.empty()) {
    auto newest = std::move(idle.back());
    idle.pop_back();
    if (newest->still_good()) return newest;
  }
  return nullptr;
}

void api_client::state::give_back(std::unique_ptr<connection> over) {
  if (closed) return;
  over->idle_since = std::chrono::steady_clock::now();
  over->used_before = true;
  idle.push_back(std::move(over));
}

void api_client::state::release_slot() {
  if (waiting.empty()) {
    --slots_taken;
    return;
  }
  const auto next = std::move(waiting.front());
  waiting.pop_front();
  next->granted = true;
  next->timer.cancel();
}

awaitable<result<std::unique_ptr<connection>>> api_client::state::make_connection(
    std::shared_ptr<state> self, std::chrono::milliseconds longest) {
  if (self->options.where.tls && self->trust == nullptr) {
    auto trust = std::make_shared<tls_trust>();
    auto loaded = trust->load(self->options.ca_file);
    if (!loaded) co_return std::unexpected(std::move(loaded.error()));
    self->trust = std::move(trust);
  }
  co_return co_await connect(self->strand, self->options.where, self->trust, longest);
}

awaitable<result<void>> api_client::state::acquire_slot(std::shared_ptr<state> self,
                                                        deadline until) {
  if (self->closed) co_return std::unexpected(cancelled_error());
  if (self->slots_taken < self->options.connections_max) {
    ++self->slots_taken;
    co_return result<void>{};
  }
  const auto me = std::make_shared<waiter>(self->strand, until);
  self->waiting.push_back(me);
  co_await me->timer.async_wait(tuple_awaitable);
  if (me->granted) co_return result<void>{};
  std::erase(self->waiting, me);
  const bool gave_up = co_await is_cancelled();
  if (gave_up || self->closed) co_return std::unexpected(cancelled_error());
  co_return fail(errc::deadline_exceeded, "timeout",
                 fmt::format("all {} connections to {} stayed busy", self->options.connections_max,
                             self->options.where.text()));
}

awaitable<result<response>> api_client::state::send(std::shared_ptr<state> self, request what) {
  co_await asio::this_coro::throw_if_cancelled(false);
  if (auto sound = check(what); !sound) co_return std::unexpected(std::move(sound.error()));
  const deadline until = std::chrono::steady_clock::now() + what.timeout;
  auto slot = co_await acquire_slot(self, until);
  if (!slot) co_return std::unexpected(std::move(slot.error()));
  auto answer = co_await send_in_slot(self, std::move(what), until);
  self->release_slot();
  co_return answer;
}

awaitable<result<response>> api_client::state::send_in_slot(std::shared_ptr<state> self,
                                                            request what, deadline until) {
  auto over = self->take_idle();
  while (true) {
    // A cancellation that came between two operations would reach neither.
    const bool gave_up = co_await is_cancelled();
    if (gave_up) co_return std::unexpected(cancelled_error());
    if (over == nullptr) {
      const auto longest = std::min(self->options.connect_timeout, left_until(until));
      auto made = co_await make_connection(self, longest);
      if (!made) co_return std::unexpected(std::move(made.error()));
      over = std::move(*made);
    }
    auto report = co_await exchange(*over, what, self->options.where, self->options.key, until,
                                    self->options.response_bytes_max);
    const bool again =
        report.unanswered && over->used_before && (report.unsent || is_repeatable(what));
    if (report.reusable) self->give_back(std::move(over));
    if (!again) co_return std::move(report.answer);
    over.reset();
  }
}

awaitable<result<std::unique_ptr<event_stream::state>>> api_client::state::open(
    std::shared_ptr<state> self, request what) {
  co_await asio::this_coro::throw_if_cancelled(false);
  if (auto sound = check(what); !sound) co_return std::unexpected(std::move(sound.error()));
  if (self->closed) co_return std::unexpected(cancelled_error());
  auto made = co_await make_connection(self, self->options.connect_timeout);
  if (!made) co_return std::unexpected(std::move(made.error()));
  auto stream = std::make_unique<event_stream::state>(self->strand, std::move(*made));
  auto& over = *stream->over;
  over.stream.expires_after(what.timeout);
  auto wire = to_wire(what, self->options.where, self->options.key);
  const auto written = co_await http::async_write(over.stream, wire, tuple_awaitable);
  boost::system::error_code ec = std::get<0>(written);
  stream->parser->header_limit(head_bytes_max);
  stream->parser->body_limit(boost::none);
  if (!ec) {
    const auto read = co_await http::async_read_header(over.stream, over.buffer, *stream->parser,
                                                       tuple_awaitable);
    ec = std::get<0>(read);
  }
  if (ec) {
    const bool gave_up = co_await is_cancelled();
    if (gave_up) co_return std::unexpected(cancelled_error());
    co_return fail(
        errc::unavailable, "connection_lost",
        fmt::format("{} did not open the stream: {}", self->options.where.text(), ec.message()));
  }
  const unsigned status = stream->parser->get().result_int();
  if (status < 400) co_return stream;
  response refusal{
      .status = status, .headers = from_wire(stream->parser->get().base()), .body = {}};
  while (refusal.body.size() < refusal_bytes_max) {
    const auto got = co_await read_piece(*stream, what.timeout);
    if (!got || *got == 0) break;
    refusal.body.append(stream->piece.data(), *got);
  }
  auto told = expect_success(std::move(refusal));
  co_return std::unexpected(std::move(told.error()));
}

result<void> check_ca_file(const std::string& file) {
  tls_trust trust;
  return trust.load(file);
}

api_client::api_client(asio::any_io_executor executor, client_options options)
    : state_(std::make_shared<state>(executor, std::move(options))) {}

api_client::~api_client() = default;

awaitable<result<response>> api_client::send(request what) {
  const auto self = state_;
  co_return co_await asio::co_spawn(self->strand, state::send(self, std::move(what)),
                                    asio::use_awaitable);
}

awaitable<result<response>> api_client::call(request what) {
  auto answer = co_await send(std::move(what));
  if (!answer) co_return answer;
  co_return expect_success(std::move(*answer));
}

awaitable<result<event_stream>> api_client::open_events(std::string target,
                                                        std::string last_event_id) {
  const auto self = state_;
  request what{.target = std::move(target), .headers = {{"Accept", "text/event-stream"}}};
  if (!last_event_id.empty()) what.headers.push_back({"Last-Event-ID", std::move(last_event_id)});
  auto opened = co_await asio::co_spawn(self->strand, state::open(self, std::move(what)),
                                        asio::use_awaitable);
  if (!opened) co_return std::unexpected(std::move(opened.error()));
  co_return event_stream{std::move(*opened)};
}

awaitable<result<std::uint64_t>> api_client::state::download(
    std::shared_ptr<state> self, request what, std::function<result<void>(std::string_view)> take) {
  const auto longest = what.timeout;
  auto opened = co_await open(self, std::move(what));
  if (!opened) co_return std::unexpected(std::move(opened.error()));
  std::uint64_t taken = 0;
  while (true) {
    const auto got = co_await read_piece(**opened, longest);
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return taken;
    auto kept = take({(*opened)->piece.data(), *got});
    if (!kept) co_return std::unexpected(std::move(kept.error()));
    taken += *got;
  }
}

awaitable<result<std::uint64_t>> api_client::download(
    request what, std::function<result<void>(std::string_view)> take) {
  const auto self = state_;
  co_return co_await asio::co_spawn(
      self->strand, state::download(self, std::move(what), std::move(take)), asio::use_awaitable);
}

void api_client::close() {
  asio::post(state_->strand, [self = state_] {
    self->closed = true;
    self->idle.clear();
    for (const auto& waiter : std::exchange(self->waiting, {})) waiter->timer.cancel();
  });
}

const endpoint& api_client::where() const noexcept { return state_->options.where; }

}  // namespace millrace::client
