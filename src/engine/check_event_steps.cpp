#include "check_event_steps.hpp"

#include "check_values.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/limits.hpp>

#include <fmt/format.h>

namespace millrace::engine {
namespace {

result<void> check_keyed(std::string_view project, std::string_view key, std::string_view field) {
  if (auto ok = check_name(project, "project"); !ok) return ok;
  return check_key(key, field);
}

// A key that may be left out.
result<void> check_free_key(std::string_view key, std::string_view field) {
  return key.empty() ? result<void>{} : check_key(key, field);
}

result<void> check_live_ttl(duration ttl) {
  return check_range(ttl, live_ttl_min, live_ttl_max, {{}, "ttl"});
}

}  // namespace

result<void> check_one(const publish_event& s) {
  if (auto ok = check_keyed(s.stream.project, s.stream.name, "stream"); !ok) return ok;
  const event& what = s.what;
  if (what.type.empty()) {
    return invalid("type", "type must not be empty: say what kind of event it is.");
  }
  if (auto ok = check_line(what.type, type_bytes_max, {{}, "type"}); !ok) return ok;
  if (what.type == "gap") {
    return invalid("type",
                   "type must not be \"gap\": so readers are told that they missed events.");
  }
  if (auto ok = check_line(what.source, type_bytes_max, {{}, "source"}); !ok) return ok;
  if (auto ok = check_free_key(what.correlation_id, "correlation_id"); !ok) return ok;
  if (auto ok = check_free_key(what.id, "id"); !ok) return ok;
  return check_item(what.payload, {{}, "payload"});
}

result<void> check_one(const configure_stream& s) {
  if (auto ok = check_keyed(s.stream.project, s.stream.name, "stream"); !ok) return ok;
  const event_retention& kept = s.retention;
  if (auto ok = check_range(kept.count, 1, event_count_max, {{}, "count"}); !ok) return ok;
  if (auto ok = check_range(kept.age, std::chrono::seconds{1}, event_age_max, {{}, "age"}); !ok) {
    return ok;
  }
  return check_range(kept.bytes, 1, event_bytes_max, {{}, "bytes"});
}

result<void> check_one(const put_progress& s) {
  if (auto ok = check_keyed(s.project, s.correlation_id, "correlation_id"); !ok) return ok;
  if (s.total_steps) {
    if (auto ok = check_range(*s.total_steps, 1, progress_steps_max, {{}, "total_steps"}); !ok) {
      return ok;
    }
  }
  if (s.step) {
    if (auto ok = check_range(*s.step, 0, progress_steps_max, {{}, "step"}); !ok) return ok;
  }
  if (s.message) {
    if (auto ok = check_text(*s.message, message_bytes_max, {{}, "message"}); !ok) return ok;
  }
  return check_live_ttl(s.ttl);
}

result<void> check_one(const delete_progress& s) {
  return check_keyed(s.project, s.correlation_id, "correlation_id");
}

result<void> check_one(const put_agent& s) {
  if (auto ok = check_keyed(s.project, s.flow_id, "flow_id"); !ok) return ok;
  if (auto ok = check_key(s.what.agent, "agent"); !ok) return ok;
  // Written so that NaN is refused as well.
  if (!(s.what.progress >= 0 && s.what.progress <= 1)) {
    return invalid("progress",
                   fmt::format("progress must be 0 to 1; {} was given.", s.what.progress));
  }
  if (auto ok = check_text(s.what.status, message_bytes_max, {{}, "status"}); !ok) return ok;
  if (s.what.details.size() > agent_details_bytes_max) {
    return fail(errc::too_large, "value_too_large",
                fmt::format("details has {} bytes: at most {} are allowed.", s.what.details.size(),
                            agent_details_bytes_max),
                "details");
  }
  if (auto ok = check_item(s.what.details, {{}, "details"}); !ok) return ok;
  return check_live_ttl(s.ttl);
}

result<void> check_one(const put_connection& s) {
  if (auto ok = check_keyed(s.project, s.what.id, "id"); !ok) return ok;
  if (auto ok = check_free_key(s.what.flow_id, "flow_id"); !ok) return ok;
  if (auto ok = check_free_key(s.what.user, "user"); !ok) return ok;
  if (auto ok = check_line(s.what.server, type_bytes_max, {{}, "server"}); !ok) return ok;
  return check_live_ttl(s.ttl);
}

result<void> check_one(const drop_connection& s) {
  return check_keyed(s.project, s.connection, "id");
}

}  // namespace millrace::engine
