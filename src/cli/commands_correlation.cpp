#include "commands.hpp"
#include "json_view.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "server_call.hpp"
#include "table.hpp"

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <ostream>
#include <string>
#include <utility>

namespace millrace::cli {
namespace {

std::string when(const context& with, const json::value& of, std::string_view name) {
  const auto at = time_at(of, name);
  return at ? relative_time(*at, with.around.clock.now()) : "-";
}

void print_progress(const context& with, const json::value& entry) {
  const std::string message = printable(text_at(entry, "message"));
  with.around.out << fmt::format("Progress: {}, step {} of {}, {}{}\n", text_at(entry, "status"),
                                 count_at(entry, "current_step"), count_at(entry, "total_steps"),
                                 when(with, entry, "updated_at"),
                                 message.empty() ? "" : ": " + message);
}

void print_jobs(const context& with, const json::array& jobs) {
  table rows({{.title = "JOB"},
              {.title = "QUEUE"},
              {.title = "TYPE"},
              {.title = "STATUS"},
              {.title = "ATTEMPTS", .to = align::right},
              {.title = "MADE"}});
  for (const json::value& job : jobs) {
    rows.add({text_at(job, "id"), text_at(job, "queue"), text_at(job, "type"),
              text_at(job, "status"),
              fmt::format("{}/{}", count_at(job, "attempts"), count_at(job, "max_attempts")),
              when(with, job, "created_at")});
  }
  rows.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
}

void print_events(const context& with, const json::array& events) {
  table rows({{.title = "STREAM"},
              {.title = "EVENT"},
              {.title = "OFFSET", .to = align::right},
              {.title = "SOURCE"},
              {.title = "PUBLISHED"}});
  for (const json::value& event : events) {
    rows.add({text_at(event, "stream"), text_at(event, "type"),
              std::to_string(count_at(event, "offset")), text_at(event, "source"),
              when(with, event, "timestamp")});
  }
  rows.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
}

void print_correlated(const context& with, const json::value& body) {
  const json::value* progress = member(body, "progress");
  const bool has_progress = progress != nullptr && progress->is_object();
  const json::array& jobs = items_at(body, "jobs");
  const json::array& events = items_at(body, "events");
  if (!has_progress && jobs.empty() && events.empty()) {
    with.around.err << "Nothing that is kept carries it.\n";
  }
  if (has_progress) print_progress(with, *progress);
  if (!jobs.empty()) print_jobs(with, jobs);
  if (!events.empty()) print_events(with, events);
  const json::value* complete = member(body, "complete");
  if (complete != nullptr && complete->is_bool() && !complete->get_bool()) {
    with.around.err
        << "The store remembers the latest alone: older jobs and events may be missing.\n";
  }
}

exit_code show(context& with) {
  const auto target =
      listing_target(with, "/v1/correlations/" + client::encode_segment(with.in.required("ID")));
  if (!target) return report_usage(with, "correlation", target.error());
  return show_answer(with, "correlation", *target,
                     [&with](const json::value& body) { print_correlated(with, body); });
}

}  // namespace

std::vector<command> correlation_commands() {
  return {
      {.name = "correlation",
       .purpose = "Show everything of a correlation id: progress, jobs and events.",
       .arguments = {{.name = "ID", .purpose = "a correlation id, or a job's own id"}},
       .options = with_listing_options({}),
       .examples = {"millrace correlation import-17", "millrace correlation import-17 --json"},
       .run = show,
       .notes =
           "Jobs of all queues, live and ended, and events of all streams, as long as they are\n"
           "kept, the newest first."},
  };
}

}  // namespace millrace::cli
