#pragma once

#include "config_value.hpp"

#include <millrace/base/error.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace millrace::cli {

/// One key of a configuration file.
struct file_entry {
  /// The names of the tables and the key: `{"queues", "mail", "rate"}`.
  std::vector<std::string> path;
  config_value value;
  /// `millrace.toml:3`.
  std::string where;
};

/// Reads a TOML file into its keys, in the order of the file. Of a list of tables each has its
/// place as a name: `{"limits", "policies", "chat", "limits", "0", "window"}`.
///
/// Errors: invalid_argument (`invalid_configuration`) with file, line and what is wrong:
/// unreadable, broken TOML, a value that is neither text, number, truth value nor a list of texts.
[[nodiscard]] result<std::vector<file_entry>> read_config_file(const std::filesystem::path& file);

}  // namespace millrace::cli
