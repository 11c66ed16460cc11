#include "job_request.hpp"

#include "json_writer.hpp"
#include "listing.hpp"
#include "people.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <istream>
#include <iterator>
#include <optional>
#include <utility>

namespace millrace::cli {
namespace {

/// Beyond what a job may carry, so that the server's own limit is the one that is told.
constexpr std::size_t input_bytes_max = 2 * engine::item_bytes_max;

result<std::string> read_data(const context& with, std::string_view argument_name) {
  const auto given = with.in.text(argument_name);
  if (!given) return std::string{"null"};
  std::string data = *given;
  if (data == "-") {
    data.clear();
    std::istreambuf_iterator<char> from{with.around.in};
    while (from != std::istreambuf_iterator<char>{} && data.size() <= input_bytes_max) {
      data += *from++;
    }
  }
  const auto parsed = parse_json(data);
  if (parsed) return data;
  return fail(errc::malformed, "malformed_json",
              fmt::format("'{}' is no JSON ({}); a text needs its quotes: '\"text\"'",
                          cut_to(printable(data), 40), parsed.error().detail),
              std::string{argument_name});
}

result<std::string> labels_json(const std::vector<std::string>& labels) {
  json_writer object;
  for (const std::string& one : labels) {
    const auto label = parse_label(one);
    if (!label) return std::unexpected(label.error());
    object.text(label->first, label->second);
  }
  return std::move(object).finish();
}

result<void> add_spans(const context& with, json_writer& body) {
  constexpr std::pair<std::string_view, std::string_view> spans[] = {
      {"--delay", "delay"}, {"--lease", "lease"}, {"--timeout", "timeout"}};
  for (const auto& [flag, name] : spans) {
    const auto span = with.in.span(flag);
    if (!span) return std::unexpected(span.error());
    body.seconds(name, *span);
  }
  return {};
}

result<void> add_backoff(const context& with, json_writer& body) {
  const auto base = with.in.span("--backoff-base");
  if (!base) return std::unexpected(base.error());
  const auto max = with.in.span("--backoff-max");
  if (!max) return std::unexpected(max.error());
  const auto strategy = with.in.text("--backoff");
  if (!*base && !*max && !strategy) return {};
  json_writer backoff;
  backoff.text("strategy", strategy);
  backoff.seconds("base", *base);
  backoff.seconds("max", *max);
  body.raw("backoff", std::move(backoff).finish());
  return {};
}

result<void> add_unique(const context& with, json_writer& body) {
  const auto key = with.in.text("--unique");
  const auto mode = with.in.text("--unique-mode");
  if (!key && !mode) return {};
  if (!key) return invalid("--unique-mode", "needs --unique KEY");
  json_writer unique;
  unique.text("key", key);
  unique.text("mode", mode);
  body.raw("unique", std::move(unique).finish());
  return {};
}

result<void> add_due_time(const context& with, json_writer& body) {
  const auto at = with.in.text("--at");
  if (!at) return {};
  if (with.in.has("--delay")) return invalid("--at", "does not go together with --delay");
  const auto due = parse_rfc3339(*at, "--at");
  if (!due) return std::unexpected(due.error());
  body.text("run_at", to_rfc3339(*due));
  return {};
}

}  // namespace

std::vector<option> job_options() {
  return {
      {.name = "--type", .value = "T", .purpose = "what kind of work it is (default: none)"},
      {.name = "--priority", .value = "N", .purpose = "0 to 9, 9 runs first (default 5)"},
      {.name = "--label",
       .value = "K=V",
       .purpose = "a label to find it by; up to 16",
       .repeated = true},
      {.name = "--max-attempts",
       .value = "N",
       .purpose = "runs in all, the first included, 1 to 1000 (default: the queue's, else 4)"},
      {.name = "--backoff",
       .value = "STRATEGY",
       .purpose = "how the wait between runs grows: exponential, linear, fixed or polynomial "
                  "(default: the queue's, else exponential)",
       .choices = "exponential linear fixed polynomial"},
      {.name = "--backoff-base",
       .value = "SPAN",
       .purpose = "the wait after the first failure, up to 30d; 0 is at once (default 60s)"},
      {.name = "--backoff-max",
       .value = "SPAN",
       .purpose = "the longest wait, up to 30d (default 1h)"},
      {.name = "--lease",
       .value = "SPAN",
       .purpose =
           "how long a worker that says nothing keeps it, 1s to 24h (default: the worker's)"},
      {.name = "--timeout",
       .value = "SPAN",
       .purpose = "the longest one run may take, up to 30d (default: no bound)"},
      {.name = "--group",
       .value = "KEY",
       .purpose = "jobs of one group share the queue's group limits"},
      {.name = "--durability",
       .value = "CLASS",
       .purpose = "durable, async or memory (default: the queue's, else the strongest there is)",
       .choices = "durable async memory"},
  };
}

std::vector<option> enqueue_options() {
  return {
      {.name = "--delay",
       .value = "SPAN",
       .purpose = "run it no sooner than in 500ms, 30s, 5m, 24h; up to 366d"},
      {.name = "--at", .value = "TIME", .purpose = "run it no sooner than 2026-11-20T08:00:00Z"},
      {.name = "--unique",
       .value = "KEY",
       .purpose = "make none while a job of the queue with this key has not ended"},
      {.name = "--unique-mode",
       .value = "MODE",
       .purpose = "what happens then: reject (default), replace its data, or debounce",
       .choices = "reject replace debounce"},
      {.name = "--correlation-id",
       .value = "ID",
       .purpose = "follows the job through logs and events (default: one of its own)"},
  };
}

result<std::string> job_body(const context& with, std::string_view json_argument) {
  json_writer body;
  auto data = read_data(with, json_argument);
  if (!data) return data;
  body.raw("data", *data);
  body.text("type", with.in.text("--type"));
  const auto priority = with.in.integer("--priority", 0, 9);
  if (!priority) return std::unexpected(priority.error());
  body.integer("priority", *priority);
  const auto attempts = with.in.integer("--max-attempts", 1, engine::attempts_max);
  if (!attempts) return std::unexpected(attempts.error());
  body.integer("max_attempts", *attempts);
  for (const auto add : {add_spans, add_backoff, add_unique, add_due_time}) {
    if (auto added = add(with, body); !added) return std::unexpected(std::move(added.error()));
  }
  if (with.in.has("--label")) {
    const auto labels = labels_json(with.in.texts("--label"));
    if (!labels) return labels;
    body.raw("labels", *labels);
  }
  body.text("group", with.in.text("--group"));
  body.text("correlation_id", with.in.text("--correlation-id"));
  body.text("durability", with.in.text("--durability"));
  return std::move(body).finish();
}

}  // namespace millrace::cli
