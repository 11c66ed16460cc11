#pragma once

#include "command.hpp"
#include "server_call.hpp"

#include <string>

namespace millrace::cli {

/// Follows a job until it has ended, over lost connections too: a bar on a terminal, elsewhere a
/// line on stderr for each change and log line, so that stdout holds the result alone. With
/// `--json` stdout has a line `{"event":…,"data":…}` for each event instead.
///
/// Returns: done when it completed, failed when it is dead or cancelled; not_found; unavailable
/// when no server has answered for half a minute.
[[nodiscard]] exit_code watch_job(const context& with, server_call& server, std::string id);

}  // namespace millrace::cli
