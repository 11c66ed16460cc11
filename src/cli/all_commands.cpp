#include "commands.hpp"

#include <array>
#include <iterator>
#include <utility>

namespace millrace::cli {
namespace {

std::vector<command> collect() {
  std::vector<command> all;
  // Help lists them so: the parts of a group stand together.
  for (const auto part :
       {server_commands, job_commands, queue_commands, dead_letter_commands, cron_commands,
        event_commands, group_commands, lock_commands, progress_commands, correlation_commands,
        cache_commands, claim_commands, cache_number_commands, limit_commands, session_commands,
        backup_commands, program_commands}) {
    for (command& one : part()) all.push_back(std::move(one));
  }
  return all;
}

}  // namespace

std::span<const command> all_commands() {
  static const std::vector<command> all = collect();
  return all;
}

std::string_view group_purpose(std::string_view group) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> purposes{{
      {"queue", "Look at queues, set them, pause and empty them."},
      {"dlq", "Look at dead letters: the jobs that have failed for good."},
      {"cron", "Make, look at and pause recurring jobs."},
      {"cache", "Keep values for a while, look at them and forget them."},
      {"limit", "Check, look at and reset rate limits and budgets."},
      {"events", "Publish events, follow streams of them, and share them out."},
      {"lock", "Take, keep and release locks; run a program under one."},
      {"progress", "Follow what goes on."},
      {"session", "Begin, look at, change and end sessions of users."},
  }};
  for (const auto& [name, purpose] : purposes) {
    if (name == group) return purpose;
  }
  return {};
}

}  // namespace millrace::cli
