#pragma once

#include "command.hpp"

#include <string>
#include <variant>
#include <vector>

namespace millrace::cli {

/// Help was asked for: of a command, of a group, or (both empty) of the program.
struct help_wanted {
  const command* of{nullptr};
  std::string group;
  /// Nobody asked, but no command was named either.
  bool unasked{false};
};

struct version_wanted {};

struct parsed_command {
  const command* what{nullptr};
  invocation in;
};

/// The command line makes no sense. `about`, where it is known, is whose help to read.
struct usage_error {
  std::string message;
  std::string about;
};

using parsed_line = std::variant<parsed_command, help_wanted, version_wanted, usage_error>;

[[nodiscard]] parsed_line parse_line(std::vector<std::string> args);

}  // namespace millrace::cli
