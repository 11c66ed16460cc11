#pragma once

#include "command.hpp"

#include <string>
#include <vector>

/// What the commands about limits have in common.
namespace millrace::cli {

/// Whose limits: `user=42`.
struct limit_part {
  std::string name;
  std::string value;
};
/// Errors: invalid_argument on `PART`.
[[nodiscard]] result<std::vector<limit_part>> read_limit_parts(const context& with);

/// Of who is shut out.
[[nodiscard]] std::vector<command> limit_block_commands();

}  // namespace millrace::cli
