#include "commands.hpp"
#include "confirm.hpp"
#include "job_view.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "server_call.hpp"
#include "table.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <ostream>
#include <utility>

namespace millrace::cli {
namespace {

const argument queue_argument{.name = "QUEUE", .purpose = "its name", .kind = value_kind::queue};

std::string dead_target(const context& with) {
  return fmt::format("/admin/dlq/{}", client::encode_segment(with.in.required("QUEUE")));
}

std::string age_of(const context& with, const json::value& item, std::string_view name) {
  const auto at = time_at(item, name);
  return at ? relative_time(*at, with.around.clock.now()) : std::string{"-"};
}

std::size_t columns_max(const context& with) {
  return with.around.out_is_terminal ? with.around.columns : 0;
}

void print_dead(const context& with, const json::value& body) {
  table shown{{{"#", align::right},
               {"ID"},
               {"TYPE"},
               {"ATTEMPTS", align::right},
               {"FAILED", align::right},
               {"ERROR"}}};
  for (const json::value& one : items_at(body, "items")) {
    const bool placed = member(one, "index") != nullptr;
    shown.add({placed ? fmt::format("{}", count_at(one, "index")) : "-", text_at(one, "id"),
               text_at(one, "type"), fmt::format("{}", count_at(one, "attempts")),
               age_of(with, one, "failed_at"), text_at(one, "error")});
  }
  if (shown.empty()) {
    with.around.err << "No dead letters.\n";
    return;
  }
  shown.print(with.around.out, columns_max(with));
}

void print_stats(const context& with, const json::value& body) {
  table shown{{{"QUEUE"},
               {"DEAD", align::right},
               {"OLDEST", align::right},
               {"RETRYING", align::right},
               {"FAILURES", align::right},
               {"RETRIES", align::right},
               {"MOST FREQUENT ERROR"}}};
  for (const json::value& one : items_at(body, "queues")) {
    const json::array& errors = items_at(one, "top_errors");
    const std::string top = errors.empty()
                                ? std::string{}
                                : fmt::format("{}× {}", count_at(errors.front(), "count"),
                                              text_at(errors.front(), "sample"));
    shown.add({text_at(one, "queue"), grouped(count_at(one, "count")), age_of(with, one, "oldest"),
               grouped(count_at(one, "retrying")),
               fmt::format("{:.0f} %", number_at(one, "failure_rate").value_or(0) * 100),
               fmt::format("{:.1f}", number_at(one, "average_retries").value_or(0)), top});
  }
  if (shown.empty()) {
    with.around.err << "No queue has dead letters, retries or failures.\n";
    return;
  }
  shown.print(with.around.out, columns_max(with));
}

exit_code show_stats(context& with) {
  return show_answer(with, "dlq stats", "/admin/dlq/stats",
                     [&with](const json::value& body) { print_stats(with, body); });
}

exit_code list(context& with) {
  auto query = filter_query(with);
  if (!query) return report_usage(with, "dlq ls", query.error());
  if (!with.in.has("QUEUE")) {
    if (query->empty()) return show_stats(with);
    return report_usage(
        with, "dlq ls",
        invalid("QUEUE", "is missing: a filter goes with the queue whose letters it picks")
            .error());
  }
  const auto target = listing_target(with, dead_target(with), std::move(*query));
  if (!target) return report_usage(with, "dlq ls", target.error());
  return show_answer(with, "dlq ls", *target,
                     [&with](const json::value& body) { print_dead(with, body); });
}

bool is_index(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

error no_dead_letter(const context& with, std::string_view which) {
  return {.kind = errc::not_found,
          .code = "dead_letter_not_found",
          .detail = fmt::format("{} has no dead letter {}", with.in.required("QUEUE"), which)};
}

/// The id of the dead letter at a place: a listing is the only way there.
result<std::string> id_at(const context& with, server_call& server, const std::string& index) {
  std::string cursor;
  do {
    std::string target = dead_target(with) + "?limit=1000";
    if (!cursor.empty()) target += "&cursor=" + client::encode_segment(cursor);
    const auto answer = server.get(target);
    if (!answer) return std::unexpected(answer.error());
    const auto body = body_of(*answer);
    if (!body) return std::unexpected(body.error());
    for (const json::value& one : items_at(*body, "items")) {
      if (fmt::format("{}", count_at(one, "index")) == index) return text_at(one, "id");
    }
    cursor = text_at(*body, "cursor");
  } while (!cursor.empty());
  return std::unexpected(no_dead_letter(with, index));
}

exit_code show(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "dlq show", server.error());
  std::string id = with.in.required("WHICH");
  if (is_index(id)) {
    auto found = id_at(with, **server, id);
    if (!found) return report(with, found.error());
    id = std::move(*found);
  }
  const auto answer = (*server)->get(fmt::format("/v1/jobs/{}", client::encode_segment(id)));
  if (!answer) return report(with, answer.error());
  const auto job = body_of(*answer);
  if (!job) return report(with, job.error());
  const bool belongs =
      text_at(*job, "status") == "dead" && text_at(*job, "queue") == with.in.required("QUEUE");
  if (!belongs) return report(with, no_dead_letter(with, id));
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
  } else {
    print_job(with, *job);
  }
  return exit_code::done;
}

/// Which dead letters to requeue, as the server reads it.
result<std::string> selection(const context& with) {
  json_writer filter;
  filter.text("type", with.in.text("--type"));
  filter.text("fingerprint", with.in.text("--error"));
  if (with.in.has("--label")) {
    json_writer labels;
    for (const std::string& one : with.in.texts("--label")) {
      const auto label = parse_label(one);
      if (!label) return std::unexpected(label.error());
      labels.text(label->first, label->second);
    }
    filter.raw("labels", std::move(labels).finish());
  }
  const auto ids = with.in.texts("WHICH");
  if (std::ranges::any_of(ids, is_index)) {
    return invalid("WHICH", "an index moves when others are requeued: name several by their ids");
  }
  const int ways =
      (ids.empty() ? 0 : 1) + (filter.empty() ? 0 : 1) + (with.in.has("--all") ? 1 : 0);
  if (ways != 1) {
    return invalid("",
                   "say which: ids or an index, or a filter (--type, --label, --error), or --all");
  }
  json_writer body;
  if (with.in.has("--all")) body.flag("all", true);
  if (!filter.empty()) body.raw("filter", std::move(filter).finish());
  if (!ids.empty()) {
    std::string list = "[";
    for (const std::string& id : ids) {
      if (list.size() > 1) list += ',';
      append_json_string(list, id);
    }
    body.raw("ids", list + "]");
  }
  return std::move(body).finish();
}

exit_code print_requeued(const context& with, const client::response& answer) {
  if (with.in.has("--json")) {
    with.around.out << answer.body << '\n';
    return exit_code::done;
  }
  const auto body = body_of(answer);
  if (!body) return report(with, body.error());
  if (member(*body, "id") != nullptr) {
    with.around.out << fmt::format(
        "{} {}\n", text_at(*body, "id"),
        with.in.has("--dry-run") ? "would be requeued" : "is back in the queue");
    return exit_code::done;
  }
  exit_code code = exit_code::done;
  // The answer has one entry for each id, in order.
  const auto ids = with.in.texts("WHICH");
  const json::array& jobs = items_at(*body, "jobs");
  for (std::size_t i = 0; i < std::min(ids.size(), jobs.size()); ++i) {
    if (member(jobs[i], "error") == nullptr) continue;
    with.around.err << fmt::format("millrace: {}: {}\n", printable(ids[i]),
                                   printable(text_at(jobs[i], "error.detail")));
    code = exit_code::failed;
  }
  if (with.in.has("--dry-run")) {
    with.around.out << fmt::format("{} would be requeued\n", grouped(count_at(*body, "matched")));
  } else {
    with.around.out << fmt::format("{} requeued\n", grouped(count_at(*body, "requeued")));
  }
  return code;
}

/// An option that picks dead letters in another way.
std::optional<std::string_view> given_beside(const context& with) {
  for (const std::string_view flag : {"--all", "--type", "--label", "--error"}) {
    if (with.in.has(flag)) return flag;
  }
  return std::nullopt;
}

exit_code requeue(context& with) {
  const auto which = with.in.texts("WHICH");
  std::string target = dead_target(with) + ":requeue";
  std::string body;
  if (which.size() == 1 && is_index(which.front())) {
    if (const auto other = given_beside(with)) {
      return report_usage(
          with, "dlq requeue",
          invalid(std::string{*other}, "does not go together with an index").error());
    }
    target = fmt::format("{}/requeue/{}", dead_target(with), which.front());
  } else {
    auto selected = selection(with);
    if (!selected) return report_usage(with, "dlq requeue", selected.error());
    body = std::move(*selected);
  }
  if (with.in.has("--dry-run")) target += "?dry_run=true";
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "dlq requeue", server.error());
  const auto answer = (*server)->post(target, std::move(body));
  if (!answer) return report(with, answer.error());
  return print_requeued(with, *answer);
}

exit_code purge(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "dlq purge", server.error());
  const std::string question =
      fmt::format("Delete all dead letters of {} for good?", printable(with.in.required("QUEUE")));
  if (!confirmed(with, question)) return exit_code::failed;
  const auto answer = (*server)->remove(dead_target(with));
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

}  // namespace

std::vector<command> dead_letter_commands() {
  argument optional_queue = queue_argument;
  optional_queue.required = false;
  std::vector<option> filters = job_filter_options();
  filters.push_back(error_filter_option());
  std::vector<option> selectors{{.name = "--all", .purpose = "all of the queue"}};
  selectors.insert(selectors.end(), filters.begin(), filters.end());
  selectors.push_back({.name = "--dry-run", .purpose = "only say which, or how many"});
  return {
      {.name = "dlq ls",
       .purpose = "List the dead letters of a queue, the oldest first; of all queues, how many.",
       .arguments = {optional_queue},
       .options = with_listing_options(filters),
       .examples = {"millrace dlq ls", "millrace dlq ls mail --limit 20",
                    "millrace dlq ls mail --type welcome --label team=ops"},
       .run = list},
      {.name = "dlq show",
       .purpose = "Show one dead letter: its data, its attempts, why it failed.",
       .arguments = {queue_argument,
                     {.name = "WHICH", .purpose = "its index in `dlq ls`, or its id"}},
       .options = with_reading_options({}),
       .examples = {"millrace dlq show mail 0", "millrace dlq show mail mail~1hkqz5vt0c8"},
       .run = show},
      {.name = "dlq requeue",
       .purpose = "Bring dead letters back into their queue: same id, attempts from 0.",
       .arguments = {queue_argument,
                     {.name = "WHICH",
                      .purpose = "an index of `dlq ls`, or ids",
                      .required = false,
                      .repeated = true}},
       .options = with_reading_options(std::move(selectors)),
       .examples = {"millrace dlq requeue mail 0", "millrace dlq requeue mail --all --dry-run",
                    "millrace dlq requeue mail --type welcome"},
       .run = requeue},
      {.name = "dlq purge",
       .purpose = "Delete the dead letters of a queue for good.",
       .arguments = {queue_argument},
       .options = with_reading_options({yes_option()}),
       .examples = {"millrace dlq purge mail --yes"},
       .run = purge},
      {.name = "dlq stats",
       .purpose = "Show how many dead letters and failures each queue has, and why.",
       .options = with_reading_options({}),
       .examples = {"millrace dlq stats", "millrace dlq stats --json"},
       .run = show_stats},
  };
}

}  // namespace millrace::cli
