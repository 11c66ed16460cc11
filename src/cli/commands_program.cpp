#include "commands.hpp"
#include "completion.hpp"
#include "version.hpp"

#include <fmt/format.h>

#include <ostream>

namespace millrace::cli {
namespace {

exit_code print_version(context& with) {
  if (with.in.has("--json")) {
    with.around.out << fmt::format(R"({{"version":"{}"}})", version_text) << '\n';
  } else {
    with.around.out << fmt::format("millrace {}\n", version_text);
  }
  return exit_code::done;
}

exit_code print_completion(context& with) {
  const std::string& shell = with.in.required("SHELL");
  if (shell == "bash") with.around.out << bash_completion();
  if (shell == "zsh") with.around.out << zsh_completion();
  if (shell == "fish") with.around.out << fish_completion();
  return exit_code::done;
}

}  // namespace

std::vector<command> program_commands() {
  return {
      {.name = "version",
       .purpose = "Print the version of this program.",
       .options = {{.name = "--json", .purpose = "print it as JSON"}},
       .examples = {"millrace version"},
       .run = print_version},
      {.name = "completion",
       .purpose = "Print a completion script for a shell.",
       .arguments = {{.name = "SHELL", .purpose = "bash, zsh or fish", .choices = "bash zsh fish"}},
       .examples = {"source <(millrace completion bash)",
                    "millrace completion zsh > \"${fpath[1]}/_millrace\"",
                    "millrace completion fish > ~/.config/fish/completions/millrace.fish"},
       .run = print_completion},
  };
}

}  // namespace millrace::cli
