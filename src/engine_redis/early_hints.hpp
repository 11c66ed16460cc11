#pragma once

#include "call_codec.hpp"
#include "work.hpp"

#include <vector>

/// Who waits for jobs in the process that makes them is told before they are sent, and looks for
/// them in the same call (ADR 0016).
namespace millrace::engine_redis {

/// Counts the jobs that are available as soon as it has happened.
void count_new_jobs(const unit& one, std::vector<available_hint>& into);

/// What is still to be told of `all` where `hinted` has been.
void leave_out(const std::vector<available_hint>& hinted, std::vector<available_hint>& all);

}  // namespace millrace::engine_redis
