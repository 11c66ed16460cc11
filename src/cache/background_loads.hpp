#pragma once

#include <millrace/base/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace millrace::cache {

/// Loads that nobody waits for, or that outlive whoever does: so many at a time, each on a strand
/// of the executor of the caller that began it.
///
/// Threading: every member from any thread.
/// Lifetime:  the destructor asserts that nothing runs any more; await `stop` first where something
///            was begun.
class background_loads final {
public:
  explicit background_loads(std::size_t at_once);
  ~background_loads();
  background_loads(const background_loads&) = delete;
  background_loads& operator=(const background_loads&) = delete;

  /// A place is free; it is this caller's, until `begin` or `leave`.
  [[nodiscard]] bool enter();
  void leave();
  /// Requires: entered.
  void begin(const asio::any_io_executor& on, awaitable<void> work);

  /// Refuses new ones, cancels those that run, and waits for them.
  [[nodiscard]] awaitable<void> stop();

  [[nodiscard]] std::uint64_t refused() const noexcept;

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace millrace::cache
