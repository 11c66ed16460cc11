#include "help.hpp"
#include "parse.hpp"
#include "version.hpp"

#include <millrace/cli/cli.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

namespace millrace::cli {
namespace {

std::optional<std::string> process_variable(std::string_view name) {
  const char* value = std::getenv(std::string{name}.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string{value};
}

std::vector<std::string> process_variable_names() {
  std::vector<std::string> names;
  for (char** one = ::environ; one != nullptr && *one != nullptr; ++one) {
    const std::string_view pair{*one};
    names.emplace_back(pair.substr(0, pair.find('=')));
  }
  return names;
}

std::size_t terminal_columns() {
  winsize size{};
  constexpr std::size_t otherwise = 80;
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return otherwise;
  return size.ws_col;
}

exit_code show_help(const help_wanted& wanted, surroundings& around) {
  std::string text = program_help();
  if (wanted.of != nullptr) {
    text = command_help(*wanted.of);
  } else if (!wanted.group.empty()) {
    text = group_help(wanted.group);
  }
  (wanted.unasked ? around.err : around.out) << text;
  return wanted.unasked ? exit_code::usage : exit_code::done;
}

exit_code show_usage_error(const usage_error& wrong, surroundings& around) {
  around.err << fmt::format("millrace: {}\n`millrace {}{}--help` says more.\n", wrong.message,
                            wrong.about, wrong.about.empty() ? "" : " ");
  return exit_code::usage;
}

}  // namespace

surroundings process_surroundings() {
  static const system_clock_source clock;
  return {.in = std::cin,
          .out = std::cout,
          .err = std::cerr,
          .variable = process_variable,
          .variable_names = process_variable_names,
          .clock = clock,
          .in_is_terminal = ::isatty(STDIN_FILENO) == 1,
          .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
          .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
          .columns = terminal_columns()};
}

exit_code run(std::vector<std::string> args, const engine_choice& engine, surroundings& around) {
  // A peer that has gone is an error of one write, not the end of the process. Caught rather than
  // ignored, since programs that a worker runs would inherit that.
  std::signal(SIGPIPE, [](int) {});
  const parsed_line line = parse_line(std::move(args));
  if (const auto* wanted = std::get_if<help_wanted>(&line)) return show_help(*wanted, around);
  if (const auto* wrong = std::get_if<usage_error>(&line)) return show_usage_error(*wrong, around);
  if (std::holds_alternative<version_wanted>(line)) {
    around.out << fmt::format("millrace {}\n", version_text);
    return exit_code::done;
  }
  const auto& parsed = std::get<parsed_command>(line);
  context with{.in = parsed.in, .engine = engine, .around = around};
  const exit_code code = parsed.what->run(with);
  around.out << std::flush;
  return code;
}

}  // namespace millrace::cli
