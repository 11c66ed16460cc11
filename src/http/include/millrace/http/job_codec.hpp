#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/job.hpp>
#include <millrace/engine/queue_steps.hpp>
#include <millrace/queue/queue.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Jobs and the steps of a run as JSON, in the shapes of the API.
///
/// Every decoder takes any bytes. An empty body counts as `{}`. A member that is not known is
/// refused (unknown_member), so that no typing error passes in silence; a `null` counts as not
/// given, except for data, result and checkpoint. `data`, `result` and `checkpoint` keep the bytes
/// they came with.
///
/// Errors: malformed (malformed_json), too_large, invalid_argument with the field.
namespace millrace::http {

/// A body of an enqueue: one job, or an array of them each of which may be refused by itself.
struct enqueue_body {
  bool many{false};
  /// Exactly one unless `many`.
  std::vector<result<enqueue_request>> items;
};

[[nodiscard]] result<enqueue_request> decode_enqueue(std::string_view body,
                                                     const engine::queue_key& queue);
/// An object or an array of at most 10 000.
[[nodiscard]] result<enqueue_body> decode_enqueue_body(std::string_view body,
                                                       const engine::queue_key& queue);

/// `{"max","wait","lease","worker"}`, and `queues` where the path names none.
[[nodiscard]] result<reserve_request> decode_reserve(std::string_view body,
                                                     const engine::queue_key& queue);
[[nodiscard]] result<reserve_request> decode_reserve_many(std::string_view body,
                                                          const std::string& project);

[[nodiscard]] result<engine::ack_job> decode_ack(std::string_view body, engine::job_id id);
[[nodiscard]] result<engine::fail_job> decode_fail(std::string_view body, engine::job_id id);
[[nodiscard]] result<engine::extend_lease> decode_extend(std::string_view body, engine::job_id id);
[[nodiscard]] result<engine::snooze_job> decode_snooze(std::string_view body, engine::job_id id);
[[nodiscard]] result<engine::report_progress> decode_progress(std::string_view body,
                                                              engine::job_id id);

/// `{"jobs":[{"id","token",…}]}`: one entry an item, at most 10 000.
[[nodiscard]] result<std::vector<result<engine::ack_job>>> decode_acks(std::string_view body);
[[nodiscard]] result<std::vector<result<engine::extend_lease>>> decode_extends(
    std::string_view body);

/// How much of a job is written.
enum class job_view : std::uint8_t {
  whole,
  /// Without data and checkpoint, in one line: what an event carries.
  status,
};

/// Appends the job as a JSON object without its closing brace, so that more members can follow.
void append_open_job(std::string& out, const engine::job& job, job_view view = job_view::whole);
/// Appends the job as a JSON object.
void append_job(std::string& out, const engine::job& job, job_view view = job_view::whole);
/// With `token`, `attempt` and `leased_until`.
void append_leased(std::string& out, const engine::leased_job& leased);
void append_changed(std::string& out, const engine::job_changed& changed);
void append_extended(std::string& out, const engine::lease_extended& extended);
/// `{"value","message","updated_at"}`.
void append_progress(std::string& out, const engine::job_progress& progress);
/// An array of `{"at","text"}`.
void append_log(std::string& out, const std::vector<engine::job_log_line>& lines);
/// `null` where there is none.
void append_time(std::string& out, const std::optional<timestamp>& at);
void append_labels(std::string& out, const std::vector<engine::label>& labels);
void append_backoff(std::string& out, const backoff_spec& spec);
[[nodiscard]] std::string_view unique_mode_name(engine::unique_mode mode) noexcept;
/// Shortest form that reads back as the same number.
void append_number(std::string& out, double number);

}  // namespace millrace::http
