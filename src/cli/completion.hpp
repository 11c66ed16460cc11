#pragma once

#include <string>

/// Completion scripts, made from the table of commands.
namespace millrace::cli {

[[nodiscard]] std::string bash_completion();
[[nodiscard]] std::string zsh_completion();
[[nodiscard]] std::string fish_completion();

}  // namespace millrace::cli
