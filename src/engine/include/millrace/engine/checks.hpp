#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <optional>

/// What can be said about a request without looking at the store: shapes, ranges and sizes. Every
/// engine refuses what these refuse, before anything else; capabilities call them to answer early.
///
/// Errors: invalid_argument, too_large, unsupported; `field` is named as the HTTP API names it.
namespace millrace::engine {

[[nodiscard]] result<void> check_job_spec(const job_spec& spec);

[[nodiscard]] result<void> check_queue_settings(const queue_settings& settings);

/// The shape only: whether the schedule and the time zone mean something, the queue room says.
/// Fields of the job are named `job.<field>`.
[[nodiscard]] result<void> check_cron_entry(const cron_entry& entry);

[[nodiscard]] result<void> check_cache_tags(const std::vector<std::string>& tags);
[[nodiscard]] result<void> check_cache_pattern(std::string_view pattern);
[[nodiscard]] result<void> check_read(const read_cache& what);
/// A limit by itself, whatever it is asked for; fields are named `<prefix>limit` and so on.
[[nodiscard]] result<void> check_limit(const limit_check& what, const std::string& prefix);

[[nodiscard]] result<void> check_step(const step& what);

/// Each step by itself, their number, and that no record is addressed twice (duplicate_target):
/// a job, a unique key, a queue's settings, a recurring job, an event's id, a lock and so on;
/// `lease_jobs` and each purge once, and one step about limits and one about sessions.
///
/// Cost: O(n log n) in the steps that address a record.
[[nodiscard]] std::optional<refusal> check_transaction(const transaction& what);

}  // namespace millrace::engine
