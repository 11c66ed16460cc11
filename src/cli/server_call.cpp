#include "server_call.hpp"

#include "people.hpp"
#include "run_to_end.hpp"

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <utility>

namespace millrace::cli {
namespace {

/// Covers what a server needs for its slowest ordinary answer (purging a large queue).
constexpr std::chrono::seconds answer_timeout{60};

/// Other rooms and the server name a field (`soft_limit`, `backoff.base`, of a recurring job
/// `job.priority`); what was typed was an option. Empty where there is none for it.
std::string_view option_of(std::string_view command_name, std::string field) {
  constexpr std::string_view within = "job.";
  if (field.starts_with(within)) field.erase(0, within.size());
  std::ranges::replace_if(field, [](char c) { return c == '_' || c == '.'; }, '-');
  const auto what = std::ranges::find(all_commands(), command_name, &command::name);
  if (what == all_commands().end()) return {};
  const auto typed = std::ranges::find(what->options, "--" + field, &option::name);
  return typed == what->options.end() ? std::string_view{} : typed->name;
}

}  // namespace

std::string ca_file(const invocation& in, const surroundings& around) {
  return in.text("--ca-file").value_or(around.variable("MILLRACE_CA_FILE").value_or(std::string{}));
}

server_call::server_call(client::client_options options)
    : io_(1), client_(io_.get_executor(), std::move(options)) {}

result<std::unique_ptr<server_call>> server_call::open(const context& with) {
  auto where = client::resolve_endpoint(
      {.flag = with.in.text("--url"), .variable = with.around.variable("MILLRACE_URL")});
  if (!where) return std::unexpected(std::move(where.error()));
  client::client_options options{
      .where = std::move(*where),
      .ca_file = ca_file(with.in, with.around),
      .key = with.around.variable("MILLRACE_KEY").value_or(std::string{}),
      .connections_max = 16};
  return std::unique_ptr<server_call>(new server_call(std::move(options)));
}

result<client::response> server_call::call(client::request what) {
  what.timeout = std::max<std::chrono::milliseconds>(what.timeout, answer_timeout);
  return run_to_end(io_, client_.call(std::move(what)));
}

result<client::response> server_call::get(std::string target) {
  return call({.target = std::move(target)});
}

result<client::response> server_call::post(std::string target, std::string body) {
  return call({.method = client::verb::post, .target = std::move(target), .body = std::move(body)});
}

result<client::response> server_call::put(std::string target, std::string body) {
  return call({.method = client::verb::put, .target = std::move(target), .body = std::move(body)});
}

result<client::response> server_call::remove(std::string target) {
  return call({.method = client::verb::del, .target = std::move(target)});
}

result<json::value> body_of(const client::response& answer) {
  auto parsed = parse_json(answer.body);
  if (parsed) return parsed;
  return fail(errc::internal, "bad_answer",
              fmt::format("the server's answer is no JSON ({}): is it a millrace server?",
                          parsed.error().detail));
}

exit_code exit_code_of(const error& why) noexcept {
  switch (why.kind) {
    case errc::malformed:
    case errc::invalid_argument:
    case errc::too_large:
    case errc::unsupported: return exit_code::usage;
    case errc::not_found: return exit_code::not_found;
    case errc::unavailable:
    case errc::deadline_exceeded: return exit_code::unavailable;
    default: return exit_code::failed;
  }
}

exit_code report(const context& with, const error& why) {
  // Many a detail begins with its field. The file of authorities is named by what is typed.
  const std::string_view place = why.field == "ca_file" ? "--ca-file" : std::string_view{why.field};
  const bool named = place.empty() || why.detail.starts_with(place);
  const std::string field = named ? std::string{} : printable(place) + ": ";
  with.around.err << fmt::format("millrace: {}{}\n", field, printable(why.detail));
  if (why.code == "no_server") {
    with.around.err << "Start one with `millrace serve`, or name another with --url or "
                       "MILLRACE_URL.\n";
  } else if (why.code == "tls_failed" && why.detail.contains("certificate")) {
    with.around.err
        << "Its certificate must be for that name, by an authority of this system or of "
           "--ca-file (MILLRACE_CA_FILE).\n";
  } else if (why.retry_after) {
    with.around.err << fmt::format("Try again in {}.\n", readable_span(*why.retry_after));
  }
  return exit_code_of(why);
}

exit_code report_refusal(const context& with, std::string_view command_name, const error& why) {
  const bool by_what_was_typed = exit_code_of(why) == exit_code::usage;
  return by_what_was_typed ? report_usage(with, command_name, why) : report(with, why);
}

exit_code print_answer(const context& with, std::string_view command_name,
                       const result<client::response>& answer,
                       void (*print)(const context&, const json::value&)) {
  if (!answer) return report_refusal(with, command_name, answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto body = body_of(*answer);
  if (!body) return report(with, body.error());
  print(with, *body);
  return exit_code::done;
}

exit_code report_usage(const context& with, std::string_view command_name, const error& why) {
  error shown = why;
  if (const std::string_view typed = option_of(command_name, why.field); !typed.empty()) {
    shown.field = typed;
  }
  report(with, shown);
  with.around.err << fmt::format("`millrace {} --help` says more.\n", command_name);
  return exit_code::usage;
}

}  // namespace millrace::cli
