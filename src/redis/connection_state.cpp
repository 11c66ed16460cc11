#include "connection_state.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace millrace::redis {
namespace {

using steady = std::chrono::steady_clock;

// Waiting will not mend it: a person has to.
bool needs_a_person(const error& why) {
  return why.kind == errc::forbidden || why.kind == errc::unsupported ||
         why.kind == errc::invalid_argument;
}

error closed_error() {
  return {.kind = errc::cancelled,
          .code = "cancelled",
          .detail = "the connection to Redis has been closed"};
}

}  // namespace

connection::state::state(const asio::any_io_executor& executor, connection_options given)
    : options(std::move(given)),
      strand(asio::make_strand(executor)),
      timer_(strand),
      parser_(options.replies),
      pause_timer_(strand) {
  budget_.requests_max = options.requests_max;
  budget_.bytes_max = options.request_bytes_max;
}

void connection::state::start() {
  asio::co_spawn(strand, run(shared_from_this()), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
}

request_id connection::state::submit(request&& what) {
  // With the answer, which may come before this ends, the connection may go.
  const auto self = shared_from_this();
  std::unique_lock lock(mutex_);
  const request_id id = ++last_id_;
  if (refusing_) {
    lock.unlock();
    refuse(std::move(what), closed_error());
    return id;
  }
  what.id = id;
  inbox_.push_back(std::move(what));
  const bool wake = !std::exchange(wake_posted_, true);
  lock.unlock();
  if (wake && !write_in_place()) {
    asio::post(strand, [self] {
      const turnstile::inside in(self->turn_);
      self->drain();
      self->pump(steady::now());
    });
  }
  return id;
}

// Where nothing is under way nobody would be awake to do it. Where something is, or somebody is
// inside, what waits until they are done goes in one write.
bool connection::state::write_in_place() {
  const turnstile::inside in(turn_, std::try_to_lock);
  if (!in || state_ != link_state::ready || writing_ || link_->is_tls() || !queue_.empty()) {
    return false;
  }
  drain();
  // Nobody is told here that it was too late.
  const moment now = steady::now();
  if (queue_.next_deadline() <= now) return false;
  pump(now);
  return true;
}

// Never in place: a handler may be one that holds what the caller of `send` holds.
void connection::state::refuse(request&& what, error why) {
  asio::post(strand,
             [self = shared_from_this(), what = std::move(what), why = std::move(why)]() mutable {
               const turnstile::inside in(self->turn_);
               request_queue alone{self->counters_};
               alone.add(std::move(what));
               alone.refuse_waiting(why);
             });
}

void connection::state::post_cancel(request_id which) {
  asio::post(strand, [self = shared_from_this(), which] {
    const turnstile::inside in(self->turn_);
    // It may not have left the inbox.
    self->drain();
    self->queue_.cancel(which);
    self->end_if_answered();
  });
}

void connection::state::subscribe(subscription what, reply_handler done) {
  request asking{.one = subscribe_command(what),
                 .deadline = steady::now() + options.request_timeout,
                 .again = resend::if_lost,
                 .answer = request::answered_by::confirmation};
  // Called by the queue, which is part of the state: `this` is there.
  asking.done = reply_handler{
      [this, what = std::move(what), done = std::move(done)](result<reply> answer) mutable {
        if (answer && std::ranges::find(subscriptions_, what) == subscriptions_.end()) {
          subscriptions_.push_back(std::move(what));
        }
        done(std::move(answer));
      }};
  submit(std::move(asking));
}

void connection::state::unsubscribe(subscription what, reply_handler done) {
  // Not to be made again if the connection is lost meanwhile.
  asio::post(strand, [self = shared_from_this(), what] { std::erase(self->subscriptions_, what); });
  request asking{.one = unsubscribe_command(what),
                 .deadline = steady::now() + options.request_timeout,
                 .again = resend::if_lost,
                 .answer = request::answered_by::confirmation};
  asking.done = reply_handler{
      [this, what = std::move(what), done = std::move(done)](result<reply> answer) mutable {
        // A subscription that was still on its way has been confirmed meanwhile.
        std::erase(subscriptions_, what);
        done(std::move(answer));
      }};
  submit(std::move(asking));
}

void connection::state::post_settled(settled_handler done) {
  asio::post(strand, [self = shared_from_this(), done = std::move(done)]() mutable {
    if (self->state_ == link_state::ready) return done({});
    if (self->over_) return done(std::unexpected(closed_error()));
    if (self->state_ == link_state::down && self->attempt_failed_) {
      return done(std::unexpected(*self->why_down_));
    }
    self->settling_.push_back(std::move(done));
  });
}

void connection::state::post_end(ending how, std::move_only_function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    refusing_ = true;
  }
  asio::post(strand, [self = shared_from_this(), how, done = std::move(done)]() mutable {
    const turnstile::inside in(self->turn_);
    if (self->over_) {
      if (done) done();
      return;
    }
    if (done) self->ended_.push_back(std::move(done));
    self->drain();
    self->pump(steady::now());
    self->stopping_ = true;
    if (how == ending::at_once) return self->begin_close();
    self->end_if_answered();
  });
}

connection_status connection::state::status() const {
  connection_status now;
  {
    const std::lock_guard lock(mutex_);
    now = told_;
  }
  const auto read = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  now.connects = read(counters_.connects);
  now.failed_attempts = read(counters_.failed_attempts);
  now.lost_connections = read(counters_.lost_connections);
  now.requests = read(counters_.requests);
  now.resent = read(counters_.resent);
  now.timed_out = read(counters_.timed_out);
  now.late_replies = read(counters_.late_replies);
  now.pushes = read(counters_.pushes);
  now.writes = read(counters_.writes);
  now.busy_turns = read(counters_.busy_turns);
  now.outstanding = read(budget_.requests);
  return now;
}

void connection::state::enter(link_state now, std::optional<error> why) {
  if (state_ == now) return;
  state_ = now;
  {
    const std::lock_guard lock(mutex_);
    told_.state = now;
    told_.why = why;
  }
  if (options.on_state) options.on_state(now, why ? &*why : nullptr);
}

void connection::state::on_ready(const handshake& hands) {
  request_counters::bump(counters_.connects);
  {
    const std::lock_guard lock(mutex_);
    told_.server = hands.greeting().server;
    told_.version = hands.greeting().version;
    told_.client_id = hands.greeting().client_id;
  }
  ready_since_ = last_read_ = steady::now();
  attempt_failed_ = false;
  why_down_.reset();
  enter(link_state::ready, std::nullopt);
  settle({});
  arm();
  pump(last_read_);
}

void connection::state::plan_pause(error& why) {
  ++failures_;
  pause_for_ = backoff_delay(options.backoff, failures_, entropy_());
  if (!why.retry_after) why.retry_after = std::chrono::ceil<std::chrono::milliseconds>(pause_for_);
  why_down_ = why;
}

void connection::state::on_failed_attempt(error why) {
  link_->close();
  request_counters::bump(counters_.failed_attempts);
  plan_pause(why);
  attempt_failed_ = true;
  enter(link_state::down, why);
  settle(std::unexpected(why));
  if (refuses_now()) queue_.refuse_waiting(*why_down_);
}

void connection::state::on_lost(error why) {
  link_->close();
  request_counters::bump(counters_.lost_connections);
  if (steady::now() - ready_since_ >= settled_after) failures_ = 0;
  why.detail = fmt::format("the connection to {} was lost: {}", options.where.text(), why.detail);
  plan_pause(why);
  queue_.on_lost(why);
  enter(link_state::down, why);
}

// A refusal by the server is not waited out: the answer would not be another one.
bool connection::state::refuses_now() const {
  if (!attempt_failed_) return false;
  return options.down_policy == when_down::refuse || needs_a_person(*why_down_);
}

void connection::state::settle(const result<void>& how) {
  for (auto& each : std::exchange(settling_, {})) each(how);
}

void connection::state::begin_close() {
  closing_ = true;
  if (link_) link_->close();
  pause_timer_.cancel();
}

void connection::state::end_if_answered() {
  if (stopping_ && !closing_ && queue_.empty()) begin_close();
}

void connection::state::finish() {
  drain();
  queue_.close();
  over_ = true;
  timer_.cancel();
  enter(link_state::closed, std::nullopt);
  settle(std::unexpected(closed_error()));
  for (auto& each : std::exchange(ended_, {})) each();
}

}  // namespace millrace::redis
