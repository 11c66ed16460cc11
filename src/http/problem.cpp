#include "problem.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace millrace::http {
namespace {

std::string_view title_of(unsigned status) noexcept {
  switch (status) {
    case 400: return "Malformed request";
    case 403: return "Not permitted";
    case 404: return "Not found";
    case 405: return "Method not allowed";
    case 408: return "Request took too long";
    case 409: return "Conflict with the current state";
    case 412: return "Precondition failed";
    case 413: return "Too large";
    case 415: return "Unsupported content type";
    case 417: return "Expectation failed";
    case 422: return "Invalid value";
    case 429: return "A bound is reached";
    case 431: return "Header too large";
    case 501: return "Not implemented";
    case 503: return "Not available now";
    case 507: return "Storage is full";
    default: return "Internal defect";
  }
}

// A second is what a client should wait where the error knows nothing better: a full queue or a
// busy store changes from one second to the next.
std::int64_t retry_after_seconds(const error& why) {
  if (!why.retry_after) return 1;
  const auto whole = std::chrono::ceil<std::chrono::seconds>(*why.retry_after);
  return std::max<std::int64_t>(whole.count(), 1);
}

// Texts may quote what a client sent, cut somewhere: an answer is UTF-8 all the same.
std::string shown(std::string_view text) {
  std::string out{text};
  if (!is_utf8(text)) {
    std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  }
  return out;
}

}  // namespace

unsigned status_of(const error& why) noexcept {
  switch (why.kind) {
    case errc::malformed: return 400;
    case errc::invalid_argument:
    case errc::unsupported: return 422;
    case errc::too_large: return 413;
    case errc::not_found: return 404;
    case errc::conflict: return 409;
    case errc::precondition_failed: return 412;
    case errc::forbidden: return 403;
    case errc::exhausted:
      // The server is at its bound here, not the caller at one of its own.
      return why.code == "store_busy" || why.code == "idempotency_store_full" ||
                     why.code == "too_many_limits"
                 ? 503
                 : 429;
    case errc::unavailable:
    case errc::outcome_unknown:
    case errc::deadline_exceeded:
    case errc::cancelled: return 503;
    case errc::storage_full: return 507;
    case errc::corrupted:
    case errc::internal: return 500;
  }
  return 500;
}

void append_problem(std::string& out, const error& why, unsigned status) {
  const auto at = std::back_inserter(out);
  fmt::format_to(at, R"({{"type":"/problems/{}","title":"{}","status":{},"detail":)", why.code,
                 title_of(status), status);
  append_json_string(out, shown(why.detail));
  fmt::format_to(at, R"(,"code":"{}")", why.code);
  if (!why.field.empty()) {
    out += R"(,"field":)";
    append_json_string(out, shown(why.field));
  }
  if (status == 429 || status == 503) {
    fmt::format_to(at, R"(,"retry_after":{})", retry_after_seconds(why));
  }
  out += '}';
}

void append_problem(std::string& out, const error& why) {
  append_problem(out, why, status_of(why));
}

response problem(const error& why) { return problem(status_of(why), why); }

response problem(unsigned status, const error& why) {
  response made{.status = status, .content_type = problem_type, .code = why.code};
  append_problem(made.body, why, status);
  if (status == 429 || status == 503) {
    made.headers = fmt::format("Retry-After: {}\r\n", retry_after_seconds(why));
  }
  return made;
}

}  // namespace millrace::http
