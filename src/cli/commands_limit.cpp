#include "commands.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "run_to_end.hpp"
#include "server_call.hpp"
#include "table.hpp"

#include <millrace/base/text_time.hpp>
#include <millrace/engine/limit_steps.hpp>

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <charconv>
#include <ostream>
#include <string>
#include <utility>

namespace millrace::cli {
namespace {

enum class wanted : std::uint8_t { check, peek, reset };

struct part {
  std::string name;
  std::string value;
};

result<std::vector<part>> read_parts(const context& with) {
  std::vector<part> parts;
  for (const std::string& text : with.in.texts("PART")) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
      return invalid("PART", fmt::format("'{}' says not whose it is: write user=42", text));
    }
    parts.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return parts;
}

struct rate {
  std::int64_t limit{0};
  duration window{0};
  std::string period;
};

// `100/1m`, `100/m`, `100000/daily`.
result<rate> read_rate(std::string_view text) {
  const auto refuse = [&] {
    return invalid("--limit", fmt::format("'{}' is no limit: write 100/1m, 5/s, 1000/24h, or "
                                          "100000/daily for a calendar budget",
                                          text));
  };
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return refuse();
  rate out;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + slash, out.limit);
  if (ec != std::errc{} || end != text.data() + slash) return refuse();
  std::string per{text.substr(slash + 1)};
  if (engine::parse_limit_period(per)) {
    out.period = per;
    return out;
  }
  if (!per.empty() && (per.front() < '0' || per.front() > '9')) per.insert(0, "1");
  const auto window = parse_duration(per, "--limit");
  if (!window) return refuse();
  out.window = *window;
  return out;
}

result<std::string> checks_body(const context& with, const std::vector<part>& parts) {
  if (parts.size() != 1) {
    return invalid("PART", "with --limit, name exactly one whose limit it is: user=42");
  }
  const auto limit = read_rate(with.in.text_or("--limit", ""));
  if (!limit) return std::unexpected(limit.error());
  const auto cost =
      with.in.integer("--cost", 1, static_cast<std::int64_t>(engine::limit_value_max));
  if (!cost) return std::unexpected(cost.error());
  const auto burst =
      with.in.integer("--burst", 1, static_cast<std::int64_t>(engine::limit_value_max));
  if (!burst) return std::unexpected(burst.error());
  json_writer one;
  one.text("scope", parts.front().name);
  one.text("id", parts.front().value);
  one.integer("limit", limit->limit);
  if (limit->period.empty()) {
    one.seconds("window", limit->window);
    one.text("algorithm", with.in.text("--algorithm"));
  } else {
    one.text("algorithm", "calendar");
    one.text("period", limit->period);
  }
  one.text("time_zone", with.in.text("--time-zone"));
  one.integer("cost", *cost);
  one.integer("burst", *burst);
  return fmt::format("[{}]", std::move(one).finish());
}

result<std::string> body_of_request(const context& with, wanted what) {
  const auto parts = read_parts(with);
  if (!parts) return std::unexpected(parts.error());
  const bool own = with.in.has("--limit");
  if (own == with.in.has("--policy")) {
    return invalid("--policy", "say which limits: --policy NAME, or one with --limit 100/1m");
  }
  json_writer body;
  if (own) {
    const auto checks = checks_body(with, *parts);
    if (!checks) return std::unexpected(checks.error());
    body.raw("checks", *checks);
  } else {
    const auto cost =
        with.in.integer("--cost", 1, static_cast<std::int64_t>(engine::limit_value_max));
    if (!cost) return std::unexpected(cost.error());
    body.text("policy", with.in.text("--policy"));
    for (const part& one : *parts) body.text(one.name, one.value);
    body.integer("cost", *cost);
  }
  if (what == wanted::peek) body.flag("peek", true);
  return std::move(body).finish();
}

void print_limits(const context& with, const json::value& body) {
  table shown{{{"SCOPE"},
               {"ID"},
               {"USED", align::right},
               {"LIMIT", align::right},
               {"LEFT", align::right},
               {"EMPTY", align::right},
               {"VERDICT"}}};
  for (const json::value& one : items_at(body, "limits")) {
    std::string verdict = "ok";
    if (const auto wait = number_at(one, "retry_after")) {
      const auto span = std::chrono::duration_cast<duration>(std::chrono::duration<double>(*wait));
      verdict = fmt::format("{} for {}", flag_at(one, "dry_run") ? "would refuse" : "refuses",
                            readable_span(span));
    }
    const auto reset = time_at(one, "reset_time");
    shown.add({text_at(one, "scope"), text_at(one, "id"), grouped(count_at(one, "count")),
               grouped(count_at(one, "limit")), grouped(count_at(one, "remaining")),
               reset ? relative_time(*reset, with.around.clock.now()) : "-", std::move(verdict)});
  }
  if (!shown.empty()) {
    shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
  }
}

exit_code print_answer(const context& with, const client::response& answer, wanted what) {
  const auto body = body_of(answer);
  if (!body) return report(with, body.error());
  const bool allowed = flag_at(*body, "allowed");
  if (with.in.has("--json")) {
    with.around.out << answer.body << '\n';
  } else {
    print_limits(with, *body);
    if (flag_at(*body, "listed")) {
      with.around.err << "A list of the policy decides: nothing was counted.\n";
    }
    if (flag_at(*body, "degraded")) {
      with.around.err << "The store cannot serve: each limit decided as it says.\n";
    }
    if (what == wanted::check && !allowed) {
      with.around.err << fmt::format("millrace: {}\n", printable(text_at(*body, "detail")));
    }
  }
  return allowed ? exit_code::done : exit_code::failed;
}

// The server names a member of the one check; what was typed was an option.
error named_as_typed(error why) {
  constexpr std::string_view within = "checks[0].";
  if (why.field.starts_with(within)) why.field.erase(0, within.size());
  if (why.field == "window") why.field = "limit";
  return why;
}

exit_code ask(context& with, wanted what, std::string_view command, std::string target) {
  const auto body = body_of_request(with, what);
  if (!body) return report_usage(with, command, body.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, command, server.error());
  client::request asked{.method = client::verb::post, .target = std::move(target), .body = *body};
  auto answer = run_to_end((*server)->io(), (*server)->api().send(std::move(asked)));
  if (!answer) return report(with, answer.error());
  // That limits refuse is an answer, not a failure of the call.
  const bool told = answer->status == 429 || answer->status == 403;
  if (told && answer->body.find(R"("allowed":false)") != std::string::npos) {
    return print_answer(with, *answer, what);
  }
  auto done = client::expect_success(std::move(*answer));
  if (!done) return report_refusal(with, command, named_as_typed(std::move(done.error())));
  return print_answer(with, *done, what);
}

exit_code check(context& with) {
  return ask(with, wanted::check, "limit check", "/v1/limits:check");
}
exit_code peek(context& with) { return ask(with, wanted::peek, "limit peek", "/v1/limits:check"); }
exit_code reset(context& with) {
  return ask(with, wanted::reset, "limit reset", "/admin/limits:reset");
}

exit_code top(context& with) {
  return show_answer(with, "limit top", "/admin/limits/stats", [&with](const json::value& body) {
    table shown{{{"COUNT", align::right}, {"WHAT"}, {"POLICY"}, {"SCOPE"}, {"ID"}}};
    for (const auto& [list, what] : {std::pair{"used", "used"}, std::pair{"refused", "refused"}}) {
      for (const json::value& one : items_at(body, list)) {
        shown.add({grouped(count_at(one, "count")), what, text_at(one, "policy"),
                   text_at(one, "scope"), text_at(one, "id")});
      }
    }
    if (shown.empty()) {
      with.around.err << "No limit has been asked for since the server was started.\n";
      return;
    }
    shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
  });
}

std::vector<option> limit_options(bool with_cost) {
  std::vector<option> options{
      {.name = "--policy", .value = "NAME", .purpose = "the limits of a policy, all together"},
      {.name = "--limit",
       .value = "N/WINDOW",
       .purpose = "one limit in place of a policy: 100/1m, 5/s, 100000/daily"},
      {.name = "--algorithm",
       .value = "NAME",
       .purpose = "with --limit: sliding (default), fixed or token_bucket",
       .choices = "sliding fixed token_bucket"},
      {.name = "--burst",
       .value = "N",
       .purpose = "what a token_bucket holds (default: its limit)"},
      {.name = "--time-zone",
       .value = "ZONE",
       .purpose = "whose days a daily, weekly or monthly limit counts (default UTC)"}};
  if (with_cost) {
    options.push_back({.name = "--cost", .value = "N", .purpose = "how much of it (default 1)"});
  }
  return with_reading_options(std::move(options));
}

const argument parts_argument{
    .name = "PART",
    .purpose = "whose limits: user=42, ip=10.0.0.1, and whatever else the policy asks for",
    .required = false,
    .repeated = true};

}  // namespace

std::vector<command> limit_commands() {
  return {
      {.name = "limit check",
       .purpose = "Check limits and charge them, all or none.",
       .arguments = {parts_argument},
       .options = limit_options(true),
       .examples = {"millrace limit check user=42 --limit 100/1m",
                    "millrace limit check --policy chat user=42 ip=10.0.0.1 bot=7",
                    "millrace limit check user=42 --limit 100000/daily --cost 1300"},
       .run = check,
       .notes = "Ends with 0 when it is allowed and with 1 when a limit refuses; then nothing was\n"
                "charged. Policies stand in the configuration of the server (limits.policies)."},
      {.name = "limit peek",
       .purpose = "Look at limits without charging them.",
       .arguments = {parts_argument},
       .options = limit_options(true),
       .examples = {"millrace limit peek --policy default user=42"},
       .run = peek},
      {.name = "limit reset",
       .purpose = "Forget what has been counted.",
       .arguments = {parts_argument},
       .options = limit_options(false),
       .examples = {"millrace limit reset --policy default user=42"},
       .run = reset},
      {.name = "limit top",
       .purpose = "Show who takes most of the limits, and who is refused most often.",
       .options = with_reading_options({}),
       .examples = {"millrace limit top"},
       .run = top,
       .notes = "Of one server, since its start: at most a hundred each."},
  };
}

}  // namespace millrace::cli
