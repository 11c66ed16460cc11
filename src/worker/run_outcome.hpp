#pragma once

#include "run_clock.hpp"

#include <millrace/engine/job.hpp>
#include <millrace/worker/handler.hpp>
#include <millrace/worker/job_source.hpp>

#include <exception>

namespace millrace::worker_detail {

/// How a run ended, with what the worker itself knows of it.
struct run_ending {
  handler_result said;
  stop_reason stopped_for{stop_reason::none};
  run_limits limits;
};

/// The step that tells the source. A success counts whatever the run was asked for meanwhile; a
/// failure says which limit ended the run, and at the end of the worker it only hands the job back.
[[nodiscard]] settle_step step_for(const engine::leased_job& leased, run_ending ending);

/// The failure that an exception of a handler means.
[[nodiscard]] job_failed failure_of(const std::exception_ptr& thrown);

/// What the source's answer to a step means for the run.
enum class delivery : std::uint8_t {
  /// The run is over, one way or the other, or belongs to somebody else.
  lost,
  /// Try again: the source is away or busy.
  again,
  /// The step itself cannot be taken: it is wrong.
  refused,
};
[[nodiscard]] delivery classify(const error& why) noexcept;

}  // namespace millrace::worker_detail
