#include "commands.hpp"
#include "job_request.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "server_call.hpp"
#include "table.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <ostream>
#include <utility>

namespace millrace::cli {
namespace {

std::string cron_target(const context& with) {
  return fmt::format("/v1/cron/{}", client::encode_segment(with.in.required("NAME")));
}

std::string when(const context& with, const json::value& entry, std::string_view name) {
  const auto at = time_at(entry, name);
  return at ? relative_time(*at, with.around.clock.now()) : std::string{"-"};
}

void print_entries(const context& with, const json::value& body) {
  table shown{{{"NAME"},
               {"SCHEDULE"},
               {"ZONE"},
               {"QUEUE"},
               {"NEXT", align::right},
               {"LAST", align::right},
               {"FIRED", align::right},
               {"SKIPPED", align::right},
               {"STATE"}}};
  for (const json::value& one : items_at(body, "crons")) {
    shown.add({text_at(one, "name"), text_at(one, "schedule"), text_at(one, "time_zone"),
               text_at(one, "queue"), when(with, one, "next_at"), when(with, one, "last_fired_at"),
               grouped(count_at(one, "fired")), grouped(count_at(one, "skipped")),
               flag_at(one, "paused") ? "paused" : "on"});
  }
  if (shown.empty()) {
    with.around.err << "No recurring job yet: `millrace cron add --help` says how to make one.\n";
    return;
  }
  shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
}

void print_entry(const context& with, const json::value& entry) {
  const auto print = [&with](std::string_view name, std::string_view text) {
    if (!text.empty()) with.around.out << fmt::format("{:<12} {}\n", name, printable(text));
  };
  const auto time = [&](std::string_view name) {
    if (member(entry, name) == nullptr) return std::string{};
    return fmt::format("{} ({})", text_at(entry, name), when(with, entry, name));
  };
  print("name", text_at(entry, "name"));
  print("schedule",
        fmt::format("{} ({})", text_at(entry, "schedule"), text_at(entry, "time_zone")));
  print("queue", text_at(entry, "queue"));
  print("state", flag_at(entry, "paused") ? "paused" : "on");
  print("next", time("next_at"));
  print("last", time("last_fired_at"));
  print("last job", text_at(entry, "last_job"));
  print("fired", grouped(count_at(entry, "fired")));
  print("skipped", grouped(count_at(entry, "skipped")));
  print("catch up", text_at(entry, "catch_up"));
  print("overlap", text_at(entry, "overlap"));
  if (const json::value* job = member(entry, "job")) print("job", json_text(*job));
}

exit_code list(context& with) {
  const auto target = listing_target(with, "/v1/cron");
  if (!target) return report_usage(with, "cron ls", target.error());
  return show_answer(with, "cron ls", *target,
                     [&with](const json::value& body) { print_entries(with, body); });
}

exit_code show(context& with) {
  return show_answer(with, "cron show", cron_target(with),
                     [&with](const json::value& body) { print_entry(with, body); });
}

exit_code add(context& with) {
  const auto job = job_body(with, "JSON");
  if (!job) return report_usage(with, "cron add", job.error());
  json_writer body;
  body.text("queue", with.in.required("QUEUE"));
  body.text("schedule", with.in.required("SCHEDULE"));
  body.text("time_zone", with.in.text("--time-zone"));
  body.text("catch_up", with.in.text("--catch-up"));
  body.text("overlap", with.in.text("--overlap"));
  if (with.in.has("--paused")) body.flag("paused", true);
  body.raw("job", *job);
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "cron add", server.error());
  const auto answer = (*server)->put(cron_target(with), std::move(body).finish());
  if (!answer) return report_refusal(with, "cron add", answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto entry = body_of(*answer);
  if (!entry) return report(with, entry.error());
  print_entry(with, *entry);
  return exit_code::done;
}

exit_code post_verb(context& with, std::string_view verb, std::string_view done) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, fmt::format("cron {}", verb), server.error());
  const auto answer = (*server)->post(fmt::format("{}:{}", cron_target(with), verb));
  if (!answer) return report(with, answer.error());
  const auto entry = body_of(*answer);
  if (!entry) return report(with, entry.error());
  std::string line = fmt::format("{} {}", printable(with.in.required("NAME")), done);
  if (member(*entry, "next_at") != nullptr) line += ", next " + when(with, *entry, "next_at");
  with.around.out << line << '\n';
  return exit_code::done;
}

exit_code pause(context& with) { return post_verb(with, "pause", "is paused"); }
exit_code resume(context& with) { return post_verb(with, "resume", "is on"); }

exit_code remove(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "cron rm", server.error());
  const auto answer = (*server)->remove(cron_target(with));
  return answer ? exit_code::done : report(with, answer.error());
}

std::vector<option> add_options() {
  std::vector<option> options{
      {.name = "--time-zone",
       .value = "ZONE",
       .purpose = "whose clock the schedule means: Europe/Rome (default UTC)"},
      {.name = "--catch-up",
       .value = "POLICY",
       .purpose =
           "times missed while no server ran: one job for all of them (default), none, or all",
       .choices = "one none all"},
      {.name = "--overlap",
       .value = "POLICY",
       .purpose =
           "the last job has not ended: allow (default), skip this time, or replace one that "
           "waits",
       .choices = "allow skip replace"},
      {.name = "--paused", .purpose = "make it, but do not fire it"}};
  for (const option& one : job_options()) {
    // Recurring jobs take it from their queue.
    if (one.name != "--durability") options.push_back(one);
  }
  for (const option& one : enqueue_options()) {
    // When they run, the schedule says.
    if (one.name != "--at") options.push_back(one);
  }
  return with_reading_options(std::move(options));
}

const argument name_argument{.name = "NAME", .purpose = "its name"};

}  // namespace

std::vector<command> cron_commands() {
  return {
      {.name = "cron ls",
       .purpose = "List the recurring jobs.",
       .options = with_listing_options({}),
       .examples = {"millrace cron ls"},
       .run = list},
      {.name = "cron show",
       .purpose = "Show one recurring job.",
       .arguments = {name_argument},
       .options = with_reading_options({}),
       .examples = {"millrace cron show nightly"},
       .run = show},
      {.name = "cron add",
       .purpose = "Make or replace a recurring job.",
       .arguments = {name_argument,
                     {.name = "SCHEDULE",
                      .purpose = "minute hour day month weekday (a second in front is allowed), or "
                                 "@hourly, @daily, @every 90s"},
                     {.name = "QUEUE", .purpose = "where its jobs go", .kind = value_kind::queue},
                     {.name = "JSON",
                      .purpose = "the data of its jobs; - reads it from the standard input "
                                 "(default: null)",
                      .required = false}},
       .options = add_options(),
       .examples =
           {"millrace cron add nightly '0 3 * * *' report --time-zone Europe/Rome",
            "millrace cron add pulse '@every 90s' health '{\"deep\":false}' --overlap skip"},
       .run = add},
      {.name = "cron pause",
       .purpose = "Do not fire a recurring job until it is resumed.",
       .arguments = {name_argument},
       .options = with_server_options({}),
       .examples = {"millrace cron pause nightly"},
       .run = pause},
      {.name = "cron resume",
       .purpose = "Fire a paused recurring job again, from its next time on.",
       .arguments = {name_argument},
       .options = with_server_options({}),
       .examples = {"millrace cron resume nightly"},
       .run = resume},
      {.name = "cron rm",
       .purpose = "Remove a recurring job; jobs it has made stay.",
       .arguments = {name_argument},
       .options = with_server_options({}),
       .examples = {"millrace cron rm nightly"},
       .run = remove},
  };
}

}  // namespace millrace::cli
