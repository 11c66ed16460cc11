#include "script.hpp"

#include "lua_parts.hpp"

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

namespace {

std::string body_text() {
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
  for (const std::string_view part : script_parts) text += part;
  return text;
}

}  // namespace

std::string script_text() { return body_text() + "return answer_call(KEYS, ARGV)\n"; }

redis::command load_command(const script_entry& what) {
  if (what.what == script_entry::kind::script) {
    return redis::command("SCRIPT").arg("LOAD").arg(script_text());
  }
  // Made with the first call: the libraries it uses cannot be had while it is loaded.
  const std::string text = fmt::format(
      "#!lua name={0}\nlocal answer\nlocal function make()\n{1}return answer_call\nend\n"
      "redis.register_function('{0}', function(keys, args)\n"
      "  if not answer then answer = make() end\n  return answer(keys, args)\nend)\n",
      what.name, body_text());
  return redis::command("FUNCTION").arg("LOAD").arg("REPLACE").arg(text);
}

redis::command call_command(const script_entry& what) {
  const bool is_script = what.what == script_entry::kind::script;
  return redis::command(is_script ? "EVALSHA" : "FCALL").arg(what.name).arg(1);
}

}  // namespace millrace::engine_redis
