#include "script.hpp"

#include "lua_cache_read.hpp"
#include "lua_parts.hpp"

#include <millrace/engine/cache_steps.hpp>
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

std::string script_text(std::uint64_t cache_bytes_max) {
  const engine::queue_settings normal;
  std::string text = fmt::format(
      "local limits = {{layout={}, queues={}, crons={}, depth_max={}, keep_finished={}, "
      "keep_finished_count={}, keep_dead={}, "
      "lease_default={}, log_lines={}, causes={}, listing_rows={}, idempotency_keys={}, "
      "idempotency_kept={}, expired_text='{}', expired_cause='{}'}}\n",
      layout_version, engine::queues_max, engine::crons_max, normal.depth_max.value(),
      micros(normal.keep_finished), normal.keep_finished_count.value(), micros(normal.keep_dead),
      micros(engine::lease_default), engine::log_lines_max, engine::fingerprints_max,
      engine::listing_rows_max, engine::idempotency_keys_max, micros(engine::idempotency_kept),
      expired_text, engine::error_fingerprint(expired_text));
  text += fmt::format(
      "limits.cache_bytes, limits.cache_evictions, limits.cache_claims = {}, {}, {}\n"
      "limits.cache_tag_marks, limits.cache_scan_rows, limits.claim_lease = {}, {}, {}\n",
      cache_bytes_max, engine::cache_evictions_max, engine::cache_claims_max,
      engine::cache_tag_marks_max, engine::cache_scan_rows_max, micros(engine::claim_lease_max));
  for (const std::string_view part : script_parts) text += part;
  return text;
}

std::string cache_read_script() {
  std::string text =
      fmt::format("local limits = {{read_bytes={}}}\n", engine::cache_read_bytes_max);
  for (const std::string_view part : cache_read_parts) text += part;
  return text;
}

}  // namespace millrace::engine_redis
