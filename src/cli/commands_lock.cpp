#include "commands.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "lock_run.hpp"
#include "people.hpp"
#include "server_call.hpp"

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <utility>

namespace millrace::cli {
namespace {

constexpr std::chrono::seconds ttl_default{30};
/// The server's own bound of one wait; a longer one is asked for in pieces.
constexpr std::chrono::seconds wait_at_once{60};
/// From one piece to the next.
constexpr std::chrono::seconds place_kept{10};

std::string lock_target(const context& with) {
  return fmt::format("/v1/locks/{}", client::encode_segment(with.in.required("RESOURCE")));
}

std::string with_token(const context& with, const std::string& token) {
  return fmt::format("{}?token={}", lock_target(with), client::encode_segment(token));
}

std::string make_key() {
  std::random_device source;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", source(), source(), source(), source());
}

struct lock_wish {
  duration ttl{ttl_default};
  duration wait{0};
  std::optional<std::int64_t> permits;
  /// Its requests are repetitions of one: who goes on waiting keeps its place.
  std::string key;
};

result<lock_wish> wish_of(const context& with) {
  lock_wish out;
  const auto ttl = with.in.span("--ttl");
  if (!ttl) return std::unexpected(ttl.error());
  const auto wait = with.in.span("--wait");
  if (!wait) return std::unexpected(wait.error());
  const auto permits = with.in.integer("--permits", 1, 1000);
  if (!permits) return std::unexpected(permits.error());
  out.permits = *permits;
  out.key = make_key();
  out.ttl = ttl->value_or(ttl_default);
  out.wait = wait->value_or(duration{0});
  return out;
}

// Asks until it is granted or the wait has ended.
result<client::response> acquire(const context& with, server_call& server, const lock_wish& wish) {
  const auto deadline = std::chrono::steady_clock::now() + wish.wait;
  while (true) {
    const auto left = std::chrono::duration_cast<duration>(std::max(
        deadline - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration::zero()));
    const duration now = std::min<duration>(left, wait_at_once);
    json_writer body;
    body.seconds("ttl", wish.ttl);
    body.seconds("wait", now);
    body.text("owner", with.in.text("--owner"));
    if (with.in.has("--shared")) body.text("mode", "shared");
    body.integer("permits", wish.permits);
    if (left > wait_at_once) body.seconds("keep_place", place_kept);
    auto answer = server.call(
        {.method = client::verb::post,
         .target = lock_target(with),
         .headers = {{"Idempotency-Key", wish.key}},
         .body = std::move(body).finish(),
         .timeout = std::chrono::ceil<std::chrono::milliseconds>(now) + std::chrono::seconds{30}});
    const bool held = !answer && answer.error().code == "lock_held";
    if (!held || std::chrono::steady_clock::now() >= deadline) return answer;
  }
}

exit_code take(context& with) {
  const auto wish = wish_of(with);
  if (!wish) return report_usage(with, "lock acquire", wish.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "lock acquire", server.error());
  const auto answer = acquire(with, **server, *wish);
  if (!answer) return report_refusal(with, "lock acquire", answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto lock = body_of(*answer);
  if (!lock) return report(with, lock.error());
  with.around.out << text_at(*lock, "token") << '\n';
  with.around.err << fmt::format("fence {}, until {}\n", count_at(*lock, "fence"),
                                 text_at(*lock, "expires_at"));
  return exit_code::done;
}

exit_code extend(context& with) {
  const auto wish = wish_of(with);
  if (!wish) return report_usage(with, "lock extend", wish.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "lock extend", server.error());
  json_writer body;
  body.seconds("ttl", wish->ttl);
  const auto answer =
      (*server)->put(with_token(with, with.in.required("TOKEN")), std::move(body).finish());
  if (!answer) return report_refusal(with, "lock extend", answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto lock = body_of(*answer);
  if (!lock) return report(with, lock.error());
  with.around.out << "until " << text_at(*lock, "expires_at") << '\n';
  return exit_code::done;
}

exit_code release(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "lock release", server.error());
  const auto answer = (*server)->remove(with_token(with, with.in.required("TOKEN")));
  return answer ? exit_code::done : report(with, answer.error());
}

exit_code show(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "lock show", server.error());
  const auto answer = (*server)->get(lock_target(with));
  if (!answer) return report(with, answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto lock = body_of(*answer);
  if (!lock) return report(with, lock.error());
  if (!flag_at(*lock, "held")) {
    with.around.out << "free\n";
    return exit_code::done;
  }
  const auto until = time_at(*lock, "expires_at");
  const std::string owner = printable(text_at(*lock, "owner"));
  const bool shared = text_at(*lock, "mode") == "shared";
  const std::string holders = shared ? fmt::format(" shared by {}", count_at(*lock, "holders"))
                                     : fmt::format("{}{}, fence {}", owner.empty() ? "" : " by ",
                                                   owner, count_at(*lock, "fence"));
  with.around.out << fmt::format("held{}, ends {}\n", holders,
                                 until ? relative_time(*until, with.around.clock.now()) : "-");
  if (const auto waiters = count_at(*lock, "waiters"); waiters > 0) {
    with.around.out << fmt::format("{} waiting\n", waiters);
  }
  return exit_code::done;
}

exit_code run_program(context& with) {
  const auto wish = wish_of(with);
  if (!wish) return report_usage(with, "lock run", wish.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "lock run", server.error());
  const auto answer = acquire(with, **server, *wish);
  if (!answer) return report_refusal(with, "lock run", answer.error());
  const auto lock = body_of(*answer);
  if (!lock) return report(with, lock.error());
  const std::string token = text_at(*lock, "token");
  return run_under_lock(with, **server,
                        {.target = with_token(with, token),
                         .resource = with.in.required("RESOURCE"),
                         .token = token,
                         .fence = std::to_string(count_at(*lock, "fence")),
                         .ttl = wish->ttl},
                        with.in.texts("COMMAND"));
}

std::vector<option> lock_options() {
  return {{.name = "--ttl",
           .value = "TIME",
           .purpose = "it ends by itself after this long: 500ms, 30s, 5m (default 30s)"},
          {.name = "--wait",
           .value = "TIME",
           .purpose = "how long to wait for its holder (default: not at all)"},
          {.name = "--owner", .value = "NAME", .purpose = "who takes it, for people"},
          {.name = "--shared", .purpose = "together with others who share it"},
          {.name = "--permits",
           .value = "N",
           .purpose = "shared by at most N at a time, 1 to 1000: a semaphore"}};
}

}  // namespace

std::vector<command> lock_commands() {
  const argument resource{.name = "RESOURCE", .purpose = "what is locked; any name"};
  const argument token{.name = "TOKEN", .purpose = "as `lock acquire` printed it"};
  return {
      {.name = "lock acquire",
       .purpose = "Take a lock; prints its token.",
       .arguments = {resource},
       .options = with_reading_options(lock_options()),
       .examples = {"millrace lock acquire nightly-report --ttl 5m --owner cron",
                    "millrace lock acquire nightly-report --wait 1m --json"},
       .run = take,
       .notes = "Exit code 1 where somebody else holds it. The fence, a number that grows with\n"
                "every grant, goes to whatever you write to, which refuses a smaller one."},
      {.name = "lock extend",
       .purpose = "Keep a lock longer.",
       .arguments = {resource, token},
       .options = with_reading_options({{.name = "--ttl",
                                         .value = "TIME",
                                         .purpose = "it ends this long from now (default 30s)"}}),
       .examples = {"millrace lock extend nightly-report $token --ttl 5m"},
       .run = extend},
      {.name = "lock release",
       .purpose = "Release a lock.",
       .arguments = {resource, token},
       .options = with_server_options({}),
       .examples = {"millrace lock release nightly-report $token"},
       .run = release},
      {.name = "lock show",
       .purpose = "Show who holds a lock.",
       .arguments = {resource},
       .options = with_reading_options({}),
       .examples = {"millrace lock show nightly-report"},
       .run = show},
      {.name = "lock run",
       .purpose = "Run a program while holding a lock.",
       .arguments = {resource,
                     {.name = "COMMAND",
                      .purpose = "the program and its arguments, behind --",
                      .repeated = true,
                      .kind = value_kind::program}},
       .options = with_server_options(lock_options()),
       .examples = {"millrace lock run nightly-report -- ./make_report --all",
                    "millrace lock run deploy --wait 10m -- ./deploy.sh",
                    "millrace lock run catalogue --shared -- ./read_catalogue",
                    "millrace lock run printer --permits 3 --wait 5m -- ./print_page"},
       .run = run_program,
       .notes = "Who waits is served in the order of arrival; nobody who shares a lock passes one\n"
                "who waits for it alone.\n\n"
                "The lock is renewed while the program runs, and released when it ends. Should it\n"
                "be lost, the program gets SIGTERM and the exit code is 1; else it is the\n"
                "program's own. The program finds MILLRACE_LOCK_RESOURCE, MILLRACE_LOCK_FENCE and\n"
                "MILLRACE_LOCK_TOKEN in its environment."},
  };
}

}  // namespace millrace::cli
