#pragma once

#include <cstdint>

/// The small process that watches over one program: a fork of the worker that never returns from
/// `run_guard`, and whose only child is the program.
///
/// It is the program's subreaper: whatever the program forks, however often and into whatever
/// session, becomes the guard's child when its parent ends. So when the program has ended, when the
/// worker says so, or when the worker is gone (its end of the control socket closes, also by
/// SIGKILL), the guard kills children until it has none, and ends. Should the guard itself be
/// killed, the program dies by its parent-death signal.
namespace millrace::worker_detail {

/// Worker to guard, one byte each.
enum class guard_order : char {
  /// SIGTERM to the program's process group.
  terminate = 't',
  /// SIGKILL to everything.
  kill = 'k',
};

enum class guard_word : std::int32_t {
  /// `value`: errno of execve. No program has run.
  not_started = 1,
  /// `value`: the wait status of the program. Nothing of it is left.
  ended = 2,
};

/// Guard to worker.
struct guard_report {
  guard_word word;
  std::int32_t value;
};

/// What the guard needs; made before the fork, since after it nothing may be allocated.
struct guard_plan {
  const char* program;
  char* const* argv;
  char* const* envp;
  int stdin_fd;
  int stdout_fd;
  int stderr_fd;
  int control_fd;
};

/// Requires: called in a freshly forked child, with every signal blocked. Calls only what is safe
/// between fork and exec in a process with threads.
[[noreturn]] void run_guard(const guard_plan& plan) noexcept;

}  // namespace millrace::worker_detail
