#pragma once

#include "problem.hpp"
#include "service.hpp"

#include <millrace/engine/job.hpp>
#include <millrace/engine/lock_steps.hpp>
#include <millrace/engine/queries.hpp>
#include <millrace/http/target.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// What several routes read from a request in the same way.
namespace millrace::http {

/// The queue that the path names.
[[nodiscard]] result<engine::queue_key> queue_in_path(const service& with, const request& what);

/// The job that the path names. A text that cannot be an id names none: job_not_found.
[[nodiscard]] result<engine::job_id> job_in_path(const request& what);

[[nodiscard]] error job_not_found();
[[nodiscard]] error queue_not_found(const std::string& name);

/// Refuses any query parameter.
[[nodiscard]] result<void> check_no_query(const request& what);
/// Refuses any query parameter, and any member in the body: there is nothing to say here.
[[nodiscard]] result<void> check_bare(const request& what);

/// How much of a list is asked for.
struct list_request {
  std::uint32_t limit{0};
  std::string cursor;
};
[[nodiscard]] list_request read_list_request(query_reader& query);

/// Whether `order=newest` is given, or `otherwise` where nothing is. Errors: invalid_argument for
/// anything but that and `order=oldest`.
[[nodiscard]] result<bool> read_newest_first(query_reader& query, bool otherwise);

/// A page of jobs that is bounded in bytes too: jobs may carry a megabyte each, and a page holds up
/// to a thousand. Reads small pages until it has enough of either.
[[nodiscard]] awaitable<result<engine::page<engine::job>>> list_bounded(service& with,
                                                                        engine::list_jobs asked);

/// `?guard=RESOURCE&fence=N`: what is written only behind the fence of a lock. Empty where neither
/// is given. Errors: invalid_argument for one without the other.
[[nodiscard]] result<std::optional<engine::pass_fence>> read_guard(query_reader& query,
                                                                   const std::string& project);

/// The version of an entity tag such as `"17"`; empty for what is none of ours.
[[nodiscard]] std::optional<std::uint64_t> version_of_tag(std::string_view tag);

/// Appends `,"cursor":…}`: null on the last page.
void append_list_end(std::string& out, const std::string& cursor);

}  // namespace millrace::http
