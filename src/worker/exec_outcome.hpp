#pragma once

#include "guarded_process.hpp"

#include <millrace/worker/handler.hpp>
#include <millrace/worker/line_protocol.hpp>

#include <string>

namespace millrace::worker_detail {

/// What a program's end means for its job: the exit status decides, stderr says why.
///
///   0        done, with `printed` as the result
///   65       failed for good (EX_DATAERR of sysexits.h)
///   75       failed, again after `Retry-In` (EX_TEMPFAIL)
///   other    failed, again after the job's backoff; so does a program that a signal killed
[[nodiscard]] handler_result exec_outcome(const program_end& end, result<std::string> printed,
                                          const stderr_tail& errors);

/// `killed by SIGTERM (15)`, `exit status 3`, …
[[nodiscard]] std::string describe(const program_end& end);

}  // namespace millrace::worker_detail
