#pragma once

#include "command.hpp"

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/json.hpp>
#include <millrace/client/api_client.hpp>

#include <boost/asio/io_context.hpp>

#include <memory>
#include <string>

namespace millrace::cli {

/// The server a command speaks to, for commands that do one thing after the other.
///
/// Threading: one thread; every call blocks until its answer is there.
class server_call final {
public:
  /// Errors: invalid_argument for a bad `--url` or `MILLRACE_URL`.
  [[nodiscard]] static result<std::unique_ptr<server_call>> open(const context& with);

  /// Errors: as `client::api_client::call`.
  [[nodiscard]] result<client::response> call(client::request what);
  [[nodiscard]] result<client::response> get(std::string target);
  [[nodiscard]] result<client::response> post(std::string target, std::string body = {});
  [[nodiscard]] result<client::response> put(std::string target, std::string body);
  [[nodiscard]] result<client::response> remove(std::string target);

  [[nodiscard]] asio::io_context& io() noexcept { return io_; }
  [[nodiscard]] client::api_client& api() noexcept { return client_; }

private:
  explicit server_call(client::client_options options);

  asio::io_context io_;
  client::api_client client_;
};

/// The certificate authorities to trust: `--ca-file`, else `MILLRACE_CA_FILE`, else empty.
[[nodiscard]] std::string ca_file(const invocation& in, const surroundings& around);

/// Reads the body of an answer. Errors: internal (`bad_answer`).
[[nodiscard]] result<json::value> body_of(const client::response& answer);

/// Writes what is wrong, and what to do about it, and says with which code to end.
exit_code report(const context& with, const error& why);

/// Of an error that came of what was typed here: points to the help too.
exit_code report_usage(const context& with, std::string_view command, const error& why);

/// Of an answer to what a command's options said: as `report_usage` where those were wrong.
exit_code report_refusal(const context& with, std::string_view command, const error& why);

/// Prints an answer: with `--json` as it came, else as `print` does; reports what is none.
exit_code print_answer(const context& with, std::string_view command,
                       const result<client::response>& answer,
                       void (*print)(const context&, const json::value&));

[[nodiscard]] exit_code exit_code_of(const error& why) noexcept;

}  // namespace millrace::cli
