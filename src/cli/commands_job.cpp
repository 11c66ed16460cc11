#include "commands.hpp"
#include "job_request.hpp"
#include "job_view.hpp"
#include "job_watch.hpp"
#include "json_view.hpp"
#include "server_call.hpp"

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <ostream>
#include <utility>

namespace millrace::cli {
namespace {

exit_code enqueue(context& with) {
  auto body = job_body(with, "JSON");
  if (!body) return report_usage(with, "enqueue", body.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "enqueue", server.error());
  client::request what{.method = client::verb::post,
                       .target = fmt::format("/v1/queues/{}/jobs",
                                             client::encode_segment(with.in.required("QUEUE"))),
                       .body = std::move(*body)};
  if (auto key = with.in.text("--idempotency-key")) {
    what.headers.push_back({"Idempotency-Key", std::move(*key)});
  }
  const auto answer = (*server)->call(std::move(what));
  if (!answer) return report_refusal(with, "enqueue", answer.error());
  const auto job = body_of(*answer);
  if (!job) return report(with, job.error());
  const std::string id = text_at(*job, "id");
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
  } else if (!with.in.has("--wait")) {
    with.around.out << id << '\n';
  }
  if (flag_at(*job, "duplicate") && !with.in.has("--json")) {
    with.around.err << "millrace: a job with this unique key is there already; none was made\n";
  }
  if (!with.in.has("--wait")) return exit_code::done;
  return watch_job(with, **server, id);
}

exit_code job(context& with) {
  const bool cancel = with.in.has("--cancel");
  const bool remove = with.in.has("--delete");
  const bool watch = with.in.has("--watch");
  if (cancel + remove + watch > 1) {
    return report_usage(with, "job",
                        {.kind = errc::invalid_argument,
                         .code = "invalid_value",
                         .detail = "--watch, --cancel and --delete do not go together"});
  }
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "job", server.error());
  const std::string id = with.in.required("ID");
  if (watch) return watch_job(with, **server, id);
  const std::string target = fmt::format("/v1/jobs/{}", client::encode_segment(id));
  if (remove) {
    const auto answer = (*server)->remove(target);
    return answer ? exit_code::done : report(with, answer.error());
  }
  const std::string shown_target = with.in.has("--json") ? target : target + "?log=true";
  const auto answer = cancel ? (*server)->post(target + ":cancel") : (*server)->get(shown_target);
  if (!answer) return report(with, answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto shown = body_of(*answer);
  if (!shown) return report(with, shown.error());
  if (cancel) {
    with.around.out << status_text(*shown) << '\n';
  } else {
    print_job(with, *shown);
  }
  return exit_code::done;
}

}  // namespace

std::vector<command> job_commands() {
  std::vector<option> enqueue_all = job_options();
  for (const option& one : enqueue_options()) enqueue_all.push_back(one);
  enqueue_all.push_back({.name = "--idempotency-key",
                         .value = "KEY",
                         .purpose = "sent again within 24h it makes no second job"});
  enqueue_all.push_back(
      {.name = "--wait", .purpose = "follow the job to its end, print its result"});
  return {
      {.name = "enqueue",
       .purpose = "Put a job into a queue; prints its id.",
       .arguments = {{.name = "QUEUE",
                      .purpose = "its name; made by its first job",
                      .kind = value_kind::queue},
                     {.name = "JSON",
                      .purpose = "what the job is about, as JSON; - reads it from the standard "
                                 "input (default: null)",
                      .required = false}},
       .options = with_reading_options(std::move(enqueue_all)),
       .examples = {"millrace enqueue mail '{\"to\":\"ann@example.org\"}'",
                    "millrace enqueue report --delay 5m --priority 9 --label team=ops",
                    "cat order.json | millrace enqueue orders - --unique order-17 --wait"},
       .run = enqueue},
      {.name = "job",
       .purpose = "Show a job, or follow it to its end.",
       .arguments = {{.name = "ID", .purpose = "as `enqueue` printed it"}},
       .options = with_reading_options(
           {{.name = "--watch", .purpose = "follow status, progress and log until it has ended"},
            {.name = "--cancel", .purpose = "cancel it, or ask it to stop where it runs"},
            {.name = "--delete", .purpose = "forget it; refused while it runs"}}),
       .examples = {"millrace job document~1hkqz5vt0c8",
                    "millrace job document~1hkqz5vt0c8 --watch",
                    "millrace job document~1hkqz5vt0c8 --json | jq .result"},
       .run = job,
       .notes = "With --watch: exit code 0 when it completed, 1 when it is dead or cancelled."},
  };
}

}  // namespace millrace::cli
