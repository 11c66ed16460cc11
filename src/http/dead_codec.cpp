#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/http/job_codec.hpp>
#include <millrace/http/queue_codec.hpp>
#include <millrace/queue/queue.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

namespace millrace::http {
namespace {

using filter_rule = member_rule<engine::job_filter>;
constexpr std::array filter_rules{
    filter_rule{"type",
                [](const json::value& from, engine::job_filter& into, const field_path& field) {
                  return store_in(into.type, read_text(from, field));
                }},
    filter_rule{"labels",
                [](const json::value& from, engine::job_filter& into, const field_path& field) {
                  return store_in(into.labels, read_labels(from, field));
                }},
    filter_rule{"fingerprint",
                [](const json::value& from, engine::job_filter& into, const field_path& field) {
                  return store_in(into.fingerprint, read_text(from, field));
                }},
};

result<engine::job_filter> read_filter(const json::value& from, const field_path& field) {
  engine::job_filter filter;
  result<void> read = read_members<engine::job_filter>(from, filter_rules, filter, field);
  if (!read) return std::unexpected(std::move(read.error()));
  if (!filter.type && filter.labels.empty() && !filter.fingerprint) {
    return invalid(field.text(), "The filter is empty. Say {\"all\":true} if all are meant.");
  }
  return filter;
}

result<void> read_ids(const json::value& from, requeue_request& into, const field_path& field) {
  const json::array* items = from.if_array();
  if (items == nullptr || items->empty() || items->size() > engine::steps_max) {
    return invalid(field.text(), fmt::format("{} must be an array of 1 to {} job ids.",
                                             field.text(), engine::steps_max));
  }
  for (const json::value& item : *items) {
    const json::string* text = item.if_string();
    if (text == nullptr) return invalid(field.text(), "ids must be an array of strings.");
    std::optional<engine::job_id> id = engine::job_id::parse({text->data(), text->size()});
    if (id) {
      into.ids.emplace_back(std::move(*id));
    } else {
      into.ids.push_back(fail(errc::not_found, "job_not_found", "There is no such job.", "ids"));
    }
  }
  return {};
}

using requeue_rule = member_rule<requeue_request>;
constexpr std::array requeue_rules{
    requeue_rule{"ids", &read_ids},
    requeue_rule{"filter",
                 [](const json::value& from, requeue_request& into, const field_path& field) {
                   return store_in(into.filter, read_filter(from, field));
                 }},
    requeue_rule{"all",
                 [](const json::value& from, requeue_request& into, const field_path& field) {
                   return store_in(into.all, read_flag(from, field));
                 }},
};

}  // namespace

result<requeue_request> decode_requeue(std::string_view body) {
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  requeue_request request;
  result<void> read = read_members<requeue_request>(*parsed, requeue_rules, request, {});
  if (!read) return std::unexpected(std::move(read.error()));
  const int said = (request.ids.empty() ? 0 : 1) + (request.filter ? 1 : 0) + (request.all ? 1 : 0);
  if (said != 1) {
    return invalid("", "Say which: exactly one of \"ids\", \"filter\" and \"all\":true.");
  }
  return request;
}

void append_dead(std::string& out, const engine::job& job, std::optional<std::uint64_t> index) {
  const auto at = std::back_inserter(out);
  out += R"({"index":)";
  out += index ? std::to_string(*index) : "null";
  fmt::format_to(at, R"(,"id":"{}","type":)", job.id.text());
  append_json_string(out, job.spec.type);
  out.append(R"(,"data":)").append(job.spec.data);
  out += R"(,"labels":)";
  append_labels(out, job.spec.labels);
  out += R"(,"error":)";
  append_json_string(out, job.error);
  out += R"(,"error_code":)";
  append_json_string(out, job.error_code);
  fmt::format_to(at, R"(,"attempts":{},"failed_at":)", job.attempts);
  append_time(out, job.failed_at);
  out += R"(,"first_failed_at":)";
  append_time(out, job.first_failed_at);
  out += R"(,"correlation_id":)";
  append_json_string(out, correlation_of(job));
  out += '}';
}

void append_dead_stats(std::string& out, const engine::dead_stats& stats) {
  const auto at = std::back_inserter(out);
  out += R"({"queue":)";
  append_json_string(out, stats.queue.name);
  fmt::format_to(at, R"(,"count":{},"oldest":)", stats.count);
  append_time(out, stats.oldest_failed_at);
  fmt::format_to(at, R"(,"retrying":{},"failure_rate":)", stats.retrying);
  append_number(out, stats.failure_rate);
  out += R"(,"average_retries":)";
  append_number(out, stats.average_retries);
  out += R"(,"top_errors":[)";
  for (const engine::error_count& one : stats.top_errors) {
    out += &one == &stats.top_errors.front() ? R"({"fingerprint":)" : R"(,{"fingerprint":)";
    append_json_string(out, one.fingerprint);
    out += R"(,"sample":)";
    append_json_string(out, one.sample);
    fmt::format_to(at, R"(,"count":{}}})", one.count);
  }
  out += "]}";
}

}  // namespace millrace::http
