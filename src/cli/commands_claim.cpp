#include "commands.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "people.hpp"
#include "server_call.hpp"

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <ostream>
#include <string>
#include <utility>

namespace millrace::cli {
namespace {

std::string claim_target(const context& with, std::string_view verb) {
  return fmt::format("/v1/cache/{}:{}", client::encode_segment(with.in.required("KEY")), verb);
}

// The lease alone goes to the output, for scripts.
exit_code claim(context& with) {
  const auto wait = with.in.span("--wait");
  if (!wait) return report_usage(with, "cache claim", wait.error());
  const auto lease = with.in.span("--lease");
  if (!lease) return report_usage(with, "cache claim", lease.error());
  json_writer body;
  body.seconds("wait", *wait);
  body.seconds("lease", *lease);
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "cache claim", server.error());
  const auto longest = std::chrono::ceil<std::chrono::milliseconds>(wait->value_or(duration{0}));
  const auto answer = (*server)->call({.method = client::verb::post,
                                       .target = claim_target(with, "claim"),
                                       .headers = {},
                                       .body = std::move(body).finish(),
                                       .timeout = longest + std::chrono::seconds{30}});
  if (!answer) return report_refusal(with, "cache claim", answer.error());
  const auto claimed = body_of(*answer);
  if (!claimed) return report(with, claimed.error());
  const std::string state = text_at(*claimed, "state");
  const exit_code code = state == "wait" ? exit_code::failed : exit_code::done;
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return code;
  }
  if (state == "fill") {
    with.around.out << text_at(*claimed, "lease") << '\n';
    with.around.err << fmt::format("yours to fill until {}\n", text_at(*claimed, "lease_until"));
  } else if (state == "hit") {
    with.around.err << "there is a value: see `millrace cache get`\n";
  } else {
    with.around.err << "somebody else is loading it\n";
  }
  return code;
}

exit_code renew(context& with) {
  const auto length = with.in.span("--lease");
  if (!length) return report_usage(with, "cache renew", length.error());
  json_writer body;
  body.text("lease", with.in.required("LEASE"));
  body.seconds("length", *length);
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "cache renew", server.error());
  const auto answer = (*server)->post(claim_target(with, "renew"), std::move(body).finish());
  if (!answer) return report_refusal(with, "cache renew", answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto kept = body_of(*answer);
  if (!kept) return report(with, kept.error());
  with.around.out << "until " << text_at(*kept, "lease_until") << '\n';
  return exit_code::done;
}

exit_code release(context& with) {
  json_writer body;
  body.text("lease", with.in.required("LEASE"));
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "cache release", server.error());
  const auto answer = (*server)->post(claim_target(with, "release"), std::move(body).finish());
  return answer ? exit_code::done : report_refusal(with, "cache release", answer.error());
}

}  // namespace

std::vector<command> claim_commands() {
  const argument key{.name = "KEY", .purpose = "its key"};
  const argument lease{.name = "LEASE", .purpose = "as `cache claim` printed it"};
  return {
      {.name = "cache claim",
       .purpose = "Ask for the right to load a value; prints its lease.",
       .arguments = {key},
       .options = with_reading_options(
           {{.name = "--wait",
             .value = "TIME",
             .purpose = "how long to wait for whoever loads it (default: not at all)"},
            {.name = "--lease",
             .value = "TIME",
             .purpose = "how long it is yours to load: 1s to 1h (default 30s)"}}),
       .examples = {"lease=$(millrace cache claim report --wait 10s)"},
       .run = claim,
       .notes = "Then: millrace cache set report '{\"n\":1}' --lease \"$lease\"\n"
                "Nothing is printed where there is a value. Exit code 1 where somebody else is\n"
                "loading it."},
      {.name = "cache renew",
       .purpose = "Keep the right to load a value.",
       .arguments = {key, lease},
       .options = with_reading_options({{.name = "--lease",
                                         .value = "TIME",
                                         .purpose = "how long from now: 1s to 1h (default 30s)"}}),
       .examples = {"millrace cache renew report $lease --lease 1m"},
       .run = renew},
      {.name = "cache release",
       .purpose = "Give back the right to load a value, unloaded.",
       .arguments = {key, lease},
       .options = with_server_options({}),
       .examples = {"millrace cache release report $lease"},
       .run = release},
  };
}

}  // namespace millrace::cli
