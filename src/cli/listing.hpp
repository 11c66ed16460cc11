#pragma once

#include "command.hpp"
#include "server_call.hpp"

#include <millrace/base/json.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// What the commands that list something have in common.
namespace millrace::cli {

/// `--limit`, `--cursor` and those of every reading command.
[[nodiscard]] std::vector<option> with_listing_options(std::vector<option> own);

/// `--type`, `--label` and, of dead letters, `--error`.
[[nodiscard]] std::vector<option> job_filter_options();
[[nodiscard]] option error_filter_option();

/// A label as it was typed, `key=value`. Errors: invalid_argument on `--label`.
[[nodiscard]] result<std::pair<std::string, std::string>> parse_label(const std::string& text);

/// The filter that those options say, as pairs for `listing_target`.
[[nodiscard]] result<std::vector<std::string>> filter_query(const context& with);

/// `target` with `?limit=` and `&cursor=` from the options; `query` are further pairs, encoded.
/// Errors: invalid_argument.
[[nodiscard]] result<std::string> listing_target(const context& with, std::string target,
                                                 std::vector<std::string> query = {});

/// Asks, and with `--json` prints the answer as it came; else hands it to `print`, and says how to
/// see more where there is more.
exit_code show_answer(const context& with, std::string_view command, const std::string& target,
                      const std::function<void(const json::value&)>& print);

}  // namespace millrace::cli
