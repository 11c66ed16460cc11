#include <millrace/limiter/permit_keeper.hpp>

#include "resolve.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

namespace millrace {
namespace {

using steady = std::chrono::steady_clock;

error kept_no_longer() {
  return {errc::cancelled, "permit_lost", "The keeper of the permit was stopped.", "",
          std::nullopt};
}

error ran_out() {
  return {errc::deadline_exceeded, "permit_lost",
          "The permit has run out: the store did not answer in time.", "", std::nullopt};
}

// borrows: awaited in place. False: whoever waits is to end.
awaitable<bool> sleep_until(asio::steady_timer& timer, steady::time_point at) {
  timer.expires_at(at);
  (void)co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() == asio::cancellation_type::none;
}

}  // namespace

// Shared by who holds the permit and by what renews it; the keeper's executor owns all but
// `given_back`, `is_renewed` and `loss`.
struct held_permit::state {
  state(limiter& from, limit_request is, const limit_answer& granted, permit_options with,
        steady::time_point began, const asio::any_io_executor& executor)
      : limits(&from),
        what(std::move(is)),
        number(granted.permit),
        lasts(granted.permit_ends - granted.at),
        how(std::move(with)),
        sure_until(began + lasts),
        renew_at(began + every()),
        turn(executor),
        end(executor) {}

  [[nodiscard]] duration every() const {
    return how.renew_every > duration{0} ? how.renew_every : lasts / 3;
  }
  [[nodiscard]] bool is_given_back() {
    const std::lock_guard held(mutex);
    return given_back;
  }
  [[nodiscard]] bool over() { return loss.stop_requested() || is_given_back(); }
  void lose(const error& why) {
    if (over()) return;
    loss.request_stop();
    turn.cancel();
    end.cancel();
    if (how.on_lost) how.on_lost(why);
  }
  void note_renewal(const limit_answer& told, steady::time_point asked_at) {
    lasts = told.permit_ends - told.at;
    sure_until = asked_at + lasts;
    renew_at = asked_at + every();
    end.cancel();
  }

  limiter* limits;
  limit_request what;
  std::uint64_t number;
  duration lasts;
  permit_options how;
  /// Until when it is held in any case, as this machine's clock goes.
  steady::time_point sure_until;
  steady::time_point renew_at;
  asio::steady_timer turn;
  /// Goes off when it is not sure any more.
  asio::steady_timer end;
  std::stop_source loss;
  std::mutex mutex;
  bool given_back{false};
  bool is_renewed{false};

  static awaitable<void> renew(std::shared_ptr<state> of);
  static awaitable<void> watch(std::shared_ptr<state> of);
};

// Nobody but the holder releases a permit in the order of things, so no hint tells of it: a loss is
// heard of with the next renewal.
awaitable<void> held_permit::state::renew(std::shared_ptr<state> of) {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!of->over()) {
    if (!co_await sleep_until(of->turn, of->renew_at) || of->over()) break;
    const auto asked_at = steady::now();
    const auto told = co_await of->limits->renew(of->what, of->number);
    const auto cancelled = co_await asio::this_coro::cancellation_state;
    if (told && told->permit == of->number) {
      of->note_renewal(*told, asked_at);
    } else if (!told && told.error().kind == errc::conflict) {
      of->lose(told.error());
    } else {
      // A store that does not answer may come back while the permit still holds; so may a policy
      // that a reload has taken away.
      of->renew_at = steady::now() + std::min<duration>(of->lasts / 10, std::chrono::seconds{1});
    }
    if (cancelled.cancelled() != asio::cancellation_type::none) break;
  }
  bool is_held = false;
  {
    const std::lock_guard held(of->mutex);
    of->is_renewed = false;
    is_held = !of->given_back && !of->loss.stop_requested();
  }
  // The keeper is stopped.
  if (is_held) {
    of->limits->let_go(of->what, of->number);
    of->lose(kept_no_longer());
  }
  of->end.cancel();
}

// Tells the loss that no answer told.
awaitable<void> held_permit::state::watch(std::shared_ptr<state> of) {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!of->over()) {
    if (!co_await sleep_until(of->end, of->sure_until)) co_return;
    if (!of->over() && steady::now() >= of->sure_until) of->lose(ran_out());
  }
}

held_permit::held_permit(std::shared_ptr<state> s) noexcept : state_(std::move(s)) {}
held_permit::held_permit(held_permit&&) noexcept = default;
held_permit& held_permit::operator=(held_permit&& from) noexcept {
  if (this != &from) {
    release();
    state_ = std::move(from.state_);
  }
  return *this;
}
held_permit::~held_permit() { release(); }

std::uint64_t held_permit::number() const noexcept { return state_->number; }
std::stop_token held_permit::lost() const noexcept { return state_->loss.get_token(); }

void held_permit::release() noexcept {
  if (state_ == nullptr) return;
  const std::lock_guard held(state_->mutex);
  if (std::exchange(state_->given_back, true)) return;
  if (state_->number == 0 || state_->loss.stop_requested()) return;
  state_->limits->let_go(state_->what, state_->number);
  // Its renewal ends, which has not yet: what it runs on is there.
  if (!state_->is_renewed) return;
  asio::post(state_->turn.get_executor(), [of = state_] { of->turn.cancel(); });
}

permit_keeper::permit_keeper(limiter& limits, asio::any_io_executor executor)
    : limits_(limits), renewals_(std::move(executor)) {}

awaitable<result<permit_grant>> permit_keeper::hold(limit_request what, permit_options how) {
  auto resolved = resolve_limits(what, *limits_.settings());
  if (!resolved) co_return std::unexpected(std::move(resolved.error()));
  if (!resolved->listed) {
    if (auto some = keep_permits_alone(resolved->limits); !some) {
      co_return std::unexpected(std::move(some.error()));
    }
  }
  const auto executor = co_await asio::this_coro::executor;
  const auto asked_at = steady::now();
  auto answer = co_await limits_.take(what, engine::take_mode::all);
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  permit_grant out{.answer = std::move(*answer), .held = std::nullopt};
  if (!out.answer.allowed) co_return out;
  auto made = std::make_shared<held_permit::state>(limits_, std::move(what), out.answer,
                                                   std::move(how), asked_at, executor);
  if (made->number != 0) {
    made->is_renewed = true;
    renewals_.spawn(held_permit::state::renew(made));
    renewals_.spawn(held_permit::state::watch(made));
  }
  out.held = held_permit(std::move(made));
  co_return out;
}

awaitable<void> permit_keeper::stop() { co_await renewals_.stop(); }

}  // namespace millrace
