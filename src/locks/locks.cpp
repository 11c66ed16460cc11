#include <millrace/locks/locks.hpp>

#include <millrace/engine/async.hpp>
#include <millrace/engine/checks.hpp>

#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <random>
#include <sys/random.h>
#include <utility>

namespace millrace {
namespace {

using engine::lock_answer;
using steady = std::chrono::steady_clock;

/// The longest a waiter sleeps without a look, should a hint be lost.
constexpr std::chrono::seconds safety_tick{10};
/// How long after the end of the lease the first in the queue looks by itself: the store's hint
/// goes first.
constexpr std::chrono::milliseconds behind_the_end{20};
/// A place in the queue is kept for so long behind the next look.
constexpr std::chrono::seconds place_kept{10};

engine::transaction one_step(engine::step what) {
  engine::transaction one;
  one.steps.push_back(std::move(what));
  return one;
}

// The grant, or the place in the queue. Nobody waits for the answer: what cannot be given back ends
// by itself.
void give_back(engine::store& store, const engine::acquire_lock& step) {
  std::vector<engine::transaction> batch;
  batch.push_back(one_step(engine::release_lock{.key = step.key, .token = step.token}));
  store.submit(std::move(batch), [](std::vector<engine::commit_result>) {});
}

result<void> check_acquire(const engine::acquire_lock& step, duration wait) {
  if (wait < duration{0} || wait > lock_wait_max) {
    return invalid("wait", fmt::format("wait must be 0 to {} seconds.", lock_wait_max.count()));
  }
  return engine::check_step(step);
}

}  // namespace

std::string make_lock_token() {
  constexpr std::string_view digits = "0123456789abcdefghjkmnpqrstvwxyz";
  std::array<unsigned char, 26> random{};
  // From the kernel: for so little a library's generator costs several times as much.
  if (getrandom(random.data(), random.size(), 0) != std::ssize(random)) {
    std::random_device source;
    for (unsigned char& each : random) each = static_cast<unsigned char>(source());
  }
  std::string out;
  out.reserve(random.size());
  for (const unsigned char each : random) out += digits[each % digits.size()];
  return out;
}

awaitable<result<lock_answer>> locks::acquire(engine::acquire_lock step, duration wait) {
  if (auto ok = check_acquire(step, wait); !ok) co_return std::unexpected(std::move(ok.error()));
  const auto cancelled = [](asio::cancellation_state state) {
    return state.cancelled() != asio::cancellation_type::none;
  };
  const auto deadline = steady::now() + wait;
  const duration kept_after = std::exchange(step.queue, duration{0});
  // Mostly it is free: then nobody has to listen, nor to stand in the queue.
  std::optional<engine::wakeups::listener> listener;
  if (wait > duration{0}) {
    auto got = co_await engine::commit_step<lock_answer>(store_, step);
    if (!got || got->granted) co_return std::move(got);
    // Before the next look, so that no hint falls between a look and the wait.
    listener = store_.hints().listen({engine::lock_turn_topic(step.key, step.token)});
  }
  // Whoever is cancelled may not await again, so the state is asked for after every suspension.
  while (true) {
    const auto left = std::max(deadline - steady::now(), steady::duration::zero());
    const auto sleep = std::min<steady::duration>(left, safety_tick);
    const bool last = left == steady::duration::zero();
    step.queue = last ? kept_after : std::chrono::duration_cast<duration>(sleep) + place_kept;
    auto got = co_await engine::commit_step<lock_answer>(store_, step);
    if (cancelled(co_await asio::this_coro::cancellation_state)) {
      give_back(store_, step);
      break;
    }
    if (!got) co_return std::unexpected(std::move(got.error()));
    if (got->granted && listener) listener->consume();
    if (got->granted || last) co_return std::move(*got);

    const auto now = co_await engine::ask(store_, engine::read_clock{});
    if (cancelled(co_await asio::this_coro::cancellation_state)) {
      give_back(store_, step);
      break;
    }
    if (!now) co_return std::unexpected(now.error());
    steady::duration rest = sleep;
    // Whoever stands behind others has no use of an end.
    if (got->ahead == 0) {
      const duration until_end = std::max(duration{0}, got->lock.expires_at - *now);
      rest =
          std::min<steady::duration>(sleep, until_end + std::chrono::microseconds(behind_the_end));
    }
    try {
      (void)co_await listener->wait(rest);
    } catch (const boost::system::system_error&) {
      // A wait throws only when it is cancelled.
      give_back(store_, step);
      break;
    }
    if (cancelled(co_await asio::this_coro::cancellation_state)) {
      give_back(store_, step);
      break;
    }
  }
  co_return fail(errc::cancelled, "acquire_cancelled", "The wait for the lock was cancelled.");
}

awaitable<result<lock_answer>> locks::extend(engine::extend_lock step) {
  co_return co_await engine::commit_step<lock_answer>(store_, std::move(step));
}

awaitable<result<lock_answer>> locks::release(engine::release_lock step) {
  co_return co_await engine::commit_step<lock_answer>(store_, std::move(step));
}

}  // namespace millrace
