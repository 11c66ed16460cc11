#include "commands.hpp"
#include "confirm.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "server_call.hpp"
#include "table.hpp"

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <initializer_list>
#include <istream>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace millrace::cli {
namespace {

constexpr std::int64_t number_max = (std::int64_t{1} << 53U) - 1;

// The id as it was typed; of `-` the next line of the standard input, where other processes do not
// see it.
std::string session_target(const context& with, std::string_view verb = {}) {
  std::string id = with.in.required("ID");
  if (id == "-") std::getline(with.around.in, id);
  return fmt::format("/v1/sessions/{}{}", client::encode_segment(id), verb);
}

result<void> add_data(json_writer& body, const std::string& text) {
  const auto data = parse_json(text);
  if (!data || !data->is_object()) {
    return invalid("DATA", "the data must be a JSON object, as in '{\"cart\":[7]}'");
  }
  body.raw("data", text);
  return {};
}

// What begins a session or moves it to somebody: its user and how many they may have.
result<void> add_owner(const context& with, json_writer& body) {
  body.text("user", with.in.text("--user"));
  const auto most = with.in.integer("--max-per-user", 1, number_max);
  if (!most) return std::unexpected(most.error());
  body.integer("max_per_user", *most);
  if (with.in.has("--refuse")) body.text("when_full", "refuse");
  return {};
}

result<void> add_spans(const context& with, json_writer& body,
                       std::initializer_list<std::pair<std::string_view, std::string_view>> names) {
  for (const auto& [option, name] : names) {
    const auto span = with.in.span(option);
    if (!span) return std::unexpected(span.error());
    body.seconds(name, *span);
  }
  return {};
}

// The id alone goes to the output, for scripts; what people want to know besides, to the other.
void print_named(const context& with, const json::value& session) {
  with.around.out << text_at(session, "id") << '\n';
  with.around.err << fmt::format("ref {}, until {}\n", count_at(session, "ref"),
                                 text_at(session, "expires_at"));
  if (const auto ended = count_at(session, "ended"); ended > 0) {
    with.around.err << fmt::format("{} older {} ended\n", ended,
                                   ended == 1 ? "session has" : "sessions have");
  }
}

void print_session(const context& with, const json::value& session) {
  const auto print = [&with](std::string_view name, const std::string& value) {
    if (!value.empty()) with.around.out << fmt::format("{:<9} {}\n", name, printable(value));
  };
  const auto until = time_at(session, "expires_at");
  print("user", text_at(session, "user"));
  print("label", text_at(session, "label"));
  print("ref", std::to_string(count_at(session, "ref")));
  print("version", std::to_string(count_at(session, "version")));
  print("ends", until ? relative_time(*until, with.around.clock.now()) : "-");
  if (flag_at(session, "former")) print("former", "it has another id by now");
  if (const json::value* data = member(session, "data")) print("data", json_text(*data));
}

exit_code begin(context& with) {
  json_writer body;
  result<void> read = add_owner(with, body);
  if (read) {
    read = add_spans(with, body, {{"--idle", "idle"}, {"--absolute", "absolute"}});
  }
  body.text("label", with.in.text("--label"));
  if (const auto data = with.in.text("--data"); read && data) read = add_data(body, *data);
  if (!read) return report_usage(with, "session begin", read.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "session begin", server.error());
  return print_answer(with, "session begin",
                      (*server)->post("/v1/sessions", std::move(body).finish()), &print_named);
}

exit_code show(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "session show", server.error());
  const std::string target = session_target(with, with.in.has("--peek") ? "?peek=true" : "");
  return print_answer(with, "session show", (*server)->get(target), &print_session);
}

exit_code set(context& with) {
  json_writer body;
  const auto read = add_data(body, with.in.required("DATA"));
  if (!read) return report_usage(with, "session set", read.error());
  const auto version = with.in.integer("--if-version", 1, number_max);
  if (!version) return report_usage(with, "session set", version.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "session set", server.error());
  client::request what{.method = with.in.has("--replace") ? client::verb::put : client::verb::patch,
                       .target = session_target(with),
                       .headers = {},
                       .body = std::move(body).finish()};
  if (*version) what.headers.push_back({"If-Match", fmt::format("\"{}\"", **version)});
  return print_answer(with, "session set", (*server)->call(std::move(what)), &print_session);
}

exit_code rotate(context& with) {
  json_writer body;
  result<void> read = add_owner(with, body);
  if (read) read = add_spans(with, body, {{"--grace", "grace"}});
  if (const auto data = with.in.text("--data"); read && data) read = add_data(body, *data);
  if (!read) return report_usage(with, "session rotate", read.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "session rotate", server.error());
  return print_answer(with, "session rotate",
                      (*server)->post(session_target(with, ":rotate"), std::move(body).finish()),
                      &print_named);
}

exit_code end(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "session end", server.error());
  const auto answer = (*server)->remove(session_target(with));
  return answer ? exit_code::done : report(with, answer.error());
}

exit_code list(context& with) {
  std::vector<std::string> query;
  if (const auto user = with.in.text("USER")) {
    query.push_back("user=" + client::encode_segment(*user));
  }
  if (with.in.has("--newest")) query.push_back("order=newest");
  const auto target = listing_target(with, "/v1/sessions", std::move(query));
  if (!target) return report_usage(with, "session ls", target.error());
  return show_answer(with, "session ls", *target, [&with](const json::value& body) {
    const timestamp now = with.around.clock.now();
    const auto when = [now](const json::value& one, std::string_view name) {
      const auto at = time_at(one, name);
      return at ? relative_time(*at, now) : std::string("-");
    };
    table shown{{{"REF", align::right},
                 {"USER"},
                 {"BEGUN", align::right},
                 {"USED", align::right},
                 {"ENDS", align::right},
                 {"LABEL"}}};
    for (const json::value& one : items_at(body, "sessions")) {
      const std::string user = text_at(one, "user");
      shown.add({std::to_string(count_at(one, "ref")), user.empty() ? "-" : user,
                 when(one, "created_at"), when(one, "used_at"), when(one, "expires_at"),
                 text_at(one, "label")});
    }
    if (shown.empty()) {
      with.around.err << "No sessions.\n";
      return;
    }
    shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
    with.around.err << fmt::format("{} in all\n", grouped(count_at(body, "count")));
  });
}

exit_code revoke(context& with) {
  const std::string user = with.in.required("USER");
  std::string target = fmt::format("/v1/users/{}/sessions", client::encode_segment(user));
  for (const auto& [option, name] : {std::pair{"--ref", "ref"}, std::pair{"--except", "except"}}) {
    const auto ref = with.in.integer(option, 1, number_max);
    if (!ref) return report_usage(with, "session revoke", ref.error());
    if (*ref) target += fmt::format("{}{}={}", target.contains('?') ? '&' : '?', name, **ref);
  }
  if (!confirmed(with, fmt::format("End sessions of {}?", printable(user)))) {
    return exit_code::failed;
  }
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "session revoke", server.error());
  const auto answer = (*server)->remove(target);
  if (!answer) return report_refusal(with, "session revoke", answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto body = body_of(*answer);
  if (!body) return report(with, body.error());
  with.around.out << grouped(count_at(*body, "ended")) << " ended\n";
  return exit_code::done;
}

std::vector<option> owner_options(std::string_view user) {
  return {{.name = "--user", .value = "USER", .purpose = user},
          {.name = "--max-per-user",
           .value = "N",
           .purpose = "sessions the user may have; the oldest end (default 1000)"},
          {.name = "--refuse", .purpose = "fail instead of ending the user's oldest"},
          {.name = "--data", .value = "JSON", .purpose = "fields it holds, as an object"}};
}

std::vector<option> begin_options() {
  std::vector<option> all = owner_options("whose it is (default: nobody's yet)");
  all.push_back({.name = "--label", .value = "TEXT", .purpose = "which device it is, for people"});
  all.push_back({.name = "--idle",
                 .value = "TIME",
                 .purpose = "ends after so long without use: 30m, 24h (default 24h)"});
  all.push_back({.name = "--absolute",
                 .value = "TIME",
                 .purpose = "ends so long after it began, whatever its use"});
  return all;
}

std::vector<option> rotate_options() {
  std::vector<option> all = owner_options("whose it is from now (default: as before)");
  all.push_back({.name = "--grace",
                 .value = "TIME",
                 .purpose = "so long the former id still shows what it showed (default 0)"});
  return all;
}

std::vector<command> changing_commands(const argument& id) {
  return {
      {.name = "session begin",
       .purpose = "Begin a session; prints its id.",
       .options = with_reading_options(begin_options()),
       .examples = {"millrace session begin --user 42 --label Firefox --data '{\"cart\":[]}'",
                    "millrace session begin --user 42 --idle 2h --absolute 7d --max-per-user 5"},
       .run = begin,
       .notes = "The id lets in whoever knows it. It is told this once: the store keeps a hash."},
      {.name = "session set",
       .purpose = "Change fields of a session.",
       .arguments = {id, {.name = "DATA", .purpose = "a JSON object; null removes a field"}},
       .options = with_reading_options(
           {{.name = "--replace", .purpose = "it holds these fields and no others"},
            {.name = "--if-version",
             .value = "N",
             .purpose = "only where nobody has changed this version"}}),
       .examples = {"millrace session set $id '{\"cart\":[7],\"hint\":null}'",
                    "millrace session set $id '{\"page\":2}' --if-version 3"},
       .run = set,
       .notes = "Fields that are not named stay as they are."},
      {.name = "session rotate",
       .purpose = "Give a session another id; prints it.",
       .arguments = {id},
       .options = with_reading_options(rotate_options()),
       .examples = {"millrace session rotate $id --user 42 --grace 10s",
                    "millrace session rotate $id --data '{\"role\":\"admin\"}'"},
       .run = rotate,
       .notes = "Do it whenever somebody signs in or gets more rights: an id that others may have\n"
                "learnt before is worth nothing then."},
      {.name = "session end",
       .purpose = "End a session.",
       .arguments = {id},
       .options = with_server_options({}),
       .examples = {"millrace session end $id"},
       .run = end},
  };
}

}  // namespace

std::vector<command> session_commands() {
  const argument id{.name = "ID",
                    .purpose = "as `session begin` printed it; - reads it from the standard input"};
  std::vector<command> all = changing_commands(id);
  all.push_back({.name = "session show",
                 .purpose = "Show a session; that is a use of it.",
                 .arguments = {id},
                 .options = with_reading_options(
                     {{.name = "--peek", .purpose = "only look: its end does not move"}}),
                 .examples = {"millrace session show $id", "echo $id | millrace session show -"},
                 .run = show});
  all.push_back(
      {.name = "session ls",
       .purpose = "List and count sessions, the oldest first.",
       .arguments = {{.name = "USER", .purpose = "only of this user", .required = false}},
       .options = with_listing_options({{.name = "--newest", .purpose = "the newest first"}}),
       .examples = {"millrace session ls", "millrace session ls 42 --newest --limit 1"},
       .run = list,
       .notes = "A ref names a session here; nobody gets in with it."});
  all.push_back(
      {.name = "session revoke",
       .purpose = "End the sessions of a user.",
       .arguments = {{.name = "USER", .purpose = "whose"}},
       .options = with_reading_options(
           {{.name = "--ref", .value = "REF", .purpose = "only the one that `session ls` calls so"},
            {.name = "--except", .value = "REF", .purpose = "all but that one"},
            yes_option()}),
       .examples = {"millrace session revoke 42 --yes",
                    "millrace session revoke 42 --except 1764424800000000"},
       .run = revoke});
  return all;
}

}  // namespace millrace::cli
