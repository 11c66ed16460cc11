#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/job.hpp>
#include <millrace/engine/queries.hpp>
#include <millrace/engine/queue_steps.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Queues, dead letters and recurring jobs as JSON, in the shapes of the API. Decoders as strict as
/// those of job_codec.hpp.
namespace millrace::http {

/// Settings over those there are: what is left out stays, `null` goes back to the default.
[[nodiscard]] result<engine::queue_settings> decode_queue_settings(std::string_view body,
                                                                   engine::queue_settings base);
/// `{"what":"waiting|finished|dead"}`; waiting where nothing is said.
[[nodiscard]] result<engine::purge_target> decode_purge(std::string_view body);
/// `now` is the store's.
void append_queue(std::string& out, const engine::queue_info& queue, timestamp now);

/// Which dead letters to bring back: exactly one of the three has been said.
struct requeue_request {
  std::vector<result<engine::job_id>> ids;
  std::optional<engine::job_filter> filter;
  bool all{false};
};
[[nodiscard]] result<requeue_request> decode_requeue(std::string_view body);
/// `index` is its place among the queue's dead letters, where that is known.
void append_dead(std::string& out, const engine::job& job, std::optional<std::uint64_t> index);
void append_dead_stats(std::string& out, const engine::dead_stats& stats);

/// A recurring job as it was written, not yet prepared.
[[nodiscard]] result<engine::cron_entry> decode_cron(std::string_view body, std::string project,
                                                     std::string name);
void append_cron(std::string& out, const engine::cron_entry& entry);

}  // namespace millrace::http
