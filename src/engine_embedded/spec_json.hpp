#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/job.hpp>
#include <millrace/engine/store.hpp>

#include <string>
#include <string_view>
#include <vector>

/// The columns that hold JSON: what is set rarely, or has no fixed shape. What a text leaves out
/// has its default, so that later versions can add to it.
///
/// Errors: corrupted (database_corrupt) for a text that does not read.
namespace millrace::embedded {

/// Empty for no labels.
[[nodiscard]] std::string labels_to_json(const std::vector<engine::label>& labels);
[[nodiscard]] result<std::vector<engine::label>> labels_from_json(std::string_view text);

/// What of a spec has no column of its own: backoff, lease, timeout, traceparent, codec, key_id.
/// Empty where all of it has its default.
[[nodiscard]] std::string options_to_json(const engine::job_spec& spec);
[[nodiscard]] result<void> read_options(std::string_view text, engine::job_spec& into);

/// All of a spec, for recurring jobs.
[[nodiscard]] std::string spec_to_json(const engine::job_spec& spec);
[[nodiscard]] result<engine::job_spec> spec_from_json(std::string_view text);

[[nodiscard]] std::string settings_to_json(const engine::queue_settings& settings);
[[nodiscard]] result<engine::queue_settings> settings_from_json(std::string_view text);

/// What an idempotency key keeps. Of a job only its id: the rest is read again.
[[nodiscard]] std::string outcomes_to_json(const std::vector<engine::outcome>& outcomes);
[[nodiscard]] result<std::vector<engine::outcome>> outcomes_from_json(std::string_view text);

}  // namespace millrace::embedded
