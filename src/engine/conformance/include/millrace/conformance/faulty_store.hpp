#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <mutex>
#include <vector>

namespace millrace::conformance {

/// What goes wrong with one call of a store.
struct fault {
  enum class kind : std::uint8_t {
    /// The store is not reached: every transaction of the call is refused with `why`.
    fail,
    /// The call has its effect, but the answer is lost: `why` is answered instead.
    cut,
    /// The call waits for `release`.
    hold,
  };
  kind what{kind::fail};
  error why{};

  /// `unavailable`, as when the store's server is away.
  [[nodiscard]] static fault unavailable();
  /// `storage_full`, as on a full disk.
  [[nodiscard]] static fault full();
  /// `outcome_unknown`, after the effect.
  [[nodiscard]] static fault cut();
  [[nodiscard]] static fault hold();
};

/// A store around another one that goes wrong on demand, for tests of what is built on the port.
///
/// Faults are planned by the number of the call: `on_submit(3, fault::cut())` spoils the third
/// submit from now. A submit is one call, whatever the size of its batch.
///
/// Threading:  as `engine::store`. Calls that fail are answered inside the call; those held, inside
///             `release`.
/// Lifetime:   the inner store must outlive it. The destructor releases what is held.
class faulty_store final : public engine::store {
public:
  static constexpr std::size_t always = std::numeric_limits<std::size_t>::max();

  explicit faulty_store(engine::store& inner) noexcept;
  ~faulty_store() override;
  faulty_store(const faulty_store&) = delete;
  faulty_store& operator=(const faulty_store&) = delete;

  /// Spoils `count` submits, the first of them being the `nth` from now (1: the next).
  /// Requires: nth > 0. Of several faults for one call the one planned first is taken.
  void on_submit(std::size_t nth, fault what, std::size_t count = 1);
  void on_ask(std::size_t nth, fault what, std::size_t count = 1);
  /// Forgets every planned fault. What is held stays held.
  void recover();

  /// Passes held calls on, in their order.
  void release();
  [[nodiscard]] std::size_t held() const;

  /// From now on `hints` is one that nobody ever notifies: every hint is lost.
  void lose_hints() noexcept;

  /// Calls so far, spoiled ones included.
  [[nodiscard]] std::size_t submits() const;
  [[nodiscard]] std::size_t asks() const;

  void submit(std::vector<engine::transaction> batch, commit_handler done) override;
  void ask(engine::query what, answer_handler done) override;
  [[nodiscard]] engine::wakeups& hints() noexcept override;
  [[nodiscard]] engine::store_traits traits() const noexcept override { return inner_.traits(); }

private:
  struct planned {
    /// Numbers of the calls, counted from 1.
    std::size_t first{0}, last{0};
    fault what;
  };
  struct plan {
    std::size_t calls{0};
    std::vector<planned> faults;
    void add(std::size_t nth, fault what, std::size_t count);
    /// Counts a call; its fault, if any.
    [[nodiscard]] const fault* next();
  };

  engine::store& inner_;
  engine::wakeups silent_;
  std::atomic<bool> hints_lost_{false};
  mutable std::mutex mutex_;
  // Guarded by `mutex_`.
  plan submits_;
  plan asks_;
  std::deque<std::move_only_function<void()>> held_;
};

}  // namespace millrace::conformance
