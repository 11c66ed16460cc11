#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/worker/handler.hpp>

#include <chrono>
#include <cstdint>

namespace millrace::worker_detail {

/// How long one run may take. Zero: no limit.
struct run_limits {
  duration soft{0};
  duration hard{0};

  /// The worker's own limits, cut to the job's timeout where that is shorter: `worker_options` says
  /// how.
  [[nodiscard]] run_limits cut_to(duration timeout) const noexcept;
};

/// Decides when a run that does not end by itself is asked to, is made to, and is given up.
/// A value without a timer of its own.
class run_clock final {
public:
  using time_point = std::chrono::steady_clock::time_point;

  enum class action : std::uint8_t {
    none,
    ask,
    force,
    /// It was made to end and has not: settle the run without its handler.
    abandon,
  };
  struct due {
    action what{action::none};
    stop_reason why{stop_reason::none};
  };

  run_clock(time_point start, run_limits limits) noexcept;

  [[nodiscard]] time_point hard_deadline() const noexcept { return hard_at_; }

  /// The run was asked to end: it is made to after `grace`, if no limit comes before.
  void asked(stop_reason why, time_point now, duration grace) noexcept;
  /// The run was made to end.
  void forced(time_point now) noexcept;

  /// What has to be done by `now`; each action is told once.
  [[nodiscard]] due take_due(time_point now) noexcept;
  /// When to ask again; `time_point::max()` for never.
  [[nodiscard]] time_point next() const noexcept;

private:
  time_point soft_at_{time_point::max()};
  time_point hard_at_{time_point::max()};
  time_point grace_ends_at_{time_point::max()};
  stop_reason asked_for_{stop_reason::none};
  time_point abandon_at_{time_point::max()};
};

}  // namespace millrace::worker_detail
