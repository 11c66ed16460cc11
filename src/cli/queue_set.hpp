#pragma once

#include "command.hpp"

#include <millrace/base/json.hpp>

#include <vector>

namespace millrace::cli {

[[nodiscard]] std::vector<option> queue_set_options();

exit_code set_queue(context& with);

/// The settings of a queue, a line each, those that bound nothing left out.
void print_settings(const context& with, const json::value& queue);

}  // namespace millrace::cli
