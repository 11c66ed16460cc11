#include "background_loads.hpp"

#include <millrace/base/assert.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <list>
#include <mutex>
#include <utility>
#include <vector>

namespace millrace::cache {
namespace {

/// Between two looks of `stop` whether the last one has ended: it is asked for once, at the end.
constexpr std::chrono::milliseconds look_again{5};

struct running {
  explicit running(const asio::any_io_executor& on) : strand(asio::make_strand(on)) {}
  const asio::any_io_executor strand;
  // Of the strand.
  asio::cancellation_signal stop;
};

}  // namespace

struct background_loads::state {
  explicit state(std::size_t most) : at_once(most) {}

  const std::size_t at_once;
  std::atomic<std::uint64_t> refused{0};
  std::mutex mutex;
  // Guarded by `mutex`.
  bool stopped{false};
  std::size_t taken{0};
  std::list<std::shared_ptr<running>> all;
};

background_loads::background_loads(std::size_t at_once)
    : state_(std::make_shared<state>(at_once)) {}

background_loads::~background_loads() {
  const std::lock_guard held(state_->mutex);
  MILLRACE_ASSERT(state_->taken == 0);
}

bool background_loads::enter() {
  const std::lock_guard held(state_->mutex);
  if (state_->stopped || state_->taken >= state_->at_once) {
    ++state_->refused;
    return false;
  }
  ++state_->taken;
  return true;
}

void background_loads::leave() {
  const std::lock_guard held(state_->mutex);
  --state_->taken;
}

void background_loads::begin(const asio::any_io_executor& on, awaitable<void> work) {
  const auto one = std::make_shared<running>(on);
  std::list<std::shared_ptr<running>>::iterator place;
  {
    const std::lock_guard held(state_->mutex);
    place = state_->all.insert(state_->all.end(), one);
  }
  asio::co_spawn(one->strand, std::move(work),
                 asio::bind_cancellation_slot(one->stop.slot(),
                                              [in = state_, one, place](const std::exception_ptr&) {
                                                // Cancelled, it ends by an exception; else with
                                                // nothing to tell.
                                                const std::lock_guard held(in->mutex);
                                                in->all.erase(place);
                                                --in->taken;
                                              }));
}

awaitable<void> background_loads::stop() {
  std::vector<std::shared_ptr<running>> left;
  {
    const std::lock_guard held(state_->mutex);
    state_->stopped = true;
    left.assign(state_->all.begin(), state_->all.end());
  }
  for (const auto& one : left) {
    asio::post(one->strand, [one] { one->stop.emit(asio::cancellation_type::terminal); });
  }
  left.clear();
  asio::steady_timer timer(co_await asio::this_coro::executor);
  while (true) {
    {
      const std::lock_guard held(state_->mutex);
      if (state_->taken == 0) co_return;
    }
    boost::system::error_code ignored;
    timer.expires_after(look_again);
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

std::uint64_t background_loads::refused() const noexcept { return state_->refused; }

}  // namespace millrace::cache
