#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace millrace::cache {

/// Whether a store answers, from when it was asked and when it answered.
///
/// It is silent when something was asked and nothing at all was answered for the time that is
/// given, or for four times what an answer mostly takes where that is longer: a store that is far
/// away, or has much to do, is not silent.
///
/// Threading: everything from any thread.
class answer_count final {
public:
  using moment = std::chrono::steady_clock::time_point;

  void asked(moment now) noexcept;
  void answered(moment asked_at, moment now, bool served) noexcept;

  [[nodiscard]] bool is_silent(duration patience, moment now) const noexcept;
  /// How long from now until it is silent, if nothing is answered. Zero: it is.
  [[nodiscard]] duration until_silent(duration patience, moment now) const noexcept;

private:
  std::atomic<std::uint32_t> open_{0};
  /// Of the last answer, or of the question after which there was nothing open before.
  std::atomic<std::int64_t> heard_us_{0};
  /// What an answer takes, smoothed. Zero: nothing was answered yet.
  std::atomic<std::int64_t> mostly_us_{0};
};

/// Asks a store, and waits no longer than for one that is there.
///
/// A store whose server is gone says so at once. One whose server was stopped, or whose machine or
/// network went, says nothing, which its connection finds out after seconds. Whoever can go on
/// without it should not wait so long.
///
/// Threading: everything from any thread.
class store_pulse final {
public:
  explicit store_pulse(engine::store& store)
      : store_(store), count_(std::make_shared<answer_count>()) {}

  [[nodiscard]] bool is_silent(duration patience) const noexcept;

  /// Errors: those of the store; unavailable (`store_silent`). `patience` zero: as long as the
  /// store takes.
  ///
  /// Lifetime: an answer that comes later is dropped; it needs neither this object nor the caller.
  [[nodiscard]] awaitable<result<engine::answer>> ask(engine::query what, duration patience);

  /// What the store says after its caller has gone on.
  using late_answer = std::function<void(engine::commit_result)>;
  [[nodiscard]] awaitable<engine::commit_result> commit(engine::transaction what, duration patience,
                                                        late_answer late = {});

private:
  engine::store& store_;
  const std::shared_ptr<answer_count> count_;
};

}  // namespace millrace::cache
