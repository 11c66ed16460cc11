#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/http/job_codec.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <array>
#include <chrono>
#include <utility>

namespace millrace::http {
namespace {

constexpr std::chrono::seconds wait_max{60};
constexpr std::int64_t reserve_jobs_max = 1000;
constexpr std::size_t reserve_queues_max = 64;
constexpr std::int64_t weight_max = 1000;
constexpr std::size_t worker_bytes_max = 128;

using reserve_rule = member_rule<reserve_request>;
using weighted_rule = member_rule<weighted_queue>;

constexpr std::array weighted_rules{
    weighted_rule{"queue",
                  [](const json::value& from, weighted_queue& into, const field_path& field) {
                    return store_in(into.queue.name, read_text(from, field));
                  }},
    weighted_rule{"weight",
                  [](const json::value& from, weighted_queue& into, const field_path& field) {
                    return store_in(into.weight, read_integer(from, 1, weight_max, field));
                  }},
};

result<std::vector<weighted_queue>> read_queues(const json::value& from, const field_path& field) {
  const json::array* items = from.if_array();
  if (items == nullptr || items->empty() || items->size() > reserve_queues_max) {
    return invalid(field.text(), fmt::format("{} must be an array of 1 to {} names, or of "
                                             "{{\"queue\",\"weight\"}} objects.",
                                             field.text(), reserve_queues_max));
  }
  std::vector<weighted_queue> queues;
  for (const json::value& item : *items) {
    weighted_queue& one = queues.emplace_back();
    result<void> read = item.is_string()
                            ? store_in(one.queue.name, read_text(item, field))
                            : read_members<weighted_queue>(item, weighted_rules, one, field);
    if (!read) return std::unexpected(std::move(read.error()));
  }
  return queues;
}

constexpr std::array reserve_rules{
    reserve_rule{"max",
                 [](const json::value& from, reserve_request& into, const field_path& field) {
                   return store_in(into.max, read_integer(from, 1, reserve_jobs_max, field));
                 }},
    reserve_rule{"wait",
                 [](const json::value& from, reserve_request& into, const field_path& field) {
                   return store_in(into.wait, read_seconds(from, wait_max, field));
                 }},
    reserve_rule{"lease",
                 [](const json::value& from, reserve_request& into, const field_path& field) {
                   return store_in(into.lease, read_lease(from, field));
                 }},
    reserve_rule{"worker",
                 [](const json::value& from, reserve_request& into, const field_path& field) {
                   return store_in(into.worker, read_text(from, field));
                 }},
    // Last, so that a reserve of the queue in the path can leave it out.
    reserve_rule{"queues",
                 [](const json::value& from, reserve_request& into, const field_path& field) {
                   return store_in(into.queues, read_queues(from, field));
                 }},
};

result<reserve_request> read_reserve(std::string_view body, std::span<const reserve_rule> rules) {
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  reserve_request request;
  result<void> read = read_members<reserve_request>(*parsed, rules, request, {});
  if (!read) return std::unexpected(std::move(read.error()));
  if (request.worker.size() > worker_bytes_max) {
    return invalid("worker", fmt::format("worker must be at most {} bytes.", worker_bytes_max));
  }
  return request;
}

}  // namespace

result<reserve_request> decode_reserve(std::string_view body, const engine::queue_key& queue) {
  result<reserve_request> request =
      read_reserve(body, std::span{reserve_rules}.first(reserve_rules.size() - 1));
  if (request) request->queues.push_back({.queue = queue});
  return request;
}

result<reserve_request> decode_reserve_many(std::string_view body, const std::string& project) {
  result<reserve_request> request = read_reserve(body, reserve_rules);
  if (!request) return request;
  if (request->queues.empty()) {
    return invalid("queues", "queues is missing: name the queues to reserve from.");
  }
  for (weighted_queue& one : request->queues) {
    one.queue.project = project;
    result<void> named = check_name(one.queue.name, "queues.queue");
    if (!named) return std::unexpected(std::move(named.error()));
  }
  return request;
}

}  // namespace millrace::http
