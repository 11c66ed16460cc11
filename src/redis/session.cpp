// The part of a connection that runs: making it, reading, writing, and watching the time.

#include "connection_state.hpp"

#include <millrace/redis/server_error.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace millrace::redis {
namespace {

using steady = std::chrono::steady_clock;
constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);
// Between two looks at what is overdue.
constexpr std::chrono::milliseconds timer_step{1};
// The first byte of what a TLS server says to one that does not speak TLS.
constexpr char tls_alert = 0x15;

error no_redis(const address& where, std::string_view why) {
  return {.kind = errc::unsupported,
          .code = "not_redis",
          .detail = fmt::format("what answers at {} does not speak as Redis does: {}", where.text(),
                                why)};
}

// Why nothing came back to HELLO.
error no_greeting(const address& where, bool late, std::string_view reason) {
  std::string detail =
      late
          ? fmt::format("{} accepted the connection and did not answer HELLO in time", where.text())
          : fmt::format("{} did not answer HELLO: {}", where.text(), reason);
  if (where.over == address::transport::tcp) detail += " (a server with TLS is written rediss://)";
  return {.kind = errc::unavailable, .code = "redis_unreachable", .detail = std::move(detail)};
}

}  // namespace

awaitable<void> connection::state::run(std::shared_ptr<state> self) {
  while (!self->closing_) {
    auto made = co_await establish(self);
    error why;
    if (made) {
      why = co_await serve(self);
    } else {
      why = std::move(made.error());
    }
    self->on_over(made.has_value(), std::move(why));
    if (!self->closing_) co_await pause(self);
  }
  const turnstile::inside in(self->turn_);
  self->finish();
}

awaitable<void> connection::state::pause(std::shared_ptr<state> self) {
  self->pause_timer_.expires_after(self->pause_for_);
  co_await self->pause_timer_.async_wait(tuple_awaitable);
}

awaitable<result<void>> connection::state::establish(std::shared_ptr<state> self) {
  self->begin_attempt();
  const moment until = steady::now() + self->options.connect_timeout;
  auto opened = co_await link::open(self->link_, self->options.where, self->options.tls, until);
  if (!opened) co_return opened;
  co_return co_await greet(self, until);
}

awaitable<result<void>> connection::state::greet(std::shared_ptr<state> self, moment until) {
  handshake hands{self->options, self->subscriptions_};
  const auto late = std::make_shared<bool>(false);
  asio::steady_timer limit{self->strand, until};
  limit.async_wait([self, late, over = self->link_](const boost::system::error_code& ec) {
    if (ec) return;
    const turnstile::inside in(self->turn_);
    *late = true;
    over->close();
  });
  self->send_greeting(hands);
  while (true) {
    auto bytes = co_await link::read_some(self->link_);
    if (self->closing_) {
      co_return fail(errc::cancelled, "cancelled", "the connection was closed");
    }
    if (!bytes) {
      co_return std::unexpected(no_greeting(self->options.where, *late, bytes.error().detail));
    }
    const auto done = self->take_greeting_bytes(*bytes, hands);
    if (!done) co_return std::unexpected(done.error());
    if (*done) co_return result<void>{};
  }
}

void connection::state::begin_attempt() {
  const turnstile::inside in(turn_);
  enter(link_state::connecting, std::nullopt);
  parser_ = reply_parser{options.replies};
  link_ = std::make_shared<link>(strand);
  writing_ = false;
  silent_ = false;
}

void connection::state::send_greeting(const handshake& hands) {
  const turnstile::inside in(turn_);
  link_->outgoing() = hands.bytes();
  write_outgoing();
}

void connection::state::on_over(bool was_made, error why) {
  const turnstile::inside in(turn_);
  if (closing_) return;
  if (was_made) {
    on_lost(std::move(why));
  } else {
    on_failed_attempt(std::move(why));
  }
  end_if_answered();
}

result<bool> connection::state::take_greeting_bytes(std::string_view bytes, handshake& hands) {
  const turnstile::inside in(turn_);
  if (hands.greeting().version.empty() && bytes.front() == tls_alert) {
    return std::unexpected(
        no_redis(options.where, "it wants TLS; such a server is written rediss://"));
  }
  while (!bytes.empty()) {
    const auto taken = parser_.read(bytes);
    if (!taken) return std::unexpected(no_redis(options.where, taken.error().detail));
    bytes.remove_prefix(*taken);
    if (!parser_.complete()) return false;
    const reply next = parser_.take();
    const auto step = hands.on_reply(next);
    if (!step) return std::unexpected(step.error());
    if (*step == handshake::step::not_mine) tell_push(next);
    if (*step == handshake::step::done) {
      on_ready(hands);
      auto sound = take_bytes(bytes);
      if (!sound) return std::unexpected(std::move(sound.error()));
      return true;
    }
  }
  return false;
}

awaitable<error> connection::state::serve(std::shared_ptr<state> self) {
  while (true) {
    auto bytes = co_await link::read_some(self->link_);
    auto over = self->on_read(std::move(bytes));
    if (over) co_return std::move(*over);
  }
}

std::optional<error> connection::state::on_read(result<std::string_view> bytes) {
  const turnstile::inside in(turn_);
  if (!bytes && silent_) {
    return error{.kind = errc::unavailable,
                 .code = "connection_lost",
                 .detail = fmt::format("nothing was heard of the server for {} ms",
                                       options.request_timeout.count())};
  }
  if (!bytes) return std::move(bytes.error());
  last_read_ = steady::now();
  auto sound = take_bytes(*bytes);
  if (!sound) return std::move(sound.error());
  // What the handlers have sent need not wait for the next turn of the event loop.
  drain();
  pump(last_read_);
  end_if_answered();
  return std::nullopt;
}

result<void> connection::state::take_bytes(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto taken = parser_.read(bytes);
    if (!taken) return std::unexpected(taken.error());
    bytes.remove_prefix(*taken);
    if (!parser_.complete()) return {};
    reply next = parser_.take();
    if (next.kind() == reply_kind::push) {
      if (!queue_.on_push(next)) tell_push(next);
    } else if (!queue_.on_reply(std::move(next))) {
      return fail(errc::malformed, "protocol_error",
                  "the server sent a reply that no request asked for");
    }
  }
  return {};
}

void connection::state::tell_push(const reply& what) {
  request_counters::bump(counters_.pushes);
  if (options.on_push) options.on_push(what);
}

void connection::state::drain() {
  {
    const std::lock_guard lock(mutex_);
    taken_.swap(inbox_);
    wake_posted_ = false;
  }
  if (taken_.empty()) return;
  moment earliest = moment::max();
  for (request& each : taken_) {
    earliest = std::min(earliest, each.deadline);
    queue_.add(std::move(each));
  }
  taken_.clear();
  if (over_) {
    queue_.close();
  } else if (refuses_now()) {
    queue_.refuse_waiting(*why_down_);
  } else {
    arm_at(earliest);
  }
}

void connection::state::pump(moment now) {
  while (state_ == link_state::ready && !writing_) {
    std::string& out = link_->outgoing();
    // One large request is no reason to keep its memory.
    if (out.capacity() > 4 * write_bytes_max) out = {};
    out.clear();
    queue_.write_to(out, write_bytes_max, now);
    if (out.empty()) return;
    write_outgoing();
  }
}

// A handler that posts itself: between two of them the loop looks whether anything can be read.
void connection::state::stay_awake() {
  if (options.busy_poll.count() <= 0 || state_ != link_state::ready) return;
  awake_until_ = steady::now() + std::min(options.busy_poll, busy_poll_max);
  if (awake_.exchange(true)) return;
  asio::post(strand.get_inner_executor(), [self = shared_from_this()] { self->turn_busily(); });
}

void connection::state::turn_busily() {
  // Who writes at this very moment may do without.
  if (budget_.requests == 0 || steady::now() >= awake_until_.load()) {
    awake_ = false;
    return;
  }
  request_counters::bump(counters_.busy_turns);
  std::this_thread::yield();
  asio::post(strand.get_inner_executor(), [self = shared_from_this()] { self->turn_busily(); });
}

void connection::state::write_outgoing() {
  request_counters::bump(counters_.writes);
  const std::size_t written = link_->write_at_once();
  stay_awake();
  if (written == link_->outgoing().size()) return;
  writing_ = true;
  asio::dispatch(strand, [self = shared_from_this(), over = link_, written] {
    over->write(written, [self, over](const boost::system::error_code& ec) {
      const turnstile::inside in(self->turn_);
      // After an error nothing more is written; the reader learns why the connection is gone.
      if (ec || self->link_ != over) return;
      self->writing_ = false;
      self->pump(steady::now());
    });
  });
}

void connection::state::arm() {
  moment next = queue_.next_deadline();
  if (state_ == link_state::ready) {
    next = std::min(next, queue_.silent_until(last_read_, options.request_timeout));
    if (options.health_check_interval.count() > 0) {
      next = std::min(next, last_read_ + options.health_check_interval);
    }
  }
  arm_at(std::max(next, steady::now() + timer_step));
}

void connection::state::arm_at(moment when) {
  if (when >= armed_for_ || when == moment::max() || over_) return;
  armed_for_ = when;
  timer_.expires_at(when);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
    if (!ec) self->on_timer();
  });
}

void connection::state::on_timer() {
  const turnstile::inside in(turn_);
  armed_for_ = moment::max();
  if (over_) return;
  const moment now = steady::now();
  queue_.expire(now, why_down_);
  end_if_answered();
  if (state_ == link_state::ready) {
    if (queue_.silent_until(last_read_, options.request_timeout) <= now) {
      silent_ = true;
      link_->close();
    } else {
      check_health(now);
    }
  }
  arm();
}

void connection::state::check_health(moment now) {
  const auto every = options.health_check_interval;
  if (every.count() == 0 || now < last_read_ + every || !queue_.empty()) return;
  // Whatever the answer, there is one.
  request ping{
      .one = command{"PING"}, .deadline = now + options.request_timeout, .again = resend::if_lost};
  ping.done = reply_handler{[](const result<reply>&) {}};
  submit(std::move(ping));
}

}  // namespace millrace::redis
