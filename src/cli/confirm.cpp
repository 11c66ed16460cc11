#include "confirm.hpp"

#include <istream>
#include <ostream>
#include <string>

namespace millrace::cli {

option yes_option() { return {.name = "--yes", .purpose = "do not ask, on a terminal either"}; }

bool confirmed(const context& with, std::string_view question) {
  const bool somebody = with.around.in_is_terminal && with.around.err_is_terminal;
  if (!somebody || with.in.has("--yes")) return true;
  with.around.err << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(with.around.in, answer);
  const bool yes = answer == "y" || answer == "Y" || answer == "yes";
  if (!yes) with.around.err << "Nothing was done.\n";
  return yes;
}

}  // namespace millrace::cli
