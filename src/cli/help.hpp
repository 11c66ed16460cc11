#pragma once

#include "command.hpp"

#include <string>
#include <string_view>

namespace millrace::cli {

/// All commands, one line each.
[[nodiscard]] std::string program_help();
/// The commands of one group.
[[nodiscard]] std::string group_help(std::string_view group);
/// Everything about one command.
[[nodiscard]] std::string command_help(const command& what);

}  // namespace millrace::cli
