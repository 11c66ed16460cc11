#include <millrace/redis/connection.hpp>

#include "allowed.hpp"
#include "connection_state.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include <atomic>
#include <type_traits>
#include <utility>

namespace millrace::redis {
namespace {

// Brings an answer from the connection's strand to the executor of the caller, whose event loop it
// keeps running until then.
template <class Handler>
class on_callers_executor final {
public:
  explicit on_callers_executor(Handler handler)
      : executor_(asio::prefer(asio::get_associated_executor(handler),
                               asio::execution::outstanding_work.tracked)),
        handler_(std::move(handler)) {}

  template <class... Answer>
  void operator()(Answer... answer) {
    asio::post(executor_, [handler = std::move(handler_), ... given = std::move(answer)]() mutable {
      std::move(handler)(std::move(given)...);
    });
  }

private:
  asio::any_io_executor executor_;
  Handler handler_;
};

template <class Answer>
struct signature_of {
  using type = void(Answer);
};
template <>
struct signature_of<void> {
  using type = void();
};

// `begin(state, done)` begins the request and tells its id. A coroutine that is cancelled gives it
// up; the slot is not touched once the answer may be on its way.
template <class Answer, class State, class Begin>
auto answer_of(std::shared_ptr<State> state, Begin begin) {
  return asio::async_initiate<const asio::deferred_t, typename signature_of<Answer>::type>(
      []<class Handler>(Handler&& handler, std::shared_ptr<State> on, Begin start) {
        std::shared_ptr<std::atomic<request_id>> which;
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
          which = std::make_shared<std::atomic<request_id>>(0);
          slot.assign([weak = std::weak_ptr<State>(on), which](asio::cancellation_type) {
            if (const auto self = weak.lock()) self->post_cancel(which->load());
          });
        }
        const request_id id =
            start(*on, on_callers_executor<std::decay_t<Handler>>(std::forward<Handler>(handler)));
        if (which) which->store(id);
      },
      asio::deferred, std::move(state), std::move(begin));
}

error given_up_error() {
  return {.kind = errc::cancelled, .code = "cancelled", .detail = "the request was given up"};
}

awaitable<bool> is_cancelled() {
  // From here on cancellation is a value.
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

}  // namespace

connection::connection(asio::any_io_executor executor, connection_options options)
    : state_(std::make_shared<state>(std::move(executor), std::move(options))) {
  state_->start();
}

connection::~connection() { close(); }

request_id connection::send(command what, send_options how, reply_handler done) {
  return state_->send(std::move(what), how, std::move(done));
}

request_id connection::send_all(std::vector<command> batch, send_options how,
                                replies_handler done) {
  return state_->send_all(std::move(batch), how, std::move(done));
}

request_id connection::state::send(command what, send_options how, reply_handler done) {
  const std::size_t bytes = what.wire_bytes();
  auto allowed = check_allowed(what, options.use);
  request asked{.one = std::move(what), .done = std::move(done)};
  return admit(std::move(asked), how, bytes, std::move(allowed));
}

request_id connection::state::send_all(std::vector<command> batch, send_options how,
                                       replies_handler done) {
  std::size_t bytes = 0;
  for (const command& each : batch) bytes += each.wire_bytes();
  auto allowed = check_allowed(batch, options.use);
  const auto count = static_cast<std::uint32_t>(batch.size());
  request asked{.batch = std::move(batch), .done = std::move(done), .replies_expected = count};
  if (count == 0) {
    refuse(std::move(asked), {});
    return 0;
  }
  asked.gathered.reserve(count);
  return admit(std::move(asked), how, bytes, std::move(allowed));
}

request_id connection::state::admit(request&& asked, send_options how, std::size_t bytes,
                                    result<void> allowed) {
  if (!allowed) {
    refuse(std::move(asked), std::move(allowed.error()));
    return 0;
  }
  if (bytes > options.request_bytes_max) {
    refuse(std::move(asked),
           {.kind = errc::too_large,
            .code = "request_too_large",
            .detail = fmt::format("a request of {} bytes is more than the {} a connection keeps",
                                  bytes, options.request_bytes_max)});
    return 0;
  }
  const auto placed = asked.held.take(budget_, bytes);
  if (placed != place::outcome::taken) {
    const bool requests = placed == place::outcome::too_many_requests;
    refuse(
        std::move(asked),
        {.kind = errc::exhausted,
         .code = requests ? "too_many_requests" : "too_many_request_bytes",
         .detail = requests ? fmt::format("{} requests to Redis wait already", options.requests_max)
                            : fmt::format("requests of {} bytes wait for Redis already",
                                          options.request_bytes_max)});
    return 0;
  }
  const auto longest = how.timeout.count() == 0 ? options.request_timeout : how.timeout;
  asked.deadline = std::chrono::steady_clock::now() + longest;
  asked.again = how.again;
  return submit(std::move(asked));
}

awaitable<result<reply>> connection::call(command what, send_options how) {
  return call_on(state_, std::move(what), how);
}

awaitable<result<reply>> connection::call_on(std::shared_ptr<state> on, command what,
                                             send_options how) {
  const bool gave_up = co_await is_cancelled();
  if (gave_up) co_return std::unexpected(given_up_error());
  co_return co_await answer_of<result<reply>>(
      on, [what = std::move(what), how](state& to, auto done) mutable {
        return to.send(std::move(what), how, std::move(done));
      });
}

awaitable<std::vector<result<reply>>> connection::call_all(std::vector<command> batch,
                                                           send_options how) {
  const std::shared_ptr<state> on = state_;
  const bool gave_up = co_await is_cancelled();
  if (gave_up) {
    co_return std::vector<result<reply>>(batch.size(), std::unexpected(given_up_error()));
  }
  co_return co_await answer_of<std::vector<result<reply>>>(
      on, [batch = std::move(batch), how](state& to, auto done) mutable {
        return to.send_all(std::move(batch), how, std::move(done));
      });
}

void connection::cancel(request_id which) { state_->post_cancel(which); }

void connection::subscribe(subscription_kind kind, std::string channel, reply_handler done) {
  state_->subscribe({.kind = kind, .channel = std::move(channel)}, std::move(done));
}

void connection::unsubscribe(subscription_kind kind, std::string channel, reply_handler done) {
  state_->unsubscribe({.kind = kind, .channel = std::move(channel)}, std::move(done));
}

awaitable<result<void>> connection::ready() {
  const std::shared_ptr<state> on = state_;
  const bool gave_up = co_await is_cancelled();
  if (gave_up) co_return std::unexpected(given_up_error());
  co_return co_await answer_of<result<void>>(on, [](state& of, auto done) {
    of.post_settled(std::move(done));
    return request_id{0};
  });
}

awaitable<result<server_facts>> connection::facts() {
  const std::shared_ptr<state> on = state_;
  auto told = co_await call_on(on, command{"INFO"}, resend::if_lost);
  if (!told) co_return std::unexpected(std::move(told.error()));
  const auto text = told->view().as_text();
  if (!text) co_return std::unexpected(text.error());
  server_facts known = parse_info(*text);
  // Many users may not read the configuration; then it stays unknown.
  auto policy =
      co_await call_on(on, command{"CONFIG"}.arg("GET").arg("appendfsync"), resend::if_lost);
  if (policy) {
    const auto value = policy->view().find("appendfsync");
    if (value) known.appendfsync = value->text();
  }
  co_return known;
}

connection_status connection::status() const { return state_->status(); }

const address& connection::where() const noexcept { return state_->options.where; }

awaitable<void> connection::stop() {
  const std::shared_ptr<state> on = state_;
  (void)co_await is_cancelled();
  co_await answer_of<void>(on, [](state& of, auto done) {
    of.post_end(state::ending::when_answered, std::move(done));
    return request_id{0};
  });
}

void connection::close() { state_->post_end(state::ending::at_once, {}); }

}  // namespace millrace::redis
