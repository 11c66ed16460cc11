#include "script.hpp"

#include "lua_parts.hpp"

#include <millrace/engine/event_steps.hpp>
#include <millrace/engine/fingerprint.hpp>
#include <millrace/engine/job.hpp>
#include <millrace/engine/limits.hpp>

#include <fmt/format.h>

#include <string_view>

namespace millrace::engine_redis {
namespace {

constexpr std::string_view expired_text = "The lease ended before the worker had answered.";

long long micros(duration span) { return span.count(); }

}  // namespace

std::string script_text() {
  const engine::queue_settings normal;
  std::string text = fmt::format(
      "local limits = {{layout={}, queues={}, crons={}, depth_max={}, keep_finished={}, "
      "keep_finished_count={}, keep_dead={}, "
      "lease_default={}, log_lines={}, causes={}, listing_rows={}, idempotency_keys={}, "
      "idempotency_kept={}, expired_text='{}', expired_cause='{}'",
      layout_version, engine::queues_max, engine::crons_max, normal.depth_max.value(),
      micros(normal.keep_finished), normal.keep_finished_count.value(), micros(normal.keep_dead),
      micros(engine::lease_default), engine::log_lines_max, engine::fingerprints_max,
      engine::listing_rows_max, engine::idempotency_keys_max, micros(engine::idempotency_kept),
      expired_text, engine::error_fingerprint(expired_text));
  const engine::event_retention kept;
  text += fmt::format(
      ", streams={}, event_count={}, event_age={}, event_bytes={}, events_trimmed={}, "
      "event_ids={}, event_id_kept={}, event_page_bytes={}, locks={}, live_records={}, agents={}, "
      "progress_marks={}}}\n",
      engine::streams_max, kept.count, micros(kept.age), kept.bytes, engine::events_trimmed_at_once,
      engine::event_ids_max, micros(engine::event_id_kept), engine::event_page_bytes_max,
      engine::locks_max, engine::live_records_max, engine::agents_max, engine::progress_marks_max);
  for (const std::string_view part : script_parts) text += part;
  return text;
}

}  // namespace millrace::engine_redis
