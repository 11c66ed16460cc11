#include <millrace/base/task_group.hpp>

#include <millrace/base/assert.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <unordered_set>
#include <vector>

namespace millrace {
namespace {

// Asio ends a cancelled coroutine with this exception; it is how a task is meant to end.
void expect_normal_end(const std::exception_ptr& thrown) {
  if (!thrown) return;
  try {
    std::rethrow_exception(thrown);
  } catch (const boost::system::system_error& e) {
    if (e.code() == asio::error::operation_aborted) return;
    assertion_failed(e.what());
  } catch (const std::exception& e) {
    assertion_failed(e.what());
  } catch (...) {
    assertion_failed("a background task ended with an exception of unknown type");
  }
}

}  // namespace

struct task_group::state {
  explicit state(asio::any_io_executor ex)
      : executor(std::move(ex)), all_ended(executor, asio::steady_timer::time_point::max()) {}

  void ended(const std::shared_ptr<asio::cancellation_signal>& task) {
    tasks.erase(task);
    if (tasks.empty()) all_ended.cancel();
  }

  asio::any_io_executor executor;
  std::unordered_set<std::shared_ptr<asio::cancellation_signal>> tasks;
  // Never expires; cancelled when the last task has ended.
  asio::steady_timer all_ended;
  bool stopping{false};
};

task_group::task_group(asio::any_io_executor executor)
    : state_(std::make_shared<state>(std::move(executor))) {}

task_group::~task_group() { MILLRACE_ASSERT(state_->tasks.empty()); }

void task_group::spawn(awaitable<void> work) {
  if (state_->stopping) return;
  auto task = std::make_shared<asio::cancellation_signal>();
  state_->tasks.insert(task);
  asio::co_spawn(state_->executor, std::move(work),
                 asio::bind_cancellation_slot(
                     task->slot(), [group = state_, task](const std::exception_ptr& thrown) {
                       expect_normal_end(thrown);
                       group->ended(task);
                     }));
}

awaitable<void> task_group::stop() {
  // Kept by value: the group may be gone by the time the last waiter resumes.
  const std::shared_ptr<state> group = state_;
  group->stopping = true;
  // A copy, because a task may end while it is being told.
  const std::vector<std::shared_ptr<asio::cancellation_signal>> told(group->tasks.begin(),
                                                                     group->tasks.end());
  for (const auto& task : told) task->emit(asio::cancellation_type::terminal);

  // Whoever stops is often cancelled itself; the wait must not be, nor swallow that cancellation.
  const bool threw = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!group->tasks.empty()) {
    co_await group->all_ended.async_wait(asio::bind_cancellation_slot(
        asio::cancellation_slot{}, asio::as_tuple(asio::use_awaitable)));
  }
  co_await asio::this_coro::throw_if_cancelled(threw);
}

std::size_t task_group::running() const noexcept { return state_->tasks.size(); }

}  // namespace millrace
