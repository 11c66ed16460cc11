#pragma once

#include <millrace/base/testing.hpp>
#include <millrace/worker/worker.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

/// For this room's tests only.
namespace millrace {

/// Waits for something that happens on the same event loop, or near it.
inline awaitable<bool> until(std::function<bool()> holds) {
  asio::steady_timer timer{co_await asio::this_coro::executor};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) co_return false;
    timer.expires_after(std::chrono::milliseconds{1});
    co_await timer.async_wait(asio::use_awaitable);
  }
  co_return true;
}

inline awaitable<void> pause(std::chrono::milliseconds span) {
  asio::steady_timer timer{co_await asio::this_coro::executor, span};
  co_await timer.async_wait(asio::use_awaitable);
}

/// What the worker says of itself.
struct worker_log {
  [[nodiscard]] log_sink sink() {
    return [this](severity, std::string_view line) {
      const std::lock_guard lock{mutex};
      lines.emplace_back(line);
    };
  }
  [[nodiscard]] bool says(std::string_view part) {
    const std::lock_guard lock{mutex};
    return std::ranges::any_of(
        lines, [part](const std::string& line) { return line.find(part) != std::string::npos; });
  }
  std::mutex mutex;
  std::vector<std::string> lines;
};

inline awaitable<void> then_stop(worker& who, awaitable<void> scenario) {
  co_await std::move(scenario);
  who.stop();
}

/// Runs the worker while the scenario goes on, then stops it and waits for its end.
inline result<void> run_while(asio::io_context& context, worker& who, awaitable<void> scenario) {
  using namespace asio::experimental::awaitable_operators;
  return run_coro(context, who.run() && then_stop(who, std::move(scenario)));
}

}  // namespace millrace
