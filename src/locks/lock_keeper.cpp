#include <millrace/locks/lock_keeper.hpp>

#include <millrace/engine/async.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <atomic>
#include <utility>

namespace millrace {
namespace {

using steady = std::chrono::steady_clock;

error kept_no_longer() {
  return {errc::cancelled, "lock_lost", "The keeper of the lock was stopped.", "", std::nullopt};
}

error ran_out() {
  return {errc::deadline_exceeded, "lock_lost",
          "The lease has run out: the store did not answer in time.", "", std::nullopt};
}

}  // namespace

// Shared by who holds the lock and by what renews it; the keeper's executor owns all but
// `given_back` and `loss`.
struct held_lock::state {
  state(engine::store& in, engine::acquire_lock by, engine::lock_info is, hold_options with,
        steady::time_point sure, const asio::any_io_executor& executor)
      : store(&in),
        step(std::move(by)),
        info(std::move(is)),
        how(std::move(with)),
        sure_until(sure),
        end(executor) {}

  [[nodiscard]] duration every() const {
    return how.renew_every > duration{0} ? how.renew_every : step.ttl / 3;
  }
  // Nobody waits for the answer. A lock that cannot be released ends by itself.
  void give_back() const {
    std::vector<engine::transaction> batch(1);
    batch.front().steps.emplace_back(engine::release_lock{.key = step.key, .token = step.token});
    store->submit(std::move(batch), [](std::vector<engine::commit_result>) {});
  }
  void lose(const error& why) {
    if (over()) return;
    is_lost = true;
    end.cancel();
    loss.request_stop();
    if (how.on_lost) how.on_lost(why);
  }
  [[nodiscard]] bool over() const noexcept { return is_lost || given_back.load(); }

  engine::store* store;
  engine::acquire_lock step;
  engine::lock_info info;
  hold_options how;
  /// Until when the lock is held in any case, as this machine's clock goes.
  steady::time_point sure_until;
  steady::time_point renew_at{};
  /// Goes off when it is not sure any more.
  asio::steady_timer end;
  bool is_lost{false};
  std::atomic<bool> given_back{false};
  std::stop_source loss;

  static awaitable<void> renew(std::shared_ptr<state> of);
  static awaitable<void> watch(std::shared_ptr<state> of);
};

namespace {

// borrows: awaited in place
awaitable<bool> sleep(engine::wakeups::listener& until_told, steady::duration longest) {
  try {
    (void)co_await until_told.wait(longest);
  } catch (const boost::system::system_error&) {
    // A wait throws only when it is cancelled.
    co_return false;
  }
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() == asio::cancellation_type::none;
}

}  // namespace

// Asks for the next lease, at its time and when something happens to the lock. The hint of its own
// token says that it was given back here.
awaitable<void> held_lock::state::renew(std::shared_ptr<state> of) {
  auto told =
      of->store->hints().listen({engine::lock_topic(of->step.key.project, of->step.key.resource),
                                 engine::lock_turn_topic(of->step.key, of->step.token)});
  while (!of->over()) {
    const auto longest = std::max(of->renew_at - steady::now(), steady::duration::zero());
    if (!co_await sleep(told, longest)) break;
    if (of->over()) break;
    const auto asked_at = steady::now();
    const auto got = co_await engine::commit_step<engine::lock_answer>(
        *of->store, engine::extend_lock{of->step.key, of->step.token, of->step.ttl});
    const auto state = co_await asio::this_coro::cancellation_state;
    if (got) {
      of->sure_until = asked_at + of->step.ttl;
      of->end.expires_at(of->sure_until);
      of->renew_at = asked_at + of->every();
    } else if (got.error().kind == errc::conflict) {
      of->lose(got.error());
    } else {
      // A store that does not answer may come back while the lock still holds.
      of->renew_at = steady::now() + std::min<duration>(of->step.ttl / 10, std::chrono::seconds{1});
    }
    if (state.cancelled() != asio::cancellation_type::none) break;
  }
  if (of->is_lost) co_return;
  // The keeper is stopped.
  if (!of->given_back.load()) {
    of->give_back();
    of->lose(kept_no_longer());
  }
  of->end.cancel();
}

// Tells the loss that no answer told.
awaitable<void> held_lock::state::watch(std::shared_ptr<state> of) {
  while (!of->over()) {
    (void)co_await of->end.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return;
    if (!of->over() && steady::now() >= of->sure_until) of->lose(ran_out());
  }
}

held_lock::held_lock(std::shared_ptr<state> s) noexcept : state_(std::move(s)) {}
held_lock::held_lock(held_lock&&) noexcept = default;
held_lock& held_lock::operator=(held_lock&& from) noexcept {
  if (this != &from) {
    release();
    state_ = std::move(from.state_);
  }
  return *this;
}
held_lock::~held_lock() { release(); }

const engine::lock_info& held_lock::info() const noexcept { return state_->info; }
const std::string& held_lock::token() const noexcept { return state_->step.token; }
std::stop_token held_lock::lost() const noexcept { return state_->loss.get_token(); }

engine::extend_lock held_lock::proof() const {
  return {.key = state_->step.key, .token = state_->step.token};
}

engine::pass_fence held_lock::pass() const {
  return {.key = state_->step.key, .fence = state_->info.fence};
}

void held_lock::release() noexcept {
  if (state_ == nullptr || state_->given_back.exchange(true)) return;
  if (state_->loss.stop_requested()) return;
  state_->give_back();
  // Its renewal ends.
  state_->store->hints().notify(engine::lock_turn_topic(state_->step.key, state_->step.token));
}

lock_keeper::lock_keeper(engine::store& store, asio::any_io_executor executor)
    : store_(store), locks_(store), renewals_(std::move(executor)) {}

awaitable<result<std::optional<held_lock>>> lock_keeper::hold(engine::acquire_lock step,
                                                              duration wait, hold_options how) {
  if (step.token.empty()) step.token = make_lock_token();
  const duration ttl = step.ttl;
  const auto executor = co_await asio::this_coro::executor;
  const auto asked_at = steady::now();
  auto got = co_await locks_.acquire(step, wait);
  if (!got) co_return std::unexpected(std::move(got.error()));
  if (!got->granted) co_return std::optional<held_lock>();
  // When the lease began is known to the length of the wait: after one, it is renewed at once.
  const auto sure_until = wait > duration{0} ? steady::now() + ttl : asked_at + ttl;
  auto made = std::make_shared<held_lock::state>(store_, std::move(step), std::move(got->lock),
                                                 std::move(how), sure_until, executor);
  made->renew_at = wait > duration{0} ? steady::now() : asked_at + made->every();
  made->end.expires_at(made->sure_until);
  renewals_.spawn(held_lock::state::renew(made));
  renewals_.spawn(held_lock::state::watch(made));
  co_return std::optional<held_lock>(held_lock(std::move(made)));
}

awaitable<void> lock_keeper::stop() { co_await renewals_.stop(); }

}  // namespace millrace
