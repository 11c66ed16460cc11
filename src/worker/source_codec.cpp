#include "source_codec.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/client/message.hpp>
#include <millrace/engine/limits.hpp>

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>

namespace millrace::worker_detail {
namespace {

std::unexpected<error> bad_answer(std::string_view what) {
  return fail(errc::internal, "bad_answer",
              fmt::format("the server's answer is not understood ({}); is it a millrace server of "
                          "this version?",
                          what));
}

void append_seconds(std::string& out, std::string_view member, duration span) {
  fmt::format_to(std::back_inserter(out), "{}{}", member, to_seconds(span));
}

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

std::string text_member(const json::object& from, std::string_view name) {
  const json::value* found = from.if_contains(name);
  if (found == nullptr || !found->is_string()) return {};
  return std::string{view(found->get_string())};
}

std::optional<std::uint64_t> count_member(const json::object& from, std::string_view name) {
  const json::value* found = from.if_contains(name);
  if (found == nullptr || !found->is_int64() || found->get_int64() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(found->get_int64());
}

duration seconds_member(const json::object& from, std::string_view name) {
  const json::value* found = from.if_contains(name);
  if (found == nullptr || !found->is_number()) return duration{0};
  return seconds_to_duration(found->to_number<double>(), engine::delay_max, name)
      .value_or(duration{0});
}

timestamp time_member(const json::object& from, std::string_view name) {
  return parse_rfc3339(text_member(from, name), name).value_or(timestamp{});
}

std::string raw_or(std::string_view text, std::string_view member, std::string_view null_as) {
  const auto raw = raw_member(text, member);
  return std::string{raw && *raw != "null" ? *raw : null_as};
}

result<engine::leased_job> decode_job(const json::value& value, std::string_view raw) {
  if (!value.is_object()) return bad_answer("a job is no object");
  const json::object& from = value.get_object();
  const auto id = engine::job_id::parse(text_member(from, "id"));
  const auto token = count_member(from, "token");
  if (!id || !token || *token == 0) return bad_answer("a job without id or token");
  engine::leased_job leased{
      .what = {}, .token = *token, .leased_until = time_member(from, "leased_until")};
  engine::job& job = leased.what;
  job.id = *id;
  job.queue.name = text_member(from, "queue");
  job.status = engine::job_status::running;
  job.token = *token;
  job.attempts = static_cast<std::uint32_t>(count_member(from, "attempt").value_or(1));
  job.checkpoint = raw_or(raw, "checkpoint", "");
  job.created_at = time_member(from, "created_at");
  job.run_at = time_member(from, "run_at");
  engine::job_spec& spec = job.spec;
  spec.type = text_member(from, "type");
  spec.data = raw_or(raw, "data", "null");
  spec.priority = static_cast<std::uint8_t>(
      std::min<std::uint64_t>(count_member(from, "priority").value_or(spec.priority), 9));
  spec.max_attempts =
      static_cast<std::uint32_t>(count_member(from, "max_attempts").value_or(spec.max_attempts));
  spec.timeout = seconds_member(from, "timeout");
  spec.correlation_id = text_member(from, "correlation_id");
  spec.traceparent = text_member(from, "traceparent");
  spec.group = text_member(from, "group");
  if (const json::value* labels = from.if_contains("labels"); labels && labels->is_object()) {
    for (const auto& [key, label] : labels->get_object()) {
      if (!label.is_string()) continue;
      spec.labels.emplace_back(std::string{key.data(), key.size()}, view(label.get_string()));
    }
    std::ranges::sort(spec.labels);
  }
  return leased;
}

struct entries {
  json::value parsed;
  std::vector<std::string_view> raw;
  [[nodiscard]] const json::array& items() const { return parsed.at("jobs").get_array(); }
};

result<entries> entries_of(std::string_view body) {
  auto parsed = parse_json(body);
  if (!parsed || !parsed->is_object()) return bad_answer("no JSON object");
  const json::value* jobs = parsed->get_object().if_contains("jobs");
  const auto raw = raw_member(body, "jobs");
  if (jobs == nullptr || !jobs->is_array() || !raw) return bad_answer("no array \"jobs\"");
  entries found{.parsed = std::move(*parsed), .raw = {}};
  for_each_raw_element(*raw, [&found](std::string_view one) { found.raw.push_back(one); });
  return found;
}

error told_by(const json::value& problem, std::string_view raw) {
  const auto status = problem.is_object() ? count_member(problem.get_object(), "status")
                                          : std::optional<std::uint64_t>{};
  client::response alone{.status = static_cast<unsigned>(status.value_or(500)),
                         .headers = {},
                         .body = std::string{raw}};
  alone.status = std::clamp(alone.status, 400U, 599U);
  return client::expect_success(std::move(alone)).error();
}

}  // namespace

std::string encode_reserve(const reserve_request& request) {
  std::string body = "{\"queues\":[";
  for (const weighted_queue& one : request.queues) {
    body += body.back() == '[' ? "{\"queue\":" : ",{\"queue\":";
    append_json_string(body, one.queue.name);
    fmt::format_to(std::back_inserter(body), ",\"weight\":{}}}", one.weight);
  }
  fmt::format_to(std::back_inserter(body), "],\"max\":{}", request.max);
  append_seconds(body, ",\"wait\":", request.wait);
  if (request.lease > duration{0}) append_seconds(body, ",\"lease\":", request.lease);
  body += ",\"worker\":";
  append_json_string(body, request.worker);
  return body + "}";
}

std::string encode_fail(const engine::fail_job& step) {
  std::string body =
      fmt::format("{{\"token\":{},\"permanent\":{},\"error\":", step.token, step.permanent);
  append_json_string(body, step.error);
  if (step.retry_in) append_seconds(body, ",\"retry_in\":", *step.retry_in);
  return body + "}";
}

std::string encode_snooze(const engine::snooze_job& step) {
  return fmt::format("{{\"token\":{},\"delay\":{}}}", step.token, to_seconds(step.delay));
}

std::string encode_progress(const engine::put_progress& step) {
  std::string body = "{";
  const auto add = [&body](std::string_view name) {
    if (body.size() > 1) body += ',';
    fmt::format_to(std::back_inserter(body), "\"{}\":", name);
  };
  if (step.total_steps) add("total_steps");
  if (step.total_steps) body += std::to_string(*step.total_steps);
  if (step.step) add("step");
  if (step.step) body += std::to_string(*step.step);
  if (step.message) add("message");
  if (step.message) append_json_string(body, *step.message);
  if (step.status) add("status");
  if (step.status) append_json_string(body, engine::to_string(*step.status));
  return body + "}";
}

std::string encode_report(const engine::report_progress& step) {
  std::string body = fmt::format("{{\"token\":{}", step.token);
  if (step.value) fmt::format_to(std::back_inserter(body), ",\"value\":{}", *step.value);
  if (step.message) {
    body += ",\"message\":";
    append_json_string(body, *step.message);
  }
  if (!step.log.empty()) {
    body += ",\"log\":[";
    for (const std::string& line : step.log) {
      if (&line != &step.log.front()) body += ',';
      append_json_string(body, line);
    }
    body += ']';
  }
  return body + "}";
}

std::string encode_entry(const engine::ack_job& step) {
  std::string entry = "{\"id\":";
  append_json_string(entry, step.id.text());
  fmt::format_to(std::back_inserter(entry), ",\"token\":{},\"result\":{}}}", step.token,
                 step.result.empty() ? "null" : step.result);
  return entry;
}

std::string encode_entry(const engine::extend_lease& step) {
  std::string entry = "{\"id\":";
  append_json_string(entry, step.id.text());
  fmt::format_to(std::back_inserter(entry), ",\"token\":{}", step.token);
  if (step.lease > duration{0}) append_seconds(entry, ",\"lease\":", step.lease);
  if (step.checkpoint) entry.append(",\"checkpoint\":").append(*step.checkpoint);
  return entry + "}";
}

result<std::vector<engine::leased_job>> decode_jobs(std::string_view body) {
  auto found = entries_of(body);
  if (!found) return std::unexpected(std::move(found.error()));
  std::vector<engine::leased_job> jobs;
  jobs.reserve(found->raw.size());
  for (std::size_t i = 0; i < found->raw.size(); ++i) {
    auto job = decode_job(found->items()[i], found->raw[i]);
    if (!job) return std::unexpected(std::move(job.error()));
    jobs.push_back(std::move(*job));
  }
  return jobs;
}

result<engine::job_changed> decode_changed(std::string_view text) {
  const auto parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) return bad_answer("no JSON object");
  const json::object& from = parsed->get_object();
  const auto id = engine::job_id::parse(text_member(from, "id"));
  const auto status = engine::parse_job_status(text_member(from, "status"));
  if (!id || !status) return bad_answer("a job without id or status");
  return engine::job_changed{
      .id = *id,
      .status = *status,
      .attempts = static_cast<std::uint32_t>(count_member(from, "attempts").value_or(0)),
      .run_at = time_member(from, "run_at")};
}

result<engine::lease_extended> decode_extended(std::string_view text) {
  const auto parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) return bad_answer("no JSON object");
  const json::object& from = parsed->get_object();
  const json::value* asked = from.if_contains("cancel_requested");
  return engine::lease_extended{
      .leased_until = time_member(from, "leased_until"),
      .cancel_requested = asked != nullptr && asked->is_bool() && asked->get_bool()};
}

result<std::uint32_t> decode_total_steps(std::string_view text) {
  const auto parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) return bad_answer("no JSON object");
  const auto total = count_member(parsed->get_object(), "total_steps");
  if (!total) return bad_answer("a progress without total_steps");
  return static_cast<std::uint32_t>(*total);
}

result<std::vector<result<std::string>>> decode_entries(std::string_view body, std::size_t count) {
  const auto found = entries_of(body);
  if (!found) return std::unexpected(found.error());
  if (found->raw.size() != count) return bad_answer("another number of answers than of steps");
  std::vector<result<std::string>> told;
  told.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const json::value& item = found->items()[i];
    const json::value* problem =
        item.is_object() ? item.get_object().if_contains("error") : nullptr;
    // A job that has failed before has an error of its own, which is text.
    if (problem != nullptr && problem->is_object()) {
      told.emplace_back(
          std::unexpected(told_by(*problem, raw_member(found->raw[i], "error").value_or("{}"))));
    } else {
      told.emplace_back(std::string{found->raw[i]});
    }
  }
  return told;
}

}  // namespace millrace::worker_detail
