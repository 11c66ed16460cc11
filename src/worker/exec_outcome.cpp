#include "exec_outcome.hpp"

#include <millrace/engine/limits.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace millrace::worker_detail {
namespace {

constexpr int exit_permanent = 65;
constexpr int exit_retry = 75;

// The lead sentence first, since a store that cuts keeps the beginning.
std::string with_stderr(std::string_view lead, const stderr_tail& errors) {
  const std::size_t room = engine::error_bytes_max - lead.size() - 1;
  const std::string said = errors.text(room);
  if (said.empty()) return std::string{lead};
  return fmt::format("{}\n{}", lead, said);
}

}  // namespace

std::string describe(const program_end& end) {
  switch (end.how) {
    case program_end::way::not_started:
      return fmt::format("the program cannot be executed: {}", std::strerror(end.value));
    case program_end::way::exited: return fmt::format("exit status {}", end.value);
    case program_end::way::signalled: {
      const char* name = ::sigabbrev_np(end.value);
      return fmt::format("killed by SIG{} ({})", name == nullptr ? "?" : name, end.value);
    }
    case program_end::way::guard_lost: break;
  }
  return "killed together with the process that watches over it";
}

handler_result exec_outcome(const program_end& end, result<std::string> printed,
                            const stderr_tail& errors) {
  if (end.how != program_end::way::exited) {
    return job_failed{.error = with_stderr(describe(end), errors)};
  }
  if (end.value == 0) {
    if (printed) return job_succeeded{std::move(*printed)};
    return job_failed{.error = std::move(printed.error().detail), .permanent = true};
  }
  job_failed failure{.error = errors.text(engine::error_bytes_max),
                     .permanent = end.value == exit_permanent};
  if (failure.error.empty()) {
    failure.error = fmt::format("{}, and nothing on stderr", describe(end));
  }
  if (end.value == exit_retry) failure.retry_in = errors.retry_in();
  return failure;
}

}  // namespace millrace::worker_detail
