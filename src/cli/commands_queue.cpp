#include "commands.hpp"
#include "confirm.hpp"
#include "json_view.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "queue_set.hpp"
#include "server_call.hpp"
#include "table.hpp"
#include "terminal.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <ostream>
#include <utility>

namespace millrace::cli {
namespace {

std::string queue_target(const context& with) {
  return fmt::format("/v1/queues/{}", client::encode_segment(with.in.required("QUEUE")));
}

std::string state_text(const json::value& queue) {
  if (flag_at(queue, "paused")) return "paused";
  return flag_at(queue, "draining") ? "draining" : "open";
}

std::string age_text(const json::value& queue) {
  const auto seconds = number_at(queue, "oldest_age");
  if (!seconds) return "-";
  return readable_span(duration{static_cast<std::int64_t>(*seconds * 1e6)});
}

void print_queues(const context& with, const json::value& body) {
  if (with.in.has("--names")) {
    for (const json::value& one : items_at(body, "queues")) {
      with.around.out << printable(text_at(one, "queue")) << '\n';
    }
    return;
  }
  table shown{{{"QUEUE"},
               {"WAITING", align::right},
               {"SCHEDULED", align::right},
               {"RUNNING", align::right},
               {"RETRYING", align::right},
               {"DEAD", align::right},
               {"OLDEST", align::right},
               {"STATE"}}};
  for (const json::value& one : items_at(body, "queues")) {
    shown.add({text_at(one, "queue"), grouped(count_at(one, "waiting")),
               grouped(count_at(one, "scheduled")), grouped(count_at(one, "running")),
               grouped(count_at(one, "retrying")), grouped(count_at(one, "dead")), age_text(one),
               state_text(one)});
  }
  if (shown.empty()) {
    with.around.err << "No queue yet: the first `millrace enqueue NAME` makes one.\n";
    return;
  }
  shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
}

exit_code list(context& with) {
  const auto target = listing_target(with, "/v1/queues");
  if (!target) return report_usage(with, "queue ls", target.error());
  return show_answer(with, "queue ls", *target,
                     [&with](const json::value& body) { print_queues(with, body); });
}

/// The last hour in one line.
std::string last_hour(const json::value& queue) {
  std::uint64_t enqueued = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  for (const json::value& minute : items_at(queue, "minutes")) {
    enqueued += count_at(minute, "enqueued");
    completed += count_at(minute, "completed");
    failed += count_at(minute, "failed");
  }
  return fmt::format("{} enqueued, {} completed, {} failed", grouped(enqueued), grouped(completed),
                     grouped(failed));
}

void print_queue(const context& with, const json::value& queue) {
  const auto print = [&with](std::string_view name, std::string_view text) {
    with.around.out << fmt::format("{:<20} {}\n", name, text);
  };
  print("queue", printable(text_at(queue, "queue")));
  print("state", state_text(queue));
  for (const std::string_view name :
       {"waiting", "scheduled", "running", "retrying", "dead", "completed", "cancelled"}) {
    print(name, grouped(count_at(queue, name)));
  }
  print("oldest waits", age_text(queue));
  print("last hour", last_hour(queue));
  print_settings(with, queue);
}

exit_code show(context& with) {
  return show_answer(with, "queue show", queue_target(with),
                     [&with](const json::value& body) { print_queue(with, body); });
}

void print_jobs(const context& with, const json::value& body) {
  const timestamp now = with.around.clock.now();
  table shown{{{"ID"},
               {"TYPE"},
               {"STATUS"},
               {"ATTEMPT", align::right},
               {"CREATED", align::right},
               {"DUE", align::right},
               {"ERROR"}}};
  const auto when = [now](const json::value& job, std::string_view name) {
    const auto at = time_at(job, name);
    return at ? relative_time(*at, now) : std::string{"-"};
  };
  for (const json::value& one : items_at(body, "jobs")) {
    shown.add({text_at(one, "id"), text_at(one, "type"), text_at(one, "status"),
               fmt::format("{}/{}", count_at(one, "attempts"), count_at(one, "max_attempts")),
               when(one, "created_at"), when(one, "run_at"), text_at(one, "error")});
  }
  if (shown.empty()) {
    with.around.err << "No such job.\n";
    return;
  }
  shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
}

exit_code list_jobs(context& with) {
  auto query = filter_query(with);
  if (!query) return report_usage(with, "queue jobs", query.error());
  if (const auto status = with.in.text("--status")) query->push_back("status=" + *status);
  const auto target = listing_target(with, queue_target(with) + "/jobs", std::move(*query));
  if (!target) return report_usage(with, "queue jobs", target.error());
  return show_answer(with, "queue jobs", *target,
                     [&with](const json::value& body) { print_jobs(with, body); });
}

exit_code post_verb(context& with, std::string_view verb, std::string_view done) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, fmt::format("queue {}", verb), server.error());
  const auto answer = (*server)->post(fmt::format("{}:{}", queue_target(with), verb));
  if (!answer) return report(with, answer.error());
  with.around.out << fmt::format("{} {}\n", printable(with.in.required("QUEUE")), done);
  return exit_code::done;
}

exit_code pause(context& with) { return post_verb(with, "pause", "is paused"); }
exit_code resume(context& with) { return post_verb(with, "resume", "is open"); }
exit_code drain(context& with) {
  return post_verb(with, "drain", "takes no more jobs and works off those it has");
}

exit_code purge(context& with) {
  const std::string what = with.in.text_or("--what", "waiting");
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "queue purge", server.error());
  const std::string question =
      fmt::format("Delete the {} jobs of {}?", what, printable(with.in.required("QUEUE")));
  if (!confirmed(with, question)) return exit_code::failed;
  const auto answer =
      (*server)->post(queue_target(with) + ":purge", fmt::format(R"({{"what":"{}"}})", what));
  if (!answer) return report(with, answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto body = body_of(*answer);
  if (!body) return report(with, body.error());
  with.around.out << fmt::format("{} deleted\n", grouped(count_at(*body, "purged")));
  return exit_code::done;
}

std::vector<option> jobs_options() {
  std::vector<option> options{
      {.name = "--status",
       .value = "STATUS",
       .purpose = "only those that are queued (or pending), scheduled, running, retrying, "
                  "completed, dead (or failed), or cancelled",
       .choices = "queued pending scheduled running retrying completed dead failed cancelled"}};
  for (const option& one : job_filter_options()) options.push_back(one);
  return options;
}

const argument queue_argument{.name = "QUEUE", .purpose = "its name", .kind = value_kind::queue};

}  // namespace

std::vector<command> queue_commands() {
  return {
      {.name = "queue ls",
       .purpose = "List the queues and how full they are.",
       .options = with_listing_options({{.name = "--names", .purpose = "the names alone"}}),
       .examples = {"millrace queue ls", "millrace queue ls --json | jq '.queues[].waiting'"},
       .run = list},
      {.name = "queue show",
       .purpose = "Show one queue: its jobs by status, its last hour, its settings.",
       .arguments = {queue_argument},
       .options = with_reading_options({}),
       .examples = {"millrace queue show mail"},
       .run = show},
      {.name = "queue jobs",
       .purpose = "List the jobs of a queue, the newest first.",
       .arguments = {queue_argument},
       .options = with_listing_options(jobs_options()),
       .examples = {"millrace queue jobs mail --status retrying",
                    "millrace queue jobs mail --label team=ops --limit 10"},
       .run = list_jobs},
      {.name = "queue set",
       .purpose = "Change the settings of a queue; what is not named stays as it is.",
       .arguments = {queue_argument},
       .options = with_reading_options(queue_set_options()),
       .examples = {"millrace queue set mail --rate 100/m --concurrency 8",
                    "millrace queue set report --max-attempts 10 --backoff fixed --backoff-base 5m",
                    "millrace queue set mail --rate default"},
       .run = set_queue,
       .notes = "The value `default` takes a setting back."},
      {.name = "queue pause",
       .purpose = "Hand out no more jobs of a queue; new ones are still taken.",
       .arguments = {queue_argument},
       .options = with_server_options({}),
       .examples = {"millrace queue pause mail"},
       .run = pause},
      {.name = "queue resume",
       .purpose = "Undo `pause` and `drain`.",
       .arguments = {queue_argument},
       .options = with_server_options({}),
       .examples = {"millrace queue resume mail"},
       .run = resume},
      {.name = "queue drain",
       .purpose = "Take no more jobs into a queue; those it has are worked off.",
       .arguments = {queue_argument},
       .options = with_server_options({}),
       .examples = {"millrace queue drain mail"},
       .run = drain},
      {.name = "queue purge",
       .purpose = "Delete the jobs of a queue that wait; those that run are left alone.",
       .arguments = {queue_argument},
       .options = with_reading_options({{.name = "--what",
                                         .value = "WHICH",
                                         .purpose = "waiting (default), finished or dead",
                                         .choices = "waiting finished dead"},
                                        yes_option()}),
       .examples = {"millrace queue purge mail", "millrace queue purge mail --what finished --yes"},
       .run = purge},
  };
}

}  // namespace millrace::cli
