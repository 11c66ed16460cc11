#pragma once

#include "command.hpp"

#include <millrace/base/json.hpp>

#include <string>

/// How a job of the server's JSON looks to people.
namespace millrace::cli {

/// Everything about one job, a line a fact.
void print_job(const context& with, const json::value& job);

/// `running, attempt 2 of 4`: the state in a few words.
[[nodiscard]] std::string status_text(const json::value& job);

/// completed, dead or cancelled.
[[nodiscard]] bool has_ended(const json::value& job);

/// What a command that waited for the job ends with.
[[nodiscard]] exit_code exit_code_of(const json::value& job);

}  // namespace millrace::cli
