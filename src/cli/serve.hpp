#pragma once

#include "command.hpp"
#include "config.hpp"

namespace millrace::cli {

[[nodiscard]] std::vector<option> serve_options();

/// Opens the engine, serves until SIGTERM or SIGINT, and closes it.
exit_code serve(context& with);

}  // namespace millrace::cli
