#pragma once

#include <millrace/base/task_group.hpp>
#include <millrace/limiter/limiter.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

namespace millrace {

/// How a permit is held.
struct permit_options {
  permit_options() = default;
  /// How often it is renewed. Zero: every third of the time that it lasts.
  duration renew_every{0};
  /// Called once, on the keeper's executor, if the permit is lost: why.
  std::function<void(const error&)> on_lost;
};

/// A permit that is held while this object lives: renewed by itself, given back by the destructor.
///
/// Guarantees: `lost` is told when a renewal hears that the permit is not held any more (somebody
///             has released or reset it), and no later than its time has run out on this machine's
///             own clock, should the store not answer. From then on another may have its place, and
///             whatever happens under it has to stop.
/// Threading:  one thread at a time; it may be destroyed on any thread.
/// Lifetime:   may outlive its keeper, and is lost with it.
class held_permit final {
public:
  held_permit(held_permit&&) noexcept;
  held_permit& operator=(held_permit&&) noexcept;
  ~held_permit();

  /// Zero: there is none to hold (an allow-list, or limits that are open while the store is away),
  /// and none to lose.
  [[nodiscard]] std::uint64_t number() const noexcept;

  /// Requested when the permit is lost, not when it is given back.
  [[nodiscard]] std::stop_token lost() const noexcept;

  /// Gives it back without waiting for the answer, as the destructor does. Idempotent.
  void release() noexcept;

private:
  friend class permit_keeper;
  struct state;
  explicit held_permit(std::shared_ptr<state> s) noexcept;
  std::shared_ptr<state> state_;
};

/// What asking for a permit has come to.
struct permit_grant {
  limit_answer answer;
  /// Empty: refused.
  std::optional<held_permit> held;
};

/// Takes of limits on what happens at once (`concurrency`), and keeps what was taken.
///
/// Threading:  every member runs on, or is called from, the executor (a strand where the context
///             has several threads).
/// Lifetime:   the limiter must outlive it and what it has granted; await `stop` before it goes.
class permit_keeper final {
public:
  permit_keeper(limiter& limits, asio::any_io_executor executor);

  /// As `limiter::take` of everything, and keeps the permit. That it is refused is no error; other
  /// limits of the request are charged with it.
  ///
  /// Errors: those of `limiter::take`; invalid_argument (no_permits), with nothing charged, where
  ///         no limit has permits.
  [[nodiscard]] awaitable<result<permit_grant>> hold(limit_request what, permit_options how = {});

  /// Gives back all that is held, which is lost to its holders.
  [[nodiscard]] awaitable<void> stop();

private:
  limiter& limits_;
  task_group renewals_;
};

}  // namespace millrace
