#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/engine/wakeups.hpp>

#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace millrace::http {

/// Turns at records that are read, changed and written back: of two requests that merge into the
/// same record, the second reads what the first has written, so that neither change is lost.
///
/// Guarantees: one turn a record at a time, within this server. A store that several servers write
///             to needs a check of its own in the step.
/// Threading:  safe from any executor; `take` resumes on the caller's.
/// Lifetime:   outlives its turns.
class turns final {
public:
  /// Ends when it is destroyed.
  class turn final {
  public:
    turn(turn&& other) noexcept
        : of_(std::exchange(other.of_, nullptr)), at_(std::move(other.at_)) {}
    turn& operator=(turn&&) = delete;
    ~turn() {
      if (of_ != nullptr) of_->give_back(at_);
    }

  private:
    friend class turns;
    turn(turns& of, engine::topic at) : of_(&of), at_(std::move(at)) {}
    turns* of_;
    engine::topic at_;
  };

  /// Waits for those before. Every turn is short: a read and a write of the store.
  ///
  /// Cancellation: terminal, by `operation_aborted`; no turn was taken.
  [[nodiscard]] awaitable<turn> take(engine::topic record);

private:
  [[nodiscard]] bool try_take(const engine::topic& record);
  void give_back(const engine::topic& record);

  std::mutex guard_;
  std::set<std::pair<engine::topic::kind, std::string>> taken_;
  engine::wakeups freed_;
};

}  // namespace millrace::http
