#include <millrace/engine/checks.hpp>

#include "check_values.hpp"

#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace millrace::engine {
namespace {

constexpr std::uint64_t count_max = (std::uint64_t{1} << 53U) - 1;

std::string joined(std::string_view prefix, std::string_view name) {
  return field_name{prefix, name}.text();
}

result<void> check_labels(const std::vector<label>& labels, std::string_view prefix) {
  if (labels.size() > labels_max) {
    return invalid(joined(prefix, "labels"), fmt::format("labels has {} entries: at most {} are "
                                                         "allowed.",
                                                         labels.size(), labels_max));
  }
  for (const auto& [key, value] : labels) {
    if (key.empty()) {
      return invalid(joined(prefix, "labels"), "labels must not have an empty key.");
    }
    // The key is not fit to be named before it has been checked.
    if (auto ok = check_line(key, label_key_bytes_max, {prefix, "labels"}); !ok) return ok;
    const std::string place = joined(prefix, "labels.");
    if (auto ok = check_line(value, label_value_bytes_max, {place, key}); !ok) return ok;
  }
  const auto not_after = [](const label& a, const label& b) { return a.first >= b.first; };
  const auto at = std::ranges::adjacent_find(labels, not_after);
  if (at == labels.end()) return {};
  return invalid(joined(prefix, "labels"),
                 fmt::format("labels must be sorted by key, each key once; \"{}\" is followed by "
                             "\"{}\".",
                             at->first, std::next(at)->first));
}

result<void> refuse_unsupported(const job_spec& spec, std::string_view prefix) {
  const auto refused = [prefix](std::string_view field, std::string_view what) {
    return fail(errc::unsupported, "not_supported_yet", std::string{what}, joined(prefix, field));
  };
  if (!spec.depends_on.empty()) {
    return refused("depends_on",
                   "depends_on is not supported yet: enqueue the job once the "
                   "others have ended.");
  }
  if (spec.codec != "json") return refused("codec", "codec must be \"json\" for now.");
  if (!spec.key_id.empty()) return refused("key_id", "key_id is not supported yet: leave it out.");
  return {};
}

result<void> check_due(const job_spec& spec, std::string_view prefix) {
  if (spec.run_at && spec.delay != duration{0}) {
    return invalid(joined(prefix, "run_at"),
                   "run_at and delay exclude each other: give one of them.");
  }
  if (spec.run_at) {
    if (auto ok = check_time(*spec.run_at, {prefix, "run_at"}); !ok) return ok;
  }
  return check_range(spec.delay, duration{0}, delay_max, {prefix, "delay"});
}

// The keys that tie a job to others, and the texts that travel with it.
result<void> check_ties(const job_spec& spec, std::string_view prefix) {
  if (auto ok = check_line(spec.type, type_bytes_max, {prefix, "type"}); !ok) return ok;
  if (spec.unique) {
    if (auto ok = check_key(spec.unique->key, joined(prefix, "unique.key")); !ok) return ok;
  }
  if (!spec.group.empty()) {
    if (auto ok = check_key(spec.group, joined(prefix, "group")); !ok) return ok;
  }
  if (!spec.correlation_id.empty()) {
    if (auto ok = check_key(spec.correlation_id, joined(prefix, "correlation_id")); !ok) return ok;
  }
  return check_line(spec.traceparent, type_bytes_max, {prefix, "traceparent"});
}

result<void> check_rate(const rate_bound& bound, std::string_view prefix) {
  if (auto ok = check_range(bound.limit, 0, rate_limit_max, {prefix, "limit"}); !ok) return ok;
  return check_range(bound.per, std::chrono::milliseconds{1}, rate_window_max, {prefix, "per"});
}

}  // namespace

result<void> check_job_spec(const job_spec& spec, std::string_view prefix) {
  if (auto ok = check_range(spec.priority, 0, 9, {prefix, "priority"}); !ok) return ok;
  if (auto ok = check_range(spec.max_attempts, 1, attempts_max, {prefix, "max_attempts"}); !ok) {
    return ok;
  }
  if (auto ok = check_due(spec, prefix); !ok) return ok;
  if (auto ok = check_lease(spec.lease, {prefix, "lease"}); !ok) return ok;
  if (auto ok = check_range(spec.timeout, duration{0}, timeout_max, {prefix, "timeout"}); !ok) {
    return ok;
  }
  if (auto ok = check_backoff(spec.backoff, prefix); !ok) return ok;
  if (auto ok = check_ties(spec, prefix); !ok) return ok;
  if (auto ok = check_labels(spec.labels, prefix); !ok) return ok;
  if (auto ok = refuse_unsupported(spec, prefix); !ok) return ok;
  return check_item(spec.data, {prefix, "data"});
}

result<void> check_job_spec(const job_spec& spec) { return check_job_spec(spec, {}); }

result<void> check_queue_settings(const queue_settings& settings) {
  if (auto ok = check_rate(settings.rate, "rate."); !ok) return ok;
  if (auto ok = check_rate(settings.group_rate, "group_rate."); !ok) return ok;
  if (auto ok = check_range(settings.depth_max.value(), 0, count_max, {{}, "depth_max"}); !ok)
    return ok;
  if (auto ok =
          check_range(settings.keep_finished.value(), duration{0}, keep_max, {{}, "keep_finished"});
      !ok) {
    return ok;
  }
  if (auto ok = check_range(settings.keep_finished_count.value(), 0, count_max,
                            {{}, "keep_finished_count"});
      !ok) {
    return ok;
  }
  if (auto ok = check_range(settings.keep_dead.value(), duration{0}, keep_max, {{}, "keep_dead"});
      !ok) {
    return ok;
  }
  if (settings.backoff) {
    if (auto ok = check_backoff(*settings.backoff, {}); !ok) return ok;
  }
  if (settings.max_attempts) {
    if (auto ok = check_range(*settings.max_attempts, 1, attempts_max, {{}, "max_attempts"}); !ok) {
      return ok;
    }
  }
  const std::int32_t moved = settings.priority_step_on_failure;
  if (moved >= -9 && moved <= 9) return {};
  return invalid("priority_step_on_failure",
                 fmt::format("priority_step_on_failure must be -9 to 9; {} was given.", moved));
}

result<void> check_cron_entry(const cron_entry& entry) {
  if (auto ok = check_name(entry.project, "project"); !ok) return ok;
  if (auto ok = check_name(entry.name, "name"); !ok) return ok;
  if (auto ok = check_name(entry.queue, "queue"); !ok) return ok;
  if (entry.schedule.empty()) return invalid("schedule", "schedule must not be empty.");
  if (auto ok = check_line(entry.schedule, schedule_bytes_max, {{}, "schedule"}); !ok) return ok;
  if (entry.time_zone.empty()) return invalid("time_zone", "time_zone must not be empty.");
  if (auto ok = check_line(entry.time_zone, time_zone_bytes_max, {{}, "time_zone"}); !ok) {
    return ok;
  }
  if (entry.next_at) {
    if (auto ok = check_time(*entry.next_at, {{}, "next_at"}); !ok) return ok;
  }
  if (entry.job.run_at) {
    return invalid("job.run_at",
                   "job.run_at has no meaning in a recurring job: its slots say "
                   "when it runs.");
  }
  return check_job_spec(entry.job, "job.");
}

}  // namespace millrace::engine
