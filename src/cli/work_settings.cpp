#include "work_settings.hpp"

#include "config_value.hpp"
#include "server_call.hpp"
#include "work.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/queue/limits.hpp>
#include <millrace/worker/limits.hpp>

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <system_error>
#include <thread>
#include <utility>

namespace millrace::cli {
namespace {

constexpr std::int64_t recycle_max = std::numeric_limits<std::uint32_t>::max();

std::optional<std::uint32_t> whole_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// `8`, or `2-16` for a number that follows the backlog.
result<void> read_concurrency(const invocation& in, worker_options& into) {
  const auto text = in.text("--concurrency");
  if (!text) return {};
  const auto refuse = [&text] {
    return invalid("--concurrency",
                   fmt::format("'{}' is neither a number from 1 to {} nor a range like 2-16", *text,
                               worker_concurrency_max));
  };
  const auto in_range = [](std::optional<std::uint32_t> number) {
    return number && *number >= 1 && *number <= worker_concurrency_max;
  };
  const std::size_t dash = text->find('-');
  const auto low = whole_number(std::string_view{*text}.substr(0, dash));
  if (!in_range(low)) return refuse();
  into.concurrency = *low;
  if (dash == std::string::npos) return {};
  const auto high = whole_number(std::string_view{*text}.substr(dash + 1));
  if (!in_range(high) || *high < *low) return refuse();
  into.scale = concurrency_range{.min = *low, .max = *high};
  return {};
}

result<void> read_spans(const invocation& in, worker_options& into) {
  const std::pair<std::string_view, duration*> spans[] = {{"--lease", &into.lease},
                                                          {"--soft-limit", &into.soft_limit},
                                                          {"--hard-limit", &into.hard_limit},
                                                          {"--drain-timeout", &into.drain_timeout}};
  for (const auto& [flag, target] : spans) {
    const auto span = in.span(flag);
    if (!span) return std::unexpected(span.error());
    if (*span) *target = **span;
  }
  return {};
}

result<void> read_queues(const invocation& in, worker_options& into) {
  for (const std::string& text : in.texts("--queue")) {
    auto queue = parse_weighted_queue(text);
    if (!queue) return std::unexpected(std::move(queue.error()));
    into.queues.push_back(std::move(*queue));
  }
  if (into.queues.empty()) return invalid("--queue", "is missing: name the queue to work on");
  return {};
}

result<exec_options> read_program(const invocation& in) {
  exec_options program{.command = {*in.text("--exec")}};
  for (std::string& word : in.texts("ARG")) program.command.push_back(std::move(word));
  if (in.has("--long-lived")) program.mode = exec_mode::long_lived;
  if (in.text("--input") == "data") program.input = exec_input::data;
  const auto recycle = in.integer("--recycle", 0, recycle_max);
  if (!recycle) return std::unexpected(recycle.error());
  if (*recycle && !in.has("--long-lived")) return invalid("--recycle", "needs --long-lived");
  if (*recycle) program.recycle_after = static_cast<std::uint32_t>(**recycle);
  return program;
}

result<http_options> read_url(const invocation& in, const surroundings& around,
                              const worker_options& work) {
  for (const std::string_view flag : {"--long-lived", "--recycle", "--input"}) {
    if (in.has(flag)) return invalid(std::string{flag}, "goes with --exec only");
  }
  if (in.has("ARG")) return invalid("ARG", "arguments go with --exec only");
  http_options url{.url = *in.text("--http"), .ca_file = ca_file(in, around)};
  if (const auto secrets = around.variable("MILLRACE_WEBHOOK_SECRET")) {
    const config_value given{*secrets, "MILLRACE_WEBHOOK_SECRET"};
    auto several = given.as_texts();
    if (!several) return std::unexpected(std::move(several.error()));
    url.secrets = std::move(*several);
  }
  const std::uint32_t runs = work.scale ? work.scale->max : work.concurrency;
  url.connections_max = runs > 0 ? runs : std::max(1U, std::thread::hardware_concurrency());
  return url;
}

}  // namespace

result<weighted_queue> parse_weighted_queue(std::string_view text) {
  weighted_queue queue;
  const std::size_t colon = text.rfind(':');
  queue.queue.name = text.substr(0, colon);
  if (colon != std::string_view::npos) {
    const auto weight = whole_number(text.substr(colon + 1));
    if (!weight || *weight < 1 || *weight > queue_weight_max) {
      return invalid("--queue", fmt::format("'{}' has no weight from 1 to {} behind its colon",
                                            text, queue_weight_max));
    }
    queue.weight = *weight;
  }
  if (auto sound = check_name(queue.queue.name, "--queue"); !sound) {
    return std::unexpected(std::move(sound.error()));
  }
  return queue;
}

result<work_settings> read_work_settings(const invocation& in, const surroundings& around) {
  work_settings settings;
  for (const auto read : {read_queues, read_concurrency, read_spans}) {
    if (auto done = read(in, settings.work); !done) return std::unexpected(std::move(done.error()));
  }
  const auto prefetch = in.integer("--prefetch", 0, worker_batch_max);
  if (!prefetch) return std::unexpected(prefetch.error());
  settings.work.prefetch = static_cast<std::uint32_t>(prefetch->value_or(0));
  settings.work.name = in.text_or("--name", "");
  settings.log_format =
      observe::parse_log_format(in.text_or("--log-format", "text")).value_or(settings.log_format);
  settings.log_level =
      observe::parse_log_level(in.text_or("--log-level", "info")).value_or(settings.log_level);
  if (in.has("--exec") == in.has("--http")) {
    return invalid("", "say what runs the jobs: either --exec PROGRAM or --http URL");
  }
  if (in.has("--exec")) {
    auto program = read_program(in);
    if (!program) return std::unexpected(std::move(program.error()));
    settings.program = std::move(*program);
  } else {
    auto url = read_url(in, around, settings.work);
    if (!url) return std::unexpected(std::move(url.error()));
    settings.url = std::move(*url);
  }
  return settings;
}

std::vector<option> work_options() {
  return with_server_options({
      {.name = "--queue",
       .value = "NAME[:WEIGHT]",
       .purpose = "a queue to work on, and how often it comes first (default 1, up to 1000)",
       .repeated = true,
       .kind = value_kind::queue},
      {.name = "--exec",
       .value = "PROGRAM",
       .purpose = "run this program for each job: the job on its standard input, the last line of "
                  "its output is the result; its arguments follow after --",
       .kind = value_kind::program},
      {.name = "--http",
       .value = "URL",
       .purpose =
           "post each job to this URL, signed with MILLRACE_WEBHOOK_SECRET where that is set"},
      {.name = "--concurrency",
       .value = "N",
       .purpose = "jobs at a time, or a range like 2-16 that follows the backlog (default: one a "
                  "core)"},
      {.name = "--soft-limit",
       .value = "SPAN",
       .purpose = "a run that takes longer is asked to end (default 25m, 0 is no limit)"},
      {.name = "--hard-limit",
       .value = "SPAN",
       .purpose = "a run that takes longer is killed (default 30m, 0 is no limit)"},
      {.name = "--lease",
       .value = "SPAN",
       .purpose = "when a killed worker's jobs run again; renewed while they run (default 5s)"},
      {.name = "--prefetch",
       .value = "N",
       .purpose = "jobs held ready besides those that run (default 0)"},
      {.name = "--long-lived",
       .purpose = "one process for many jobs, a line each, instead of a process a job"},
      {.name = "--recycle",
       .value = "N",
       .purpose = "replace such a process after so many jobs (default 1000, 0 never)"},
      {.name = "--input",
       .value = "WHAT",
       .purpose = "what the program gets: the whole job (default) or its data alone",
       .choices = "job data"},
      {.name = "--drain-timeout",
       .value = "SPAN",
       .purpose =
           "how long a stop waits for running jobs before they are handed back (default 30s)"},
      {.name = "--name", .value = "NAME", .purpose = "how it is shown (default: host and process)"},
      {.name = "--log-format",
       .value = "FORMAT",
       .purpose = "text or json, on the standard error (default text)",
       .choices = "text json"},
      {.name = "--log-level",
       .value = "LEVEL",
       .purpose = "debug, info, warning, error or off (default info)",
       .choices = "debug info warning error off"},
  });
}

}  // namespace millrace::cli
