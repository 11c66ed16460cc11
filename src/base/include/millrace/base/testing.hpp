#pragma once

#include <millrace/base/assert.hpp>
#include <millrace/base/awaitable.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

/// For tests only.
namespace millrace {

/// The longest a coroutine of a test may take before the process is ended.
inline constexpr std::chrono::seconds test_watchdog{30};

namespace testing_detail {

/// Event loops that live as long as the process: a thread of a store may still be leaving `post`
/// when the coroutine it resumed has ended, so no loop may end with its coroutine.
class loops final {
public:
  static loops& all() {
    static loops instance;
    return instance;
  }
  std::unique_ptr<asio::io_context> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<asio::io_context>(1);
    auto loop = std::move(free_.back());
    free_.pop_back();
    return loop;
  }
  void give_back(std::unique_ptr<asio::io_context> loop) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(loop));
  }

private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<asio::io_context>> free_;
};

/// What a coroutine came to, once it has.
template <class T>
struct ending {
  using kept = std::conditional_t<std::is_void_v<T>, std::true_type, T>;
  std::optional<kept> value;
  std::exception_ptr thrown;

  [[nodiscard]] bool there() const { return value.has_value() || thrown; }
  T take() {
    if (thrown) std::rethrow_exception(thrown);
    if constexpr (!std::is_void_v<T>) return std::move(*value);
  }
};

/// `then` is called when the coroutine has ended.
template <class T, class Then>
void start(asio::io_context& context, awaitable<T> work, ending<T>& end, Then then) {
  if constexpr (std::is_void_v<T>) {
    asio::co_spawn(context, std::move(work), [&end, then](const std::exception_ptr& e) {
      end.thrown = e;
      if (!e) end.value.emplace();
      then();
    });
  } else {
    asio::co_spawn(context, std::move(work), [&end, then](const std::exception_ptr& e, T given) {
      end.thrown = e;
      if (!e) end.value.emplace(std::move(given));
      then();
    });
  }
}

inline void expect_ended(bool ended, bool out_of_work) {
  if (ended) return;
  assertion_failed(out_of_work ? "the test's coroutine waits for what will never come"
                               : "the test's coroutine did not end in time");
}

}  // namespace testing_detail

/// Runs a coroutine to its end and returns what it returned, or throws what it threw. Whatever else
/// it started on its event loop is run to its end as well. What takes longer than `test_watchdog`,
/// or waits for what will never come, ends the process with a message.
template <class T>
T run_coro(awaitable<T> work) {
  auto loop = testing_detail::loops::all().take();
  testing_detail::ending<T> end;
  testing_detail::start(*loop, std::move(work), end, [] {});
  loop->restart();
  loop->run_for(test_watchdog);
  testing_detail::expect_ended(end.there(), loop->stopped());
  if (!loop->stopped()) {
    assertion_failed("the test's coroutine ended, but left work behind on its event loop");
  }
  testing_detail::loops::all().give_back(std::move(loop));
  return end.take();
}

/// The same on the test's own event loop, which stops when the coroutine has ended.
///
/// Lifetime: `context` must outlive every store the coroutine speaks to.
template <class T>
T run_coro(asio::io_context& context, awaitable<T> work) {
  testing_detail::ending<T> end;
  testing_detail::start(context, std::move(work), end, [&context] { context.stop(); });
  context.restart();
  context.run_for(test_watchdog);
  testing_detail::expect_ended(end.there(), context.stopped());
  return end.take();
}

}  // namespace millrace
