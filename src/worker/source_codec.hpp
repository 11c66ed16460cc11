#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/progress_steps.hpp>
#include <millrace/engine/queue_steps.hpp>
#include <millrace/queue/queue.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// The worker's half of the API's JSON: requests as text, answers as values.
///
/// Errors of the decoders: internal (`bad_answer`): whatever answered is no server of ours.
namespace millrace::worker_detail {

[[nodiscard]] std::string encode_reserve(const reserve_request& request);
[[nodiscard]] std::string encode_fail(const engine::fail_job& step);
[[nodiscard]] std::string encode_snooze(const engine::snooze_job& step);
[[nodiscard]] std::string encode_report(const engine::report_progress& step);
[[nodiscard]] std::string encode_progress(const engine::put_progress& step);

/// One entry of the `jobs` array of a bulk request.
[[nodiscard]] std::string encode_entry(const engine::ack_job& step);
[[nodiscard]] std::string encode_entry(const engine::extend_lease& step);

/// `{"jobs":[…]}`; members that are not known are passed over.
[[nodiscard]] result<std::vector<engine::leased_job>> decode_jobs(std::string_view body);
[[nodiscard]] result<engine::job_changed> decode_changed(std::string_view text);
[[nodiscard]] result<engine::lease_extended> decode_extended(std::string_view text);
/// `total_steps` of the progress of a request.
[[nodiscard]] result<std::uint32_t> decode_total_steps(std::string_view text);

/// The raw entries of a bulk answer `{"jobs":[…]}`; an entry `{"error":{…}}` as the error it tells.
/// Errors: also when there are not `count` of them.
[[nodiscard]] result<std::vector<result<std::string>>> decode_entries(std::string_view body,
                                                                      std::size_t count);

}  // namespace millrace::worker_detail
