#pragma once

#include "command.hpp"
#include "server_call.hpp"

#include <string>
#include <vector>

namespace millrace::cli {

struct held_lock {
  /// Of the lock, with its token: what extends and releases it.
  std::string target;
  std::string resource;
  std::string token;
  std::string fence;
  duration ttl{0};
};

/// Runs a program while the lock is held: renews it every third of its ttl, and releases it at the
/// end. A lock that is lost ends the program (SIGTERM).
///
/// Returns: the program's own code; 128 and the signal that ended it; `failed` where the lock was
///          lost or the program cannot be run.
[[nodiscard]] exit_code run_under_lock(const context& with, server_call& server,
                                       const held_lock& lock, const std::vector<std::string>& args);

}  // namespace millrace::cli
