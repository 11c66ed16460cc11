#pragma once

#include <millrace/base/awaitable.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <utility>

namespace millrace::worker_detail {

/// Wakes one waiting loop. A ring while nobody waits is kept for the next wait; several are one.
///
/// Threading: one strand, that of `executor`.
class alarm final {
public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit alarm(const asio::any_io_executor& executor) : timer_(executor) {}

  void ring() {
    rung_ = true;
    timer_.cancel();
  }

  /// Until a ring or `when`. Cancellation: terminal; ends the wait.
  [[nodiscard]] awaitable<void> wait(time_point when = time_point::max()) {
    if (!rung_) {
      timer_.expires_at(when);
      co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    rung_ = false;
  }

private:
  asio::steady_timer timer_;
  bool rung_{false};
};

}  // namespace millrace::worker_detail
