#include <millrace/base/json.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/http/job_codec.hpp>

#include <fmt/compile.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <optional>

namespace millrace::http {
namespace {

void append_integer(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

// Words of ours and texts without anything to escape.
void append_plain(std::string& out, std::string_view member, std::string_view text) {
  out.append(member).append(text);
  out += '"';
}

void append_text(std::string& out, std::string_view member, std::string_view text) {
  out += member;
  append_json_string(out, text);
}

void append_raw_or_null(std::string& out, std::string_view member, std::string_view raw) {
  out.append(member).append(raw.empty() ? std::string_view{"null"} : raw);
}

// Line breaks in JSON stand between its parts, never inside a string, so that a space says the
// same.
void append_one_line(std::string& out, std::string_view member, std::string_view raw) {
  const std::size_t begin = out.size();
  append_raw_or_null(out, member, raw);
  for (std::size_t i = begin; i < out.size(); ++i) {
    if (out[i] == '\n' || out[i] == '\r') out[i] = ' ';
  }
}

// What most jobs do not have stands only where it is set.
void append_rare(std::string& out, const engine::job& job) {
  const engine::job_spec& spec = job.spec;
  if (!spec.group.empty()) append_text(out, R"(,"group":)", spec.group);
  if (spec.unique) {
    append_text(out, R"(,"unique":{"key":)", spec.unique->key);
    out += '}';
  }
  if (spec.lease > duration{0}) {
    out += R"(,"lease":)";
    append_number(out, to_seconds(spec.lease));
  }
  if (spec.timeout > duration{0}) {
    out += R"(,"timeout":)";
    append_number(out, to_seconds(spec.timeout));
  }
  if (!spec.traceparent.empty()) append_text(out, R"(,"traceparent":)", spec.traceparent);
  if (!job.error_code.empty()) append_text(out, R"(,"error_code":)", job.error_code);
  if (job.first_failed_at) {
    out += R"(,"first_failed_at":)";
    append_time(out, job.first_failed_at);
  }
  if (job.failed_at) {
    out += R"(,"failed_at":)";
    append_time(out, job.failed_at);
  }
  if (job.leased_until && job.status == engine::job_status::running) {
    out += R"(,"leased_until":)";
    append_time(out, job.leased_until);
    if (!job.worker.empty()) append_text(out, R"(,"worker":)", job.worker);
  }
  if (job.cancel_requested) out += R"(,"cancel_requested":true)";
}

}  // namespace

void append_open_job(std::string& out, const engine::job& job, job_view view) {
  const engine::job_spec& spec = job.spec;
  append_plain(out, R"({"id":")", job.id.text());
  append_text(out, R"(,"queue":)", job.queue.name);
  append_text(out, R"(,"type":)", spec.type);
  if (view == job_view::whole) append_raw_or_null(out, R"(,"data":)", spec.data);
  out += R"(,"labels":)";
  append_labels(out, spec.labels);
  out += R"(,"priority":)";
  append_integer(out, spec.priority);
  append_plain(out, R"(,"status":")", engine::to_string(job.status));
  out += R"(,"attempts":)";
  append_integer(out, job.attempts);
  out += R"(,"max_attempts":)";
  append_integer(out, spec.max_attempts);
  out += R"(,"created_at":)";
  append_time(out, job.created_at);
  out += R"(,"run_at":)";
  append_time(out, job.run_at);
  out += R"(,"started_at":)";
  append_time(out, job.started_at);
  out += R"(,"finished_at":)";
  append_time(out, job.finished_at);
  if (view == job_view::whole) {
    append_raw_or_null(out, R"(,"result":)", job.result);
  } else {
    append_one_line(out, R"(,"result":)", job.result);
  }
  out += R"(,"error":)";
  if (job.error.empty()) {
    out += "null";
  } else {
    append_json_string(out, job.error);
  }
  out += R"(,"progress":)";
  if (job.progress) {
    append_progress(out, *job.progress);
  } else {
    out += "null";
  }
  if (view == job_view::whole) append_raw_or_null(out, R"(,"checkpoint":)", job.checkpoint);
  append_text(out, R"(,"correlation_id":)", correlation_of(job));
  append_plain(out, R"(,"durability":")", engine::to_string(job.level));
  append_rare(out, job);
}

void append_job(std::string& out, const engine::job& job, job_view view) {
  append_open_job(out, job, view);
  out += '}';
}

void append_leased(std::string& out, const engine::leased_job& leased) {
  append_open_job(out, leased.what);
  out += R"(,"token":)";
  append_integer(out, leased.token);
  out += R"(,"attempt":)";
  append_integer(out, leased.what.attempts);
  if (!leased.what.leased_until) {
    out += R"(,"leased_until":)";
    append_time(out, leased.leased_until);
  }
  out += '}';
}

void append_changed(std::string& out, const engine::job_changed& changed) {
  append_plain(out, R"({"id":")", changed.id.text());
  append_plain(out, R"(,"status":")", engine::to_string(changed.status));
  out += R"(,"attempts":)";
  append_integer(out, changed.attempts);
  out += R"(,"run_at":)";
  append_time(out, changed.run_at);
  out +=
      changed.cancel_requested ? R"(,"cancel_requested":true})" : R"(,"cancel_requested":false})";
}

void append_extended(std::string& out, const engine::lease_extended& extended) {
  out += R"({"leased_until":)";
  append_time(out, extended.leased_until);
  out +=
      extended.cancel_requested ? R"(,"cancel_requested":true})" : R"(,"cancel_requested":false})";
}

void append_progress(std::string& out, const engine::job_progress& progress) {
  out += R"({"value":)";
  append_number(out, progress.value);
  append_text(out, R"(,"message":)", progress.message);
  out += R"(,"updated_at":)";
  append_time(out, progress.updated_at);
  out += '}';
}

void append_log(std::string& out, const std::vector<engine::job_log_line>& lines) {
  out += '[';
  for (const engine::job_log_line& line : lines) {
    if (&line != &lines.front()) out += ',';
    out += R"({"at":)";
    append_time(out, line.at);
    append_text(out, R"(,"text":)", line.text);
    out += '}';
  }
  out += ']';
}

void append_time(std::string& out, const std::optional<timestamp>& at) {
  if (!at) {
    out += "null";
    return;
  }
  out += '"';
  out += to_rfc3339(*at);
  out += '"';
}

void append_labels(std::string& out, const std::vector<engine::label>& labels) {
  out += '{';
  for (const engine::label& one : labels) {
    if (&one != &labels.front()) out += ',';
    append_json_string(out, one.first);
    out += ':';
    append_json_string(out, one.second);
  }
  out += '}';
}

void append_backoff(std::string& out, const backoff_spec& spec) {
  constexpr std::array<std::string_view, 4> strategies{"exponential", "linear", "fixed",
                                                       "polynomial"};
  constexpr std::array<std::string_view, 4> jitters{"lengthen", "none", "full", "equal"};
  append_plain(out, R"({"strategy":")", strategies[static_cast<std::size_t>(spec.strategy)]);
  out += R"(,"base":)";
  append_number(out, to_seconds(spec.base));
  out += R"(,"max":)";
  append_number(out, to_seconds(spec.max));
  append_plain(out, R"(,"jitter":")", jitters[static_cast<std::size_t>(spec.jitter)]);
  out += '}';
}

std::string_view unique_mode_name(engine::unique_mode mode) noexcept {
  switch (mode) {
    case engine::unique_mode::reject: return "reject";
    case engine::unique_mode::replace: return "replace";
    case engine::unique_mode::debounce: return "debounce";
  }
  return "reject";
}

void append_number(std::string& out, double number) {
  // JSON knows no infinity; nothing of ours makes one.
  if (!std::isfinite(number)) number = 0;
  fmt::format_to(std::back_inserter(out), FMT_COMPILE("{}"), number);
}

}  // namespace millrace::http
