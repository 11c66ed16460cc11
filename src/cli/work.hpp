#pragma once

#include "command.hpp"

#include <vector>

namespace millrace::cli {

[[nodiscard]] std::vector<option> work_options();

/// Runs the jobs of a server's queues until SIGTERM or SIGINT.
exit_code work(context& with);

}  // namespace millrace::cli
