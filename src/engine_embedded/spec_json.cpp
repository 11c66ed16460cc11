#include "spec_json.hpp"

#include "json_fields.hpp"

namespace millrace::embedded {
namespace {

using reader = json_reader;
using writer = json_writer;

std::unexpected<error> unreadable(std::string_view what) {
  return fail(errc::corrupted, "database_corrupt",
              "millrace.db holds " + std::string(what) + " that cannot be read.");
}

result<json::object> parse_object(std::string_view text, std::string_view what) {
  result<json::value> parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) return unreadable(what);
  return std::move(parsed->as_object());
}

json::object backoff_object(const backoff_spec& spec) {
  const backoff_spec normal;
  writer out;
  out.add("strategy", spec.strategy, normal.strategy);
  out.add("base_ms", spec.base, normal.base);
  out.add("max_ms", spec.max, normal.max);
  out.add("jitter", spec.jitter, normal.jitter);
  return out.take();
}

bool read_backoff(const json::object& from, backoff_spec& into) {
  reader in(from);
  in.take("strategy", into.strategy);
  in.take("base_ms", into.base);
  in.take("max_ms", into.max);
  in.take("jitter", into.jitter);
  return !in.failed();
}

void write_options(writer& out, const engine::job_spec& spec) {
  const static engine::job_spec normal;
  if (spec.backoff != normal.backoff) out.add_value("backoff", backoff_object(spec.backoff));
  out.add("lease_us", spec.lease, normal.lease);
  out.add("timeout_us", spec.timeout, normal.timeout);
  out.add("traceparent", spec.traceparent, normal.traceparent);
  out.add("codec", spec.codec, normal.codec);
  out.add("key_id", spec.key_id, normal.key_id);
}

void take_options(reader& in, engine::job_spec& into) {
  if (const json::object* backoff = in.object("backoff")) {
    if (!read_backoff(*backoff, into.backoff)) in.fail();
  }
  in.take("lease_us", into.lease);
  in.take("timeout_us", into.timeout);
  in.take("traceparent", into.traceparent);
  in.take("codec", into.codec);
  in.take("key_id", into.key_id);
}

json::object labels_object(const std::vector<engine::label>& labels) {
  json::object out;
  for (const auto& [key, value] : labels) out[key] = value;
  return out;
}

bool read_labels(const json::object& from, std::vector<engine::label>& into) {
  for (const auto& each : from) {
    const json::string* value = each.value().if_string();
    if (value == nullptr) return false;
    into.emplace_back(std::string(each.key()), std::string(value->data(), value->size()));
  }
  return true;
}

json::object rate_object(const engine::rate_bound& bound) {
  return {{"limit", bound.limit}, {"per_us", bound.per.count()}};
}

void take_rate(reader& in, std::string_view name, engine::rate_bound& into) {
  const json::object* found = in.object(name);
  if (found == nullptr) return;
  reader rate(*found);
  rate.take("limit", into.limit);
  rate.take("per_us", into.per);
  if (rate.failed()) in.fail();
}

}  // namespace

std::string labels_to_json(const std::vector<engine::label>& labels) {
  return labels.empty() ? std::string() : json::serialize(labels_object(labels));
}

result<std::vector<engine::label>> labels_from_json(std::string_view text) {
  std::vector<engine::label> out;
  if (text.empty()) return out;
  result<json::object> parsed = parse_object(text, "labels");
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  if (!read_labels(*parsed, out)) return unreadable("labels");
  return out;
}

std::string options_to_json(const engine::job_spec& spec) {
  writer out;
  write_options(out, spec);
  return out.empty() ? std::string() : json::serialize(out.take());
}

result<void> read_options(std::string_view text, engine::job_spec& into) {
  if (text.empty()) return {};
  result<json::object> parsed = parse_object(text, "job options");
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  reader in(*parsed);
  take_options(in, into);
  if (in.failed()) return unreadable("job options");
  return {};
}

std::string spec_to_json(const engine::job_spec& spec) {
  const static engine::job_spec normal;
  writer out;
  out.add("type", spec.type, normal.type);
  out.add("data", spec.data, normal.data);
  out.add("priority", spec.priority, normal.priority);
  out.add("delay_us", spec.delay, normal.delay);
  out.add("run_at", spec.run_at);
  out.add("max_attempts", spec.max_attempts, normal.max_attempts);
  if (spec.unique) {
    out.add_value("unique_key", json::value(spec.unique->key));
    out.add_value("unique_mode", json::value(static_cast<int>(spec.unique->mode)));
  }
  if (!spec.labels.empty()) out.add_value("labels", labels_object(spec.labels));
  out.add("correlation_id", spec.correlation_id, normal.correlation_id);
  out.add("group", spec.group, normal.group);
  write_options(out, spec);
  return json::serialize(out.take());
}

result<engine::job_spec> spec_from_json(std::string_view text) {
  result<json::object> parsed = parse_object(text, "a recurring job");
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  engine::job_spec out;
  reader in(*parsed);
  in.take("type", out.type);
  in.take("data", out.data);
  in.take("priority", out.priority);
  in.take("delay_us", out.delay);
  in.take("run_at", out.run_at);
  in.take("max_attempts", out.max_attempts);
  std::optional<std::string> unique_key;
  in.take("unique_key", unique_key);
  if (unique_key) {
    out.unique = engine::unique_spec{.key = std::move(*unique_key)};
    in.take("unique_mode", out.unique->mode);
  }
  if (const json::object* labels = in.object("labels")) {
    if (!read_labels(*labels, out.labels)) in.fail();
  }
  in.take("correlation_id", out.correlation_id);
  in.take("group", out.group);
  take_options(in, out);
  if (in.failed()) return unreadable("a recurring job");
  return out;
}

std::string settings_to_json(const engine::queue_settings& settings) {
  const static engine::queue_settings normal;
  writer out;
  if (settings.rate != normal.rate) out.add_value("rate", rate_object(settings.rate));
  if (settings.group_rate != normal.group_rate) {
    out.add_value("group_rate", rate_object(settings.group_rate));
  }
  out.add("concurrency", settings.concurrency, normal.concurrency);
  out.add("group_concurrency", settings.group_concurrency, normal.group_concurrency);
  out.add("depth_max", settings.depth_max);
  out.add("keep_finished_us", settings.keep_finished);
  out.add("keep_finished_count", settings.keep_finished_count);
  out.add("keep_dead_us", settings.keep_dead);
  out.add("level", settings.level);
  if (settings.backoff) out.add_value("backoff", backoff_object(*settings.backoff));
  out.add("max_attempts", settings.max_attempts);
  out.add("priority_step_on_failure", settings.priority_step_on_failure,
          normal.priority_step_on_failure);
  return json::serialize(out.take());
}

result<engine::queue_settings> settings_from_json(std::string_view text) {
  result<json::object> parsed = parse_object(text, "queue settings");
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  engine::queue_settings out;
  reader in(*parsed);
  take_rate(in, "rate", out.rate);
  take_rate(in, "group_rate", out.group_rate);
  in.take("concurrency", out.concurrency);
  in.take("group_concurrency", out.group_concurrency);
  in.take("depth_max", out.depth_max);
  in.take("keep_finished_us", out.keep_finished);
  in.take("keep_finished_count", out.keep_finished_count);
  in.take("keep_dead_us", out.keep_dead);
  in.take("level", out.level);
  if (const json::object* backoff = in.object("backoff")) {
    if (!read_backoff(*backoff, out.backoff.emplace())) in.fail();
  }
  in.take("max_attempts", out.max_attempts);
  in.take("priority_step_on_failure", out.priority_step_on_failure);
  if (in.failed()) return unreadable("queue settings");
  return out;
}

}  // namespace millrace::embedded
