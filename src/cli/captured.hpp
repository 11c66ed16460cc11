#pragma once

#include "command.hpp"
#include "parse.hpp"

#include <millrace/cli/cli.hpp>

#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace millrace::cli {

/// A world of its own for a command: streams that are kept, variables that are set. For tests.
struct captured {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  std::map<std::string, std::string, std::less<>> variables;
  manual_clock clock{manual_clock::default_start()};
  engine_choice engine;
  bool terminal{false};

  [[nodiscard]] surroundings around() {
    return {.in = in,
            .out = out,
            .err = err,
            .variable = [this](std::string_view name) -> std::optional<std::string> {
              const auto found = variables.find(name);
              if (found == variables.end()) return std::nullopt;
              return found->second;
            },
            .variable_names =
                [this] {
                  std::vector<std::string> names;
                  for (const auto& [name, value] : variables) names.push_back(name);
                  return names;
                },
            .clock = clock,
            .in_is_terminal = false,
            .out_is_terminal = terminal,
            .err_is_terminal = terminal,
            .columns = 80};
  }

  /// Runs one command line; `out` and `err` hold what it said, and nothing of earlier ones.
  exit_code run(std::vector<std::string> args) {
    out.str("");
    err.str("");
    surroundings world = around();
    return cli::run(std::move(args), engine, world);
  }
};

/// What a command line was read as. Requires: it makes sense.
inline parsed_command parsed(std::vector<std::string> args) {
  return std::get<parsed_command>(parse_line(std::move(args)));
}

}  // namespace millrace::cli
