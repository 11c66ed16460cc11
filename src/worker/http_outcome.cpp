#include "http_outcome.hpp"

#include "clean_text.hpp"

#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace millrace::worker_detail {
namespace {

constexpr std::size_t quoted_body_bytes = 1024;

bool is_transient(unsigned status) {
  constexpr std::array<unsigned, 4> transient_client_errors{408, 409, 425, 429};
  if (status < 400 || status >= 500) return true;
  return std::ranges::find(transient_client_errors, status) != transient_client_errors.end();
}

// Only the form in seconds: a date would set our clock against theirs.
std::optional<duration> retry_after(const client::response& answer) {
  const auto header = answer.find("Retry-After");
  if (!header) return std::nullopt;
  const auto span = parse_duration(trimmed(*header), "Retry-After");
  if (!span) return std::nullopt;
  return std::min<duration>(*span, engine::delay_max);
}

handler_result success(const client::response& answer) {
  const std::string_view body = trimmed(answer.body);
  if (body.empty()) return job_succeeded{};
  std::string json = as_json(body);
  if (json.size() > engine::item_bytes_max) {
    return job_failed{.error = fmt::format("result_too_large: the answer has more than {} bytes",
                                           engine::item_bytes_max),
                      .permanent = true};
  }
  return job_succeeded{std::move(json)};
}

}  // namespace

handler_result http_outcome(const client::response& answer) {
  if (answer.status >= 200 && answer.status < 300) return success(answer);
  const auto location = answer.find("Location");
  if (answer.status >= 300 && answer.status < 400) {
    return job_failed{.error = fmt::format("HTTP {}: a redirect{}{} is not followed; give the "
                                           "worker the URL that answers",
                                           answer.status, location ? " to " : "",
                                           clean_text(location.value_or(""), 512))};
  }
  const bool transient = is_transient(answer.status);
  job_failed failure{.error = fmt::format("HTTP {}", answer.status), .permanent = !transient};
  const std::string said = clean_text(trimmed(answer.body), quoted_body_bytes);
  if (!said.empty()) failure.error += ": " + said;
  if (transient) failure.retry_in = retry_after(answer);
  return failure;
}

}  // namespace millrace::worker_detail
