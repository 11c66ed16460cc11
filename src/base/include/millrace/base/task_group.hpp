#pragma once

#include <millrace/base/awaitable.hpp>

#include <memory>

namespace millrace {

/// Owns background coroutines, so that none outlives what it works on.
///
/// `spawn` starts a coroutine on the group's executor; `stop` refuses new ones, cancels those that
/// run and waits until the last has ended. Make it the last member of its owner.
///
/// Threading:  every member runs on, or is called from, the group's executor (a strand where the
///             context has several threads).
/// Errors:     an exception that leaves a coroutine ends the process: nothing of ours throws across
///             a coroutine's end.
/// Lifetime:   the destructor asserts that nothing runs any more; await `stop` first.
class task_group final {
public:
  explicit task_group(asio::any_io_executor executor);
  ~task_group();
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;

  /// Starts `work`; after `stop` it is dropped without having run.
  void spawn(awaitable<void> work);

  /// Refuse new, cancel (terminal), await old. Safe to call twice.
  [[nodiscard]] awaitable<void> stop();

  [[nodiscard]] std::size_t running() const noexcept;

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace millrace
