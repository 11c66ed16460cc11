#include "commands.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "people.hpp"
#include "run_to_end.hpp"
#include "server_call.hpp"
#include "stream_follow.hpp"
#include "terminal.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <istream>
#include <iterator>
#include <limits>
#include <ostream>
#include <ranges>
#include <utility>

namespace millrace::cli {
namespace {

std::string stream_target(const context& with, std::string_view behind = {}) {
  return fmt::format("/v1/events/{}{}", client::encode_segment(with.in.required("STREAM")), behind);
}

result<std::string> publish_body(const context& with) {
  std::string payload = with.in.text_or("JSON", "null");
  if (payload == "-") {
    payload.assign(std::istreambuf_iterator<char>(with.around.in), {});
  }
  if (auto sound = check_json(payload); !sound) {
    return invalid("JSON", fmt::format("JSON is none: {}", sound.error().detail));
  }
  json_writer body;
  body.text("type", with.in.required("TYPE"));
  body.text("source", with.in.text("--source"));
  body.text("correlation_id", with.in.text("--correlation-id"));
  body.text("id", with.in.text("--id"));
  body.raw("payload", payload);
  return std::move(body).finish();
}

exit_code publish(context& with) {
  auto body = publish_body(with);
  if (!body) return report_usage(with, "events publish", body.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "events publish", server.error());
  const auto answer = (*server)->post(stream_target(with), std::move(*body));
  if (!answer) return report_refusal(with, "events publish", answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto made = body_of(*answer);
  if (!made) return report(with, made.error());
  with.around.out << text_at(*made, "cursor") << '\n';
  if (flag_at(*made, "duplicate")) {
    with.around.err << "millrace: the stream has an event of this id already; none was added\n";
  }
  return exit_code::done;
}

void print_event(const context& with, const json::value& event) {
  if (with.in.has("--json")) {
    with.around.out << json_text(event) << '\n' << std::flush;
    return;
  }
  const json::value* payload = member(event, "payload");
  const std::string source = text_at(event, "source");
  with.around.out << paint(with.around, tint::dim, text_at(event, "timestamp")) << "  "
                  << count_at(event, "offset") << "  " << printable(text_at(event, "type"))
                  << (source.empty() ? "" : fmt::format(" ({})", printable(source))) << "  "
                  << (payload == nullptr ? "null" : printable(json_text(*payload))) << '\n'
                  << std::flush;
}

void print_gap(const context& with, const json::value& gap) {
  with.around.err << fmt::format("millrace: events are missing here ({})\n", text_at(gap, "reason"))
                  << std::flush;
}

// The newest events, oldest of them first. Gives the place behind them.
result<std::string> print_history(const context& with, server_call& server, std::int64_t lines,
                                  std::int64_t& left) {
  // Where a stream has nothing, it is followed from before its beginning.
  std::string cursor = "0.0.0";
  if (lines == 0) return cursor;
  const auto answer = server.get(stream_target(with, fmt::format("?limit={}", lines)));
  if (!answer) return std::unexpected(answer.error());
  const auto page = body_of(*answer);
  if (!page) return std::unexpected(page.error());
  const json::array& events = items_at(*page, "events");
  if (!events.empty()) cursor = text_at(events.front(), "cursor");
  for (const json::value& each : std::views::reverse(events)) {
    if (left-- <= 0) break;
    print_event(with, each);
  }
  return cursor;
}

exit_code tail(context& with) {
  const auto lines = with.in.integer("--lines", 0, 1000);
  if (!lines) return report_usage(with, "events tail", lines.error());
  constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();
  const auto count = with.in.integer("--count", 1, for_ever);
  if (!count) return report_usage(with, "events tail", count.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "events tail", server.error());

  if (with.in.has("--from") && with.in.has("--no-follow")) {
    return report_usage(with, "events tail",
                        {.kind = errc::invalid_argument,
                         .code = "invalid_value",
                         .detail = "--from and --no-follow do not go together: use --lines"});
  }
  std::int64_t left = count->value_or(for_ever);
  std::string target = stream_target(with, "/live");
  std::string last_id;
  if (const auto from = with.in.text("--from")) {
    target += "?from=" + client::encode_segment(*from);
  } else {
    auto cursor = print_history(with, **server, lines->value_or(10), left);
    if (!cursor) return report(with, cursor.error());
    if (lines->value_or(10) > 0) last_id = std::move(*cursor);
    if (with.in.has("--no-follow")) return exit_code::done;
  }
  if (left <= 0) return exit_code::done;
  const auto take = [&](const client::event& told) {
    const auto parsed = parse_json(told.data);
    if (!parsed) return true;
    if (told.type == "gap") {
      print_gap(with, *parsed);
      return true;
    }
    print_event(with, *parsed);
    return --left > 0;
  };
  const auto failed = run_to_end((*server)->io(),
                                 follow_stream((*server)->api(), std::move(target), last_id, take));
  return failed ? report(with, *failed) : exit_code::done;
}

std::vector<option> publish_options() {
  return {
      {.name = "--source", .value = "NAME", .purpose = "who says it"},
      {.name = "--correlation-id", .value = "ID", .purpose = "what it belongs to"},
      {.name = "--id", .value = "ID", .purpose = "your own: the same one within 24h adds nothing"}};
}

std::vector<option> tail_options() {
  return {{.name = "--lines",
           .value = "N",
           .purpose = "begin with the newest N events, 0 to 1000 (default 10)"},
          {.name = "--from",
           .value = "PLACE",
           .purpose = "begin there instead: earliest, latest, a time or a cursor"},
          {.name = "--count", .value = "N", .purpose = "end after N events (default: never)"},
          {.name = "--no-follow", .purpose = "show what there is, and end"}};
}

}  // namespace

std::vector<command> event_commands() {
  const argument stream{.name = "STREAM", .purpose = "its name; made by its first event"};
  return {
      {.name = "events publish",
       .purpose = "Append an event to a stream; prints its cursor.",
       .arguments = {stream,
                     {.name = "TYPE", .purpose = "what kind of event"},
                     {.name = "JSON",
                      .purpose = "the payload; - reads it from the standard input (default: null)",
                      .required = false}},
       .options = with_reading_options(publish_options()),
       .examples = {"millrace events publish flow-17 page.done '{\"page\":3}' --source ocr",
                    "millrace events publish flow-17 done --id flow-17-done"},
       .run = publish},
      {.name = "events tail",
       .purpose = "Show the newest events of a stream, then follow it.",
       .arguments = {stream},
       .options = with_reading_options(tail_options()),
       .examples = {"millrace events tail flow-17",
                    "millrace events tail flow-17 --from earliest --json | jq .payload",
                    "millrace events tail flow-17 --lines 100 --no-follow"},
       .run = tail,
       .notes = "It goes on over restarts of the server and misses nothing; where history is gone\n"
                "it says so on the standard error."},
  };
}

}  // namespace millrace::cli
