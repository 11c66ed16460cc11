#pragma once

#include "command.hpp"

#include <millrace/base/error.hpp>
#include <millrace/observe/logging.hpp>
#include <millrace/worker/exec_runner.hpp>
#include <millrace/worker/http_runner.hpp>
#include <millrace/worker/worker.hpp>

#include <optional>
#include <string_view>

namespace millrace::cli {

/// What `worker` was told.
struct work_settings {
  worker_options work;
  /// Exactly one of the two.
  std::optional<exec_options> program;
  std::optional<http_options> url;
  observe::log_format log_format{observe::log_format::text};
  observe::log_level log_level{observe::log_level::info};
};

/// Errors: invalid_argument, naming the option.
[[nodiscard]] result<work_settings> read_work_settings(const invocation& in,
                                                       const surroundings& around);

/// `mail` or `mail:3`. Errors: invalid_argument on `--queue`.
[[nodiscard]] result<weighted_queue> parse_weighted_queue(std::string_view text);

}  // namespace millrace::cli
