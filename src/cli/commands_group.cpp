#include "commands.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "server_call.hpp"
#include "table.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <ostream>
#include <utility>

/// Groups of consumers of a stream.
namespace millrace::cli {
namespace {

constexpr std::string_view consumer_default = "cli";

std::string stream_target(const context& with, std::string_view behind) {
  return fmt::format("/v1/events/{}{}", client::encode_segment(with.in.required("STREAM")), behind);
}

std::string group_target(const context& with) {
  return stream_target(
      with, fmt::format("/groups/{}", client::encode_segment(with.in.required("GROUP"))));
}

result<std::string> group_of(const context& with) {
  const auto group = with.in.text("--group");
  if (group) return *group;
  return invalid("--group", "--group is missing: name the group that reads.");
}

void print_events(const context& with, const json::value& body) {
  const json::value* gap = member(body, "gap");
  if (gap != nullptr && gap->is_object()) {
    with.around.err << fmt::format("millrace: {} events are missing here ({})\n",
                                   count_at(*gap, "missed"), text_at(*gap, "reason"));
  }
  for (const json::value& each : items_at(body, "events")) {
    const json::value* payload = member(each, "payload");
    const auto deliveries = count_at(each, "deliveries");
    with.around.out << fmt::format(
        "{}  {}  {}{}  {}\n", text_at(each, "timestamp"), count_at(each, "offset"),
        printable(text_at(each, "type")),
        deliveries > 1 ? fmt::format(" (delivery {})", deliveries) : std::string(),
        payload == nullptr ? "null" : printable(json_text(*payload)));
  }
  if (items_at(body, "events").empty()) with.around.err << "Nothing to read.\n";
}

result<std::string> settle_body(const context& with, const std::string& group,
                                std::string_view offsets) {
  json_writer body;
  body.text("group", group);
  body.text("consumer", with.in.text_or("--consumer", consumer_default));
  body.raw("offsets", offsets);
  return std::move(body).finish();
}

// Those that were read and shown. Errors: of the server.
result<void> acknowledge(const context& with, server_call& server, const std::string& group,
                         const json::value& read) {
  std::string offsets;
  for (const json::value& each : items_at(read, "events")) {
    offsets += fmt::format("{}{}", offsets.empty() ? "" : ",", count_at(each, "offset"));
  }
  if (offsets.empty()) return {};
  const auto body = settle_body(with, group, '[' + offsets + ']');
  if (!body) return std::unexpected(body.error());
  const auto answer = server.post(stream_target(with, ":ack"), *body);
  if (!answer) return std::unexpected(answer.error());
  return {};
}

exit_code read_events(context& with) {
  constexpr std::string_view name = "events read";
  const auto group = group_of(with);
  if (!group) return report_usage(with, name, group.error());
  const auto most = with.in.integer("--max", 1, 1000);
  if (!most) return report_usage(with, name, most.error());
  const auto wait = with.in.span("--wait");
  if (!wait) return report_usage(with, name, wait.error());
  const auto lease = with.in.span("--lease");
  if (!lease) return report_usage(with, name, lease.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, name, server.error());
  json_writer body;
  body.text("group", *group);
  body.text("consumer", with.in.text_or("--consumer", consumer_default));
  body.integer("max", *most);
  body.seconds("wait", *wait);
  body.seconds("lease", *lease);
  body.text("from", with.in.text("--from"));
  const duration longest = wait->value_or(duration{0});
  const auto answer =
      (*server)->call({.method = client::verb::post,
                       .target = stream_target(with, ":read"),
                       .headers = {},
                       .body = std::move(body).finish(),
                       .timeout = std::chrono::ceil<std::chrono::milliseconds>(longest) +
                                  std::chrono::seconds{30}});
  const exit_code shown = print_answer(with, name, answer, &print_events);
  if (shown != exit_code::done || !with.in.has("--ack")) return shown;
  with.around.out << std::flush;
  const auto read = body_of(*answer);
  if (!read) return report(with, read.error());
  const auto done = acknowledge(with, **server, *group, *read);
  return done ? exit_code::done : report(with, done.error());
}

exit_code settle(context& with, std::string_view name, std::string_view verb) {
  const auto group = group_of(with);
  if (!group) return report_usage(with, name, group.error());
  std::string offsets;
  for (const std::string& each : with.in.texts("OFFSET")) {
    std::uint64_t offset = 0;
    const char* const end = each.data() + each.size();
    const auto [stopped, code] = std::from_chars(each.data(), end, offset);
    if (code != std::errc{} || stopped != end || offset == 0) {
      return report_usage(
          with, name,
          {.kind = errc::invalid_argument,
           .code = "invalid_value",
           .detail = fmt::format("OFFSET must be a number from 1; \"{}\" is not.", each)});
    }
    offsets += fmt::format("{}{}", offsets.empty() ? "" : ",", offset);
  }
  auto server = server_call::open(with);
  if (!server) return report_usage(with, name, server.error());
  const auto body = settle_body(with, *group, '[' + offsets + ']');
  if (!body) return report_usage(with, name, body.error());
  const auto answer = (*server)->post(stream_target(with, verb), *body);
  const auto print = [](const context& to, const json::value& done) {
    to.around.out << fmt::format("{} done, {} pending\n", count_at(done, "settled"),
                                 count_at(done, "pending"));
  };
  const exit_code shown = print_answer(with, name, answer, print);
  if (shown != exit_code::done) return shown;
  const auto done = body_of(*answer);
  if (!done) return report(with, done.error());
  const json::array& lost = items_at(*done, "lost");
  if (lost.empty()) return exit_code::done;
  with.around.err << fmt::format(
      "millrace: {} not pending for {} (any more): settled, or another consumer has them\n",
      lost.size(), printable(with.in.text_or("--consumer", consumer_default)));
  return exit_code::failed;
}

exit_code ack(context& with) { return settle(with, "events ack", ":ack"); }
exit_code give_back(context& with) { return settle(with, "events release", ":release"); }

exit_code list_groups(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "events groups", server.error());
  return print_answer(
      with, "events groups", (*server)->get(stream_target(with, "/groups")),
      [](const context& to, const json::value& body) {
        table shown{{{"GROUP"},
                     {"OFFSET", align::right},
                     {"PENDING", align::right},
                     {"WAITING", align::right}}};
        for (const json::value& each : items_at(body, "groups")) {
          shown.add({text_at(each, "group"), grouped(count_at(each, "offset")),
                     grouped(count_at(each, "pending")), grouped(count_at(each, "waiting"))});
        }
        if (shown.empty()) {
          to.around.err << "No groups: one is made by its first read.\n";
          return;
        }
        shown.print(to.around.out, to.around.out_is_terminal ? to.around.columns : 0);
      });
}

exit_code list_pending(context& with) {
  const auto target = listing_target(with, group_target(with));
  if (!target) return report_usage(with, "events pending", target.error());
  return show_answer(with, "events pending", *target, [&with](const json::value& body) {
    const timestamp now = with.around.clock.now();
    table shown{{{"OFFSET", align::right},
                 {"CONSUMER"},
                 {"DELIVERIES", align::right},
                 {"LEASE ENDS", align::right}}};
    for (const json::value& each : items_at(body, "pending")) {
      const auto end = time_at(each, "lease_ends_at");
      shown.add({std::to_string(count_at(each, "offset")), text_at(each, "consumer"),
                 std::to_string(count_at(each, "deliveries")),
                 end ? relative_time(*end, now) : std::string("-")});
    }
    if (shown.empty()) {
      with.around.err << "Nothing is pending.\n";
      return;
    }
    shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
  });
}

exit_code set_group(context& with) {
  json_writer body;
  body.text("from", with.in.text("--from"));
  if (with.in.has("--move")) body.flag("move", true);
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "events group-set", server.error());
  return print_answer(with, "events group-set",
                      (*server)->put(group_target(with), std::move(body).finish()),
                      [](const context& to, const json::value& group) {
                        to.around.out << fmt::format(
                            "behind {}, {} pending, {} waiting\n", count_at(group, "offset"),
                            count_at(group, "pending"), count_at(group, "waiting"));
                      });
}

exit_code remove_group(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "events group-rm", server.error());
  const auto answer = (*server)->remove(group_target(with));
  return answer ? exit_code::done : report(with, answer.error());
}

std::vector<option> who_reads(std::vector<option> more) {
  more.insert(more.begin(),
              {{.name = "--group", .value = "GROUP", .purpose = "the group that reads"},
               {.name = "--consumer",
                .value = "NAME",
                .purpose = "who reads; who acknowledges says the same (default cli)"}});
  return with_reading_options(std::move(more));
}

option from_option(std::string_view purpose) {
  return {.name = "--from", .value = "PLACE", .purpose = purpose};
}

std::vector<command> reading_commands(const argument& stream) {
  const argument offset{.name = "OFFSET", .purpose = "of the events", .repeated = true};
  return {
      {.name = "events read",
       .purpose = "Read events for a group of consumers.",
       .arguments = {stream},
       .options = who_reads(
           {{.name = "--max", .value = "N", .purpose = "events at once, 1 to 1000 (default 10)"},
            {.name = "--wait",
             .value = "TIME",
             .purpose = "how long to wait for the first (default: not at all)"},
            {.name = "--lease",
             .value = "TIME",
             .purpose = "so long they are nobody else's (default 30s)"},
            from_option("where a new group begins: earliest, latest, a time or a cursor"),
            {.name = "--ack", .purpose = "acknowledge them once they are printed"}}),
       .examples = {"millrace events read flow-17 --group mailers --consumer worker-1 --wait 20s",
                    "millrace events read flow-17 --group audit --max 100 --ack --json"},
       .run = read_events,
       .notes =
           "Each event goes to one consumer of the group. What is not acknowledged before its\n"
           "lease ends goes to the next who reads, with its deliveries counted."},
      {.name = "events ack",
       .purpose = "Acknowledge events that a group has read.",
       .arguments = {stream, offset},
       .options = who_reads({}),
       .examples = {"millrace events ack flow-17 3 4 --group mailers --consumer worker-1"},
       .run = ack,
       .notes = "Exit code 1 where one of them is not pending for this consumer (any more)."},
      {.name = "events release",
       .purpose = "Give events back that a group has read.",
       .arguments = {stream, offset},
       .options = who_reads({}),
       .examples = {"millrace events release flow-17 3 --group mailers --consumer worker-1"},
       .run = give_back},
  };
}

}  // namespace

std::vector<command> group_commands() {
  const argument stream{.name = "STREAM", .purpose = "its name"};
  const argument group{.name = "GROUP", .purpose = "the name of the group"};
  std::vector<command> all = reading_commands(stream);
  all.push_back({.name = "events groups",
                 .purpose = "List the groups of a stream.",
                 .arguments = {stream},
                 .options = with_reading_options({}),
                 .examples = {"millrace events groups flow-17"},
                 .run = list_groups});
  all.push_back({.name = "events pending",
                 .purpose = "List what a group has read and not acknowledged.",
                 .arguments = {stream, group},
                 .options = with_listing_options({}),
                 .examples = {"millrace events pending flow-17 mailers"},
                 .run = list_pending});
  all.push_back({.name = "events group-set",
                 .purpose = "Make a group, or move it.",
                 .arguments = {stream, group},
                 .options = with_reading_options(
                     {from_option("where it begins: earliest, latest, a time or a cursor"),
                      {.name = "--move",
                       .purpose = "move it there if it exists; what was pending is nobody's"}}),
                 .examples = {"millrace events group-set flow-17 mailers --from latest",
                              "millrace events group-set flow-17 mailers --from earliest --move"},
                 .run = set_group});
  all.push_back({.name = "events group-rm",
                 .purpose = "Delete a group, with its place and what is pending.",
                 .arguments = {stream, group},
                 .options = with_server_options({}),
                 .examples = {"millrace events group-rm flow-17 mailers"},
                 .run = remove_group});
  return all;
}

}  // namespace millrace::cli
