#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every bound of the workers, with what happens beyond it. Sizes of jobs are the port's
/// (`engine/limits.hpp`).
namespace millrace {

/// Most runs at a time in one worker; more is refused when it is made.
inline constexpr std::uint32_t worker_concurrency_max = 1000;
/// Jobs one call reserves, extends or settles; more go in the next call.
inline constexpr std::size_t worker_batch_max = 1000;
/// Outcomes that wait to be delivered (the source is slow or away): beyond it nothing new is
/// reserved, so that memory is bounded.
inline constexpr std::size_t undelivered_max = 1000;
/// How long an outcome is offered to a source that cannot be reached. A server that was closed
/// gives every lease a full interval when it opens again, so an outcome may count long after the
/// lease seems to have ended; after this it is dropped, the job runs again, and the log says so.
inline constexpr std::chrono::minutes delivery_time_max{10};
/// What a handler reported (progress, log lines) is gathered this long before it is sent.
inline constexpr std::chrono::milliseconds report_interval{100};
/// How long a handler that was told to end at once may take before its run is settled without it.
/// Its slot stays taken until it has returned.
inline constexpr std::chrono::seconds return_grace{2};
/// What is kept of a program's stderr: the last bytes; they are the error of a failed run.
inline constexpr std::size_t stderr_bytes_kept = std::size_t{8} << 10U;
/// How long a long-lived program may take to end after its stdin was closed; then it is killed.
inline constexpr std::chrono::seconds program_close_grace{5};

}  // namespace millrace
