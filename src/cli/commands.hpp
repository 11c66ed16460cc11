#pragma once

#include "command.hpp"

#include <vector>

namespace millrace::cli {

// One list a topic; `all_commands` puts them together.
[[nodiscard]] std::vector<command> server_commands();
[[nodiscard]] std::vector<command> job_commands();
[[nodiscard]] std::vector<command> queue_commands();
[[nodiscard]] std::vector<command> dead_letter_commands();
[[nodiscard]] std::vector<command> cron_commands();
[[nodiscard]] std::vector<command> backup_commands();
[[nodiscard]] std::vector<command> program_commands();
[[nodiscard]] std::vector<command> cache_commands();
[[nodiscard]] std::vector<command> limit_commands();
[[nodiscard]] std::vector<command> event_commands();
[[nodiscard]] std::vector<command> lock_commands();
[[nodiscard]] std::vector<command> progress_commands();
[[nodiscard]] std::vector<command> session_commands();
[[nodiscard]] std::vector<command> claim_commands();
[[nodiscard]] std::vector<command> group_commands();
[[nodiscard]] std::vector<command> cache_number_commands();
[[nodiscard]] std::vector<command> correlation_commands();

}  // namespace millrace::cli
