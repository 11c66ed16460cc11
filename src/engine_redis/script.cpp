#include "script.hpp"

#include "lua_cache_read.hpp"
#include "lua_parts.hpp"

#include <millrace/engine/cache_steps.hpp>
#include <millrace/engine/event_steps.hpp>
#include <millrace/engine/fingerprint.hpp>
#include <millrace/engine/job.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/engine/session_steps.hpp>

#include <fmt/format.h>

#include <string_view>

namespace millrace::engine_redis {
namespace {

constexpr std::string_view expired_text = "The lease ended before the worker had answered.";

long long micros(duration span) { return span.count(); }

}  // namespace

std::string script_body(std::uint64_t cache_bytes_max) {
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
  text += fmt::format(
      "limits.cache_bytes, limits.cache_evictions, limits.cache_claims = {}, {}, {}\n"
      "limits.cache_tag_marks, limits.cache_scan_rows, limits.claim_lease = {}, {}, {}\n",
      cache_bytes_max, engine::cache_evictions_max, engine::cache_claims_max,
      engine::cache_tag_marks_max, engine::cache_scan_rows_max, micros(engine::claim_lease_max));
  text += fmt::format(
      "limits.sessions, limits.user_sessions, limits.session_fields, limits.session_bytes = "
      "{}, {}, {}, {}\n",
      engine::sessions_max, engine::user_sessions_max, engine::session_fields_max,
      engine::session_bytes_max);
  text += fmt::format(
      "limits.lock_holders, limits.lock_waiters, limits.lock_turn = {}, {}, {}\n"
      "limits.lock_turn_min = {}\n"
      "limits.fences, limits.fence_kept = {}, {}\n"
      "limits.stream_groups, limits.groups, limits.group_pending = {}, {}, {}\n",
      engine::lock_holders_max, engine::lock_waiters_max, micros(engine::lock_turn), micros(engine::lock_turn_min),
      engine::fences_max, micros(engine::fence_kept), engine::stream_groups_max, engine::groups_max,
      engine::group_pending_max);
  text += fmt::format("limits.correlated = {}\n", engine::correlated_max);
  for (const std::string_view part : script_parts) text += part;
  return text;
}

redis::command load_command(const script_entry& what) {
  if (what.what == script_entry::kind::script) {
    return redis::command("SCRIPT").arg("LOAD").arg(what.body + "return answer_call(KEYS, ARGV)\n");
  }
  // Made with the first call: the libraries it uses cannot be had while it is loaded.
  const std::string text = fmt::format(
      "#!lua name={0}\nlocal answer\nlocal function make()\n{1}return answer_call\nend\n"
      "redis.register_function('{0}', function(keys, args)\n"
      "  if not answer then answer = make() end\n  return answer(keys, args)\nend)\n",
      what.name, what.body);
  return redis::command("FUNCTION").arg("LOAD").arg("REPLACE").arg(text);
}

redis::command call_command(const script_entry& what) {
  const bool is_script = what.what == script_entry::kind::script;
  return redis::command(is_script ? "EVALSHA" : "FCALL").arg(what.name).arg(1);
}

std::string cache_read_script() {
  std::string text =
      fmt::format("local limits = {{read_bytes={}}}\n", engine::cache_read_bytes_max);
  for (const std::string_view part : cache_read_parts) text += part;
  return text;
}

}  // namespace millrace::engine_redis
