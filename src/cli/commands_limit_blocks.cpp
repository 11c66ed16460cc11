#include "json_view.hpp"
#include "json_writer.hpp"
#include "limit_parts.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "run_to_end.hpp"
#include "server_call.hpp"
#include "table.hpp"

#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <ostream>
#include <string>
#include <utility>

namespace millrace::cli {

result<std::vector<limit_part>> read_limit_parts(const context& with) {
  std::vector<limit_part> parts;
  for (const std::string& text : with.in.texts("PART")) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
      return invalid("PART", fmt::format("'{}' says not whose it is: write user=42", text));
    }
    parts.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return parts;
}

namespace {

exit_code set_block(context& with, std::string_view command, bool lasts) {
  const auto parts = read_limit_parts(with);
  if (!parts) return report_usage(with, command, parts.error());
  if (parts->size() != 1) {
    return report_usage(with, command, invalid("PART", "name exactly one: user=42").error());
  }
  json_writer body;
  body.text("scope", parts->front().name);
  body.text("id", parts->front().value);
  if (lasts) {
    const auto text = with.in.text_or("--for", "");
    if (text.empty()) {
      return report_usage(with, command, invalid("--for", "say how long: 10m, 24h").error());
    }
    const auto span = parse_duration(text, "--for");
    if (!span) return report_usage(with, command, span.error());
    body.seconds("for", *span);
  }
  auto server = server_call::open(with);
  if (!server) return report_usage(with, command, server.error());
  client::request asked{.method = client::verb::post,
                        .target = lasts ? "/v1/limits:block" : "/v1/limits:unblock",
                        .body = std::move(body).finish()};
  auto answer = run_to_end((*server)->io(), (*server)->api().send(std::move(asked)));
  if (!answer) return report(with, answer.error());
  auto done = client::expect_success(std::move(*answer));
  if (!done) return report_refusal(with, command, std::move(done.error()));
  if (with.in.has("--json")) {
    with.around.out << done->body << '\n';
    return exit_code::done;
  }
  const auto told = body_of(*done);
  if (!told) return report(with, told.error());
  const auto until = time_at(*told, "blocked_until");
  const limit_part& who = parts->front();
  with.around.out << (until ? fmt::format("{} {} is blocked until {}\n", who.name, who.value,
                                          to_rfc3339(*until))
                            : fmt::format("{} {} is not blocked\n", who.name, who.value));
  return exit_code::done;
}

exit_code block(context& with) { return set_block(with, "limit block", true); }
exit_code unblock(context& with) { return set_block(with, "limit unblock", false); }

exit_code list_blocks(context& with) {
  std::vector<std::string> query;
  if (const auto scope = with.in.text("--scope")) {
    if (const auto named = check_name(*scope, "scope"); !named) {
      return report_usage(with, "limit blocks", named.error());
    }
    query.push_back("scope=" + client::encode_segment(*scope));
  }
  const auto target = listing_target(with, "/v1/limits/blocks", std::move(query));
  if (!target) return report_usage(with, "limit blocks", target.error());
  return show_answer(with, "limit blocks", *target, [&with](const json::value& body) {
    table shown{{{"SCOPE"}, {"ID"}, {"ENDS", align::right}}};
    for (const json::value& one : items_at(body, "blocks")) {
      const auto until = time_at(one, "blocked_until");
      shown.add({text_at(one, "scope"), text_at(one, "id"),
                 until ? relative_time(*until, with.around.clock.now()) : "-"});
    }
    if (shown.empty()) {
      with.around.err << "Nobody is shut out.\n";
      return;
    }
    shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
  });
}

const argument one_argument{
    .name = "PART", .purpose = "who: user=42, ip=10.0.0.1", .required = true, .repeated = false};

}  // namespace

std::vector<command> limit_block_commands() {
  return {
      {.name = "limit block",
       .purpose = "Shut an id out of every limit of it, for a time.",
       .arguments = {one_argument},
       .options = with_reading_options(
           {{.name = "--for", .value = "SPAN", .purpose = "how long: 10m, 24h"}}),
       .examples = {"millrace limit block ip=203.0.113.9 --for 10m"},
       .run = block,
       .notes = "In place of a block that it has. `limit peek` and `limit blocks` show it, `limit "
                "reset`\n"
                "forgets it."},
      {.name = "limit unblock",
       .purpose = "Let an id in again.",
       .arguments = {one_argument},
       .options = with_reading_options({}),
       .examples = {"millrace limit unblock ip=203.0.113.9"},
       .run = unblock},
      {.name = "limit blocks",
       .purpose = "List who is shut out, and for how long.",
       .options = with_listing_options(
           {{.name = "--scope", .value = "NAME", .purpose = "only ids of this scope: user, ip"}}),
       .examples = {"millrace limit blocks", "millrace limit blocks --scope ip --json"},
       .run = list_blocks,
       .notes = "By `limit block` and by penalties alike, in the order of scopes and ids."},
  };
}

}  // namespace millrace::cli
