#include "commit_codec.hpp"
#include "commit_limits.hpp"
#include "limits_codec.hpp"
#include "problem.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/http/job_codec.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace millrace::http {
namespace {

using std::chrono::seconds;

void append_limit(std::string& out, const limited& one) {
  out += R"({"scope":)";
  append_json_string(out, one.scope);
  out += R"(,"id":)";
  append_json_string(out, one.id);
  const engine::limit_state& state = one.state;
  fmt::format_to(std::back_inserter(out),
                 R"(,"count":{},"limit":{},"remaining":{},"window_start":)", state.count,
                 state.limit, state.remaining);
  append_time(out, state.window_start);
  out += R"(,"reset_time":)";
  append_time(out, state.reset_time);
  if (!state.allowed) {
    out += R"(,"retry_after":)";
    append_number(out, std::chrono::duration<double>(state.retry_after).count());
  }
  if (state.blocked_until > timestamp{}) {
    out += R"(,"blocked_until":)";
    append_time(out, state.blocked_until);
  }
  if (one.dry_run) {
    out += state.allowed ? R"(,"dry_run":true)" : R"(,"dry_run":true,"would_refuse":true)";
  }
  out += '}';
}

std::int64_t whole_seconds(duration span) {
  return std::max<std::int64_t>(std::chrono::ceil<seconds>(span).count(), 0);
}

// What each limit is called in the headers: its scope, and its window where that alone is not
// enough.
std::vector<std::string> header_names(const limit_answer& answer) {
  std::vector<std::string> names;
  for (const limited& one : answer.limits) {
    const auto same = std::ranges::count(answer.limits, one.scope, &limited::scope);
    names.push_back(same == 1 ? one.scope
                              : fmt::format("{}-{}", one.scope, whole_seconds(one.window)));
  }
  return names;
}

bool has_permits(const limited& one) {
  return one.algorithm == engine::limit_algorithm::concurrency;
}

duration window_of(const limited& one) {
  if (one.window > duration{0}) return one.window;
  return one.state.reset_time - one.state.window_start;
}

// Until there is room again: where it refuses when it would not, else when nothing counts.
std::int64_t seconds_to_reset(const limited& one, timestamp at) {
  return whole_seconds(one.state.allowed ? one.state.reset_time - at : one.state.retry_after);
}

std::string limit_headers(const limit_answer& answer, bool legacy) {
  std::string policy;
  std::string state;
  const std::vector<std::string> names = header_names(answer);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const limited& one = answer.limits[i];
    if (one.dry_run) continue;
    const std::string_view comma = policy.empty() ? "" : ", ";
    fmt::format_to(std::back_inserter(policy), R"({}"{}";q={})", comma, names[i], one.state.limit);
    if (has_permits(one)) {
      policy += R"(;qu="concurrent-requests")";
    } else {
      fmt::format_to(std::back_inserter(policy), ";w={}",
                     std::max<std::int64_t>(whole_seconds(window_of(one)), 1));
    }
    fmt::format_to(std::back_inserter(state), R"({}"{}";r={};t={})", comma, names[i],
                   one.state.remaining, seconds_to_reset(one, answer.at));
  }
  std::string out;
  if (policy.empty()) return out;
  out = fmt::format("RateLimit-Policy: {}\r\nRateLimit: {}\r\n", policy, state);
  if (!legacy || !answer.binding) return out;
  const limited& one = answer.limits[*answer.binding];
  fmt::format_to(std::back_inserter(out),
                 "X-RateLimit-Limit: {}\r\nX-RateLimit-Remaining: {}\r\nX-RateLimit-Reset: {}\r\n",
                 one.state.limit, one.state.remaining, seconds_to_reset(one, answer.at));
  return out;
}

void append_rest(std::string& out, const limit_answer& answer, engine::take_mode mode,
                 std::string_view more) {
  if (mode == engine::take_mode::part) {
    fmt::format_to(std::back_inserter(out), R"(,"granted":{})", answer.granted);
  }
  if (answer.verdict == limit_verdict::listed) out += R"(,"listed":true)";
  if (answer.verdict == limit_verdict::degraded) out += R"(,"degraded":true)";
  out += R"(,"at":)";
  append_time(out, answer.at);
  if (answer.permit != 0) {
    fmt::format_to(std::back_inserter(out), R"(,"permit":{},"permit_expires_at":)", answer.permit);
    append_time(out, answer.permit_ends);
  }
  if (!answer.allowed && answer.binding) {
    const limited& binding = answer.limits[*answer.binding];
    out += R"(,"binding":{"scope":)";
    append_json_string(out, binding.scope);
    out += R"(,"id":)";
    append_json_string(out, binding.id);
    out += '}';
  }
  out += R"(,"limits":[)";
  for (const limited& one : answer.limits) {
    if (&one != &answer.limits.front()) out += ',';
    append_limit(out, one);
  }
  out += ']';
  out += more;
  out += '}';
}

error refusal_of(const limit_answer& answer) {
  if (!answer.binding) {
    return {.kind = errc::forbidden,
            .code = "limit_denied",
            .detail = "The policy's deny-list does not let this through."};
  }
  const limited& binding = answer.limits[*answer.binding];
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(answer.retry_after());
  if (binding.state.blocked_until > answer.at) {
    error why{.kind = errc::exhausted,
              .code = "limit_blocked",
              .detail = fmt::format("This {} is blocked until {}.", binding.scope,
                                    to_rfc3339(binding.state.blocked_until))};
    why.retry_after = wait;
    return why;
  }
  error why{.kind = errc::exhausted,
            .code = "limit_reached",
            .detail = fmt::format("The limit of {} by {} is reached ({} of {} used): try again in "
                                  "{} s.",
                                  binding.state.limit, binding.scope, binding.state.count,
                                  binding.state.limit,
                                  std::max<std::int64_t>(whole_seconds(answer.retry_after()), 1))};
  why.retry_after = wait;
  return why;
}

void append_consumers(std::string& out, const std::vector<limit_consumer>& of) {
  out += '[';
  for (const limit_consumer& one : of) {
    if (&one != &of.front()) out += ',';
    out += R"({"policy":)";
    append_json_string(out, one.policy);
    out += R"(,"scope":)";
    append_json_string(out, one.scope);
    out += R"(,"id":)";
    append_json_string(out, one.id);
    fmt::format_to(std::back_inserter(out), R"(,"count":{},"error":{}}})", one.count, one.error);
  }
  out += ']';
}

response refused(const error& why, const limit_answer& answer, engine::take_mode mode,
                 bool legacy_headers, std::string_view more) {
  response made = problem(why);
  made.body.pop_back();
  made.body += R"(,"allowed":false)";
  append_rest(made.body, answer, mode, more);
  made.headers += limit_headers(answer, legacy_headers);
  return made;
}

}  // namespace

response limits_response(const limit_answer& answer, engine::take_mode mode, bool legacy_headers,
                         std::string_view more) {
  if (answer.allowed || mode == engine::take_mode::peek) {
    std::string body = answer.allowed ? R"({"allowed":true)" : R"({"allowed":false)";
    append_rest(body, answer, mode, more);
    response made = json_response(std::move(body));
    made.headers = limit_headers(answer, legacy_headers);
    return made;
  }
  return refused(refusal_of(answer), answer, mode, legacy_headers, more);
}

response limits_refusal(const limit_answer& answer, std::size_t step_index, bool legacy_headers) {
  return refused(of_step(refusal_of(answer), step_index), answer, engine::take_mode::all,
                 legacy_headers, {});
}

std::string limit_stats_body(const std::map<std::string, limit_numbers>& numbers,
                             const limit_consumers& top) {
  std::string out = R"({"policies":[)";
  bool first = true;
  for (const auto& [policy, of] : numbers) {
    if (!std::exchange(first, false)) out += ',';
    out += R"({"policy":)";
    append_json_string(out, policy);
    fmt::format_to(std::back_inserter(out),
                   R"(,"allowed":{},"refused":{},"near":{},"degraded":{},"blocked":{}}})",
                   of.allowed, of.refused, of.near, of.degraded, of.blocked);
  }
  out += R"(],"used":)";
  append_consumers(out, top.used);
  out += R"(,"refused":)";
  append_consumers(out, top.refused);
  out += '}';
  return out;
}

}  // namespace millrace::http
