#include "commands.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "limit_parts.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "run_to_end.hpp"
#include "server_call.hpp"
#include "table.hpp"

#include <millrace/base/text_time.hpp>
#include <millrace/engine/limit_steps.hpp>

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <ostream>
#include <string>
#include <utility>

namespace millrace::cli {
namespace {

enum class wanted : std::uint8_t { check, peek, refund, settle, reset, renew, release };

using part = limit_part;

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
  const std::string_view count = text.substr(0, slash);
  const auto [end, ec] = std::from_chars(count.data(), count.data() + count.size(), out.limit);
  if (ec != std::errc{} || end != count.data() + count.size()) return refuse();
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

// `--at-once 5 --ttl 30s`.
result<void> put_permits(const context& with, json_writer& into) {
  const auto limit =
      with.in.integer("--at-once", 1, static_cast<std::int64_t>(engine::limit_permits_max));
  if (!limit) return std::unexpected(limit.error());
  const auto ttl = parse_duration(with.in.text_or("--ttl", "30s"), "--ttl");
  if (!ttl) return std::unexpected(ttl.error());
  into.text("algorithm", "concurrency");
  into.integer("limit", *limit);
  into.seconds("ttl", *ttl);
  return {};
}

result<std::string> checks_body(const context& with, const std::vector<part>& parts, wanted what) {
  if (parts.size() != 1) {
    return invalid("PART", "without --policy, name exactly one whose limit it is: user=42");
  }
  if (with.in.has("--at-once")) {
    json_writer one;
    one.text("scope", parts.front().name);
    one.text("id", parts.front().value);
    if (auto put = put_permits(with, one); !put) return std::unexpected(put.error());
    return fmt::format("[{}]", std::move(one).finish());
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
  if (what != wanted::settle) one.integer("cost", *cost);
  one.integer("burst", *burst);
  return fmt::format("[{}]", std::move(one).finish());
}

struct settlement {
  std::int64_t reserved{0};
  std::int64_t used{0};
};

// `--reserved 4000 --used 1312`.
result<settlement> read_settlement(const context& with) {
  const auto most = static_cast<std::int64_t>(engine::limit_value_max);
  const auto reserved = with.in.integer("--reserved", 1, most);
  if (!reserved) return std::unexpected(reserved.error());
  if (!*reserved) return invalid("--reserved", "say how much was taken before");
  const auto used = with.in.integer("--used", 0, most);
  if (!used) return std::unexpected(used.error());
  if (!*used) return invalid("--used", "say how much of it is kept");
  return settlement{**reserved, **used};
}

result<std::string> body_of_request(const context& with, wanted what) {
  const auto parts = read_limit_parts(with);
  if (!parts) return std::unexpected(parts.error());
  const bool own = with.in.has("--limit") || with.in.has("--at-once");
  const bool both = with.in.has("--limit") && with.in.has("--at-once");
  if (both || own == with.in.has("--policy")) {
    return invalid("--policy",
                   "say which limits: --policy NAME, or one with --limit 100/1m or --at-once 5");
  }
  json_writer body;
  if (own) {
    const auto checks = checks_body(with, *parts, what);
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
  if (what == wanted::settle) {
    const auto settled = read_settlement(with);
    if (!settled) return std::unexpected(settled.error());
    body.integer("reserved", settled->reserved);
    body.integer("used", settled->used);
  }
  body.text("taken_at", with.in.text("--taken-at"));
  if (what == wanted::peek) body.flag("peek", true);
  if (what == wanted::check && with.in.has("--partial")) body.flag("partial", true);
  if (what == wanted::renew || what == wanted::release) {
    const auto permit = with.in.integer("--permit", 1, (std::int64_t{1} << 53U) - 1);
    if (!permit) return std::unexpected(permit.error());
    if (!*permit) return invalid("--permit", "say which: the number that `limit check` printed");
    body.integer("permit", *permit);
  }
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
      const bool blocked = !text_at(one, "blocked_until").empty();
      const std::string_view refuses = blocked ? "blocked" : "refuses";
      verdict = fmt::format("{} for {}", flag_at(one, "dry_run") ? "would refuse" : refuses,
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

// What was granted, beside the limits.
void print_grant(const context& with, const json::value& body) {
  if (const auto granted = number_at(body, "granted")) {
    with.around.out << fmt::format("granted {:.0f}\n", *granted);
  }
  const auto permit = number_at(body, "permit");
  if (!permit) return;
  const auto ends = time_at(body, "permit_expires_at");
  with.around.out << fmt::format("permit {:.0f}, which ends {} unless it is renewed\n", *permit,
                                 ends ? relative_time(*ends, with.around.clock.now()) : "soon");
}

// What the settlement of a reservation came to.
void print_settlement(const context& with, const json::value& body) {
  const auto settled = read_settlement(with);
  if (!settled) return;
  const std::int64_t more = settled->used - settled->reserved;
  const std::string size = grouped(static_cast<std::uint64_t>(std::abs(more)));
  if (more < 0) with.around.out << fmt::format("{} given back\n", size);
  if (more > 0) {
    with.around.out << fmt::format("{} of {} more charged\n", grouped(count_at(body, "granted")),
                                   size);
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
    if (what == wanted::settle) {
      print_settlement(with, *body);
    } else {
      print_grant(with, *body);
    }
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

exit_code refund(context& with) {
  return ask(with, wanted::refund, "limit refund", "/v1/limits:refund");
}
exit_code settle(context& with) {
  return ask(with, wanted::settle, "limit settle", "/v1/limits:settle");
}

exit_code renew(context& with) {
  return ask(with, wanted::renew, "limit renew", "/v1/limits:renew");
}
exit_code release(context& with) {
  return ask(with, wanted::release, "limit release", "/v1/limits:release");
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

// Of limits, however they are named.
std::vector<option> naming_options() {
  return {{.name = "--policy", .value = "NAME", .purpose = "the limits of a policy, all together"},
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
}

// And of those that count what happens at once.
std::vector<option> naming_options_with_permits() {
  std::vector<option> options = naming_options();
  options.push_back({.name = "--at-once",
                     .value = "N",
                     .purpose = "one limit in place of a policy: at most N permits at one time"});
  options.push_back(
      {.name = "--ttl",
       .value = "SPAN",
       .purpose = "with --at-once: how long a permit lasts unless it is renewed (default 30s)"});
  return options;
}

option cost_option() {
  return {.name = "--cost", .value = "N", .purpose = "how much of it (default 1)"};
}

option taken_at_option() {
  return {.name = "--taken-at",
          .value = "TIME",
          .purpose =
              "when it was taken (`at` of the answer): nothing is given back that has left "
              "its window since"};
}

std::vector<option> check_options() {
  std::vector<option> options = naming_options_with_permits();
  options.push_back(cost_option());
  options.push_back({.name = "--partial", .purpose = "take as much of the cost as there is left"});
  return with_reading_options(std::move(options));
}

std::vector<option> peek_options() {
  std::vector<option> options = naming_options_with_permits();
  options.push_back(cost_option());
  return with_reading_options(std::move(options));
}

std::vector<option> refund_options() {
  std::vector<option> options = naming_options();
  options.push_back(cost_option());
  options.push_back(taken_at_option());
  return with_reading_options(std::move(options));
}

std::vector<option> settle_options() {
  std::vector<option> options = naming_options();
  options.push_back({.name = "--reserved", .value = "N", .purpose = "how much was taken before"});
  options.push_back({.name = "--used", .value = "N", .purpose = "how much of it is kept"});
  options.push_back(taken_at_option());
  return with_reading_options(std::move(options));
}

// Of a permit that was taken.
std::vector<option> permit_options() {
  std::vector<option> options{
      {.name = "--permit", .value = "N", .purpose = "the number that `limit check` printed"},
      {.name = "--policy", .value = "NAME", .purpose = "the limits of a policy that have permits"},
      {.name = "--at-once", .value = "N", .purpose = "one limit in place of a policy"},
      {.name = "--ttl",
       .value = "SPAN",
       .purpose = "with --at-once: how long it lasts from now on (default 30s)"}};
  return with_reading_options(std::move(options));
}

const argument parts_argument{
    .name = "PART",
    .purpose = "whose limits: user=42, ip=10.0.0.1, and whatever else the policy asks for",
    .required = false,
    .repeated = true};

}  // namespace

std::vector<command> limit_commands() {
  std::vector<command> all{
      {.name = "limit check",
       .purpose = "Check limits and charge them, all or none.",
       .arguments = {parts_argument},
       .options = check_options(),
       .examples = {"millrace limit check user=42 --limit 100/1m",
                    "millrace limit check --policy chat user=42 ip=10.0.0.1 bot=7",
                    "millrace limit check user=42 --limit 100000/daily --cost 1300",
                    "millrace limit check user=42 --at-once 5 --ttl 1m"},
       .run = check,
       .notes = "Ends with 0 when it is allowed and with 1 when a limit refuses; then nothing was\n"
                "charged. Policies stand in the configuration of the server (limits.policies)."},
      {.name = "limit peek",
       .purpose = "Look at limits without charging them.",
       .arguments = {parts_argument},
       .options = peek_options(),
       .examples = {"millrace limit peek --policy default user=42"},
       .run = peek},
      {.name = "limit refund",
       .purpose = "Give back what was taken and did not happen.",
       .arguments = {parts_argument},
       .options = refund_options(),
       .examples = {"millrace limit refund --policy default user=42 --cost 5",
                    "millrace limit refund user=42 --limit 100/1m "
                    "--taken-at 2026-01-01T00:00:00.000Z"},
       .run = refund,
       .notes = "Never more than still counts. A permit is given back by `limit release`."},
      {.name = "limit settle",
       .purpose = "End a reservation: keep what was used of what was taken.",
       .arguments = {parts_argument},
       .options = settle_options(),
       .examples =
           {"millrace limit settle --policy tokens user=42 --reserved 4000 --used 1312",
            "millrace limit settle user=42 --limit 100000/daily --reserved 4000 --used 1312"},
       .run = settle,
       .notes = "Reserve with `limit check --cost N`. Where more was used, the rest is charged as\n"
                "far as the limits go; `granted` says how much of it."},
      {.name = "limit reset",
       .purpose = "Forget what has been counted.",
       .arguments = {parts_argument},
       .options = with_reading_options(naming_options_with_permits()),
       .examples = {"millrace limit reset --policy default user=42"},
       .run = reset},
      {.name = "limit renew",
       .purpose = "Keep a permit that was taken for longer.",
       .arguments = {parts_argument},
       .options = permit_options(),
       .examples = {"millrace limit renew user=42 --at-once 5 --permit 1764403200000000"},
       .run = renew,
       .notes = "Ends with 1 when the permit has ended (permit_lost)."},
      {.name = "limit release",
       .purpose = "Give a permit back.",
       .arguments = {parts_argument},
       .options = permit_options(),
       .examples = {"millrace limit release user=42 --at-once 5 --permit 1764403200000000",
                    "millrace limit release --policy render user=42 --permit 1764403200000000"},
       .run = release,
       .notes = "Ends with 1 when it had ended already (permit_lost)."},
      {.name = "limit top",
       .purpose = "Show who takes most of the limits, and who is refused most often.",
       .options = with_reading_options({}),
       .examples = {"millrace limit top"},
       .run = top,
       .notes = "Of one server, since its start: at most a hundred each."},
  };
  std::ranges::move(limit_block_commands(), std::back_inserter(all));
  return all;
}

}  // namespace millrace::cli
