#pragma once

#include "command.hpp"

#include <millrace/base/error.hpp>

#include <string>
#include <vector>

namespace millrace::cli {

/// The options that say what kind of job is to be made: of `enqueue` and `cron add`.
[[nodiscard]] std::vector<option> job_options();

/// Members that only a job made now can have: `--delay`, `--at`, `--unique`, `--correlation-id`.
[[nodiscard]] std::vector<option> enqueue_options();

/// The job as JSON, from those options and the JSON argument (`-`: from the standard input).
///
/// Errors: invalid_argument and malformed, naming the option.
[[nodiscard]] result<std::string> job_body(const context& with, std::string_view json_argument);

}  // namespace millrace::cli
