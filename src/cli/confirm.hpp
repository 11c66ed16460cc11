#pragma once

#include "command.hpp"

#include <string_view>

namespace millrace::cli {

/// The option of commands that delete.
[[nodiscard]] option yes_option();

/// Asks whoever sits at a terminal; elsewhere, and with `--yes`, the command line itself is the
/// answer.
[[nodiscard]] bool confirmed(const context& with, std::string_view question);

}  // namespace millrace::cli
