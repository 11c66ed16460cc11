#include "queue_set.hpp"

#include "config_value.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "people.hpp"
#include "server_call.hpp"

#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/queue/limits.hpp>

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <array>
#include <ostream>
#include <utility>

namespace millrace::cli {
namespace {

/// How the value of an option becomes a member of the settings.
using to_json = result<std::string> (*)(std::string_view value, std::string_view flag);

result<std::string> rate_json(std::string_view value, std::string_view flag) {
  const auto rate = parse_rate(value, flag);
  if (!rate) return std::unexpected(rate.error());
  if (rate->limit == 0) return std::string{"null"};
  return fmt::format(R"({{"limit":{},"per":{}}})", rate->limit, to_seconds(rate->per));
}

result<std::string> span_json(std::string_view value, std::string_view flag) {
  const auto span = parse_duration(value, flag);
  if (!span) return std::unexpected(span.error());
  return fmt::format("{}", to_seconds(*span));
}

template <std::int64_t Min, std::int64_t Max>
result<std::string> count_json(std::string_view value, std::string_view flag) {
  const config_value given{std::string{value}, std::string{flag}};
  const auto number = given.as_integer(Min, Max);
  if (!number) return std::unexpected(number.error());
  return fmt::format("{}", *number);
}

result<std::string> word_json(std::string_view value, std::string_view) {
  std::string text;
  append_json_string(text, value);
  return text;
}

struct set_rule {
  option shown;
  std::string_view member;
  to_json convert;
};

constexpr std::int64_t most_running = queue_concurrency_max;
constexpr auto most_jobs = static_cast<std::int64_t>(queue_count_max);

constexpr std::array rules{
    set_rule{
        {.name = "--rate",
         .value = "RATE",
         .purpose =
             "starts in a time: 10/s, 600/m, 5/30s (1 to 10000 per 1ms to 24h), or none (default "
             "none)"},
        "rate",
        rate_json},
    set_rule{{.name = "--group-rate",
              .value = "RATE",
              .purpose = "the same for each group (default none)"},
             "group_rate",
             rate_json},
    set_rule{{.name = "--concurrency",
              .value = "N",
              .purpose = "jobs running at a time, all workers together; 0 is no bound (default 0)"},
             "concurrency",
             count_json<0, most_running>},
    set_rule{{.name = "--group-concurrency",
              .value = "N",
              .purpose = "the same for each group (default 0)"},
             "group_concurrency",
             count_json<0, most_running>},
    set_rule{{.name = "--depth-max",
              .value = "N",
              .purpose = "jobs that may wait; beyond it an enqueue is refused; 0 is no bound "
                         "(default 10000000)"},
             "depth_max",
             count_json<0, most_jobs>},
    set_rule{
        {.name = "--keep-finished",
         .value = "SPAN",
         .purpose = "how long completed and cancelled jobs are kept; 0 is no bound (default 24h)"},
        "keep_finished",
        span_json},
    set_rule{{.name = "--keep-finished-count",
              .value = "N",
              .purpose = "how many of them; 0 is no bound (default 100000)"},
             "keep_finished_count",
             count_json<0, most_jobs>},
    set_rule{{.name = "--keep-dead",
              .value = "SPAN",
              .purpose = "how long dead letters are kept; 0 is for ever (default 7d)"},
             "keep_dead",
             span_json},
    set_rule{{.name = "--max-attempts",
              .value = "N",
              .purpose = "runs of a job that says nothing itself, 1 to 1000 (default 4)"},
             "max_attempts",
             count_json<1, engine::attempts_max>},
    set_rule{
        {.name = "--durability",
         .value = "CLASS",
         .purpose = "of a job that says nothing itself: durable, async or memory (default: the "
                    "strongest there is)",
         .choices = "durable async memory default"},
        "durability",
        word_json},
    set_rule{{.name = "--priority-step",
              .value = "N",
              .purpose =
                  "priorities a job loses with each failed run, -9 to 9; negative ones are gained "
                  "(default 0)"},
             "priority_step_on_failure",
             count_json<-9, 9>},
};

const option backoff_options[] = {
    {.name = "--backoff",
     .value = "STRATEGY",
     .purpose = "of a job that says nothing itself: exponential, linear, fixed or polynomial",
     .choices = "exponential linear fixed polynomial default"},
    {.name = "--backoff-base",
     .value = "SPAN",
     .purpose = "the wait after the first failure, up to 30d; 0 is at once (default 60s)"},
    {.name = "--backoff-max",
     .value = "SPAN",
     .purpose = "the longest wait, up to 30d (default 1h)"},
    {.name = "--backoff-jitter",
     .value = "KIND",
     .purpose = "how waits are spread: lengthen (default), none, full or equal",
     .choices = "lengthen none full equal"},
};

/// The four options are one member of the settings; what it leaves out stays as it is.
result<void> add_backoff(const context& with, json_writer& body) {
  const auto strategy = with.in.text("--backoff");
  json_writer backoff;
  if (strategy != "default") backoff.text("strategy", strategy);
  backoff.text("jitter", with.in.text("--backoff-jitter"));
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> spans{
      {{"--backoff-base", "base"}, {"--backoff-max", "max"}}};
  for (const auto& [flag, name] : spans) {
    const auto span = with.in.span(flag);
    if (!span) return std::unexpected(span.error());
    backoff.seconds(name, *span);
  }
  if (strategy == "default") {
    if (backoff.empty()) {
      body.raw("backoff", "null");
      return {};
    }
    return invalid("--backoff",
                   "default takes all of the backoff back: leave --backoff-base, "
                   "--backoff-max and --backoff-jitter out");
  }
  if (!backoff.empty()) body.raw("backoff", std::move(backoff).finish());
  return {};
}

result<void> add_settings(const context& with, json_writer& body) {
  for (const set_rule& rule : rules) {
    const auto value = with.in.text(rule.shown.name);
    if (!value) continue;
    if (*value == "default") {
      body.raw(rule.member, "null");
      continue;
    }
    const auto converted = rule.convert(*value, rule.shown.name);
    if (!converted) return std::unexpected(converted.error());
    body.raw(rule.member, *converted);
  }
  return {};
}

std::string rate_text(const json::value& queue, std::string_view name) {
  const auto limit = number_at(queue, fmt::format("{}.limit", name));
  const auto per = number_at(queue, fmt::format("{}.per", name));
  if (!limit || !per) return {};
  return fmt::format("{}/{}", *limit,
                     format_duration(duration{static_cast<std::int64_t>(*per * 1e6)}));
}

std::string span_text(const json::value& queue, std::string_view name) {
  const auto seconds = number_at(queue, name);
  if (!seconds) return {};
  return format_duration(duration{static_cast<std::int64_t>(*seconds * 1e6)});
}

}  // namespace

std::vector<option> queue_set_options() {
  std::vector<option> options;
  for (const set_rule& rule : rules) options.push_back(rule.shown);
  for (const option& one : backoff_options) options.push_back(one);
  return options;
}

exit_code set_queue(context& with) {
  constexpr std::string_view name = "queue set";
  json_writer body;
  for (const auto add : {add_settings, add_backoff}) {
    if (auto added = add(with, body); !added) return report_usage(with, name, added.error());
  }
  if (body.empty()) {
    return report_usage(with, name,
                        {.kind = errc::invalid_argument,
                         .code = "invalid_value",
                         .detail = "name at least one setting to change"});
  }
  auto server = server_call::open(with);
  if (!server) return report_usage(with, name, server.error());
  const std::string target =
      fmt::format("/v1/queues/{}", client::encode_segment(with.in.required("QUEUE")));
  const auto answer = (*server)->put(target, std::move(body).finish());
  if (!answer) return report_refusal(with, name, answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto changed = body_of(*answer);
  if (!changed) return report(with, changed.error());
  print_settings(with, *changed);
  return exit_code::done;
}

void print_settings(const context& with, const json::value& queue) {
  const auto print = [&with](std::string_view name, std::string_view text) {
    if (!text.empty()) with.around.out << fmt::format("{:<20} {}\n", name, text);
  };
  const auto bound = [&queue](std::string_view name) {
    const std::uint64_t count = count_at(queue, name);
    return count == 0 ? std::string{} : grouped(count);
  };
  print("rate", rate_text(queue, "settings.rate"));
  print("group rate", rate_text(queue, "settings.group_rate"));
  print("concurrency", bound("settings.concurrency"));
  print("group concurrency", bound("settings.group_concurrency"));
  print("depth max", bound("settings.depth_max"));
  const auto kept = [&queue](std::string_view name) {
    return number_at(queue, name) == 0.0 ? std::string{"no bound"} : span_text(queue, name);
  };
  print("keep finished", kept("settings.keep_finished"));
  print("keep finished count", bound("settings.keep_finished_count"));
  print("keep dead", kept("settings.keep_dead"));
  print("max attempts", bound("settings.max_attempts"));
  print("durability", text_at(queue, "settings.durability"));
  if (const double step = number_at(queue, "settings.priority_step_on_failure").value_or(0);
      step != 0) {
    print("priority step", fmt::format("{}", step));
  }
  if (member(queue, "settings.backoff") != nullptr) {
    print("backoff", fmt::format("{}, from {} up to {}, jitter {}",
                                 text_at(queue, "settings.backoff.strategy"),
                                 span_text(queue, "settings.backoff.base"),
                                 span_text(queue, "settings.backoff.max"),
                                 text_at(queue, "settings.backoff.jitter")));
  }
}

}  // namespace millrace::cli
