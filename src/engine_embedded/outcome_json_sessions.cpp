#include "outcome_json_sessions.hpp"

namespace millrace::embedded {

json::object to_object(const engine::session_changed& what) {
  const engine::session_info& is = what.session;
  json::object fields;
  for (const auto& [name, json] : is.fields) fields[name] = json;
  return {{"session", is.key.hash},
          {"project", is.key.project},
          {"ref", is.ref},
          {"user", is.user},
          {"label", is.label},
          {"idle", is.rules.idle.count()},
          {"absolute", is.rules.absolute.count()},
          {"touch_every", is.rules.touch_every.count()},
          {"created_at", to_micros(is.times.created_at)},
          {"touched_at", to_micros(is.times.touched_at)},
          {"expires_at", to_micros(is.times.expires_at)},
          {"version", is.version},
          {"former", is.former},
          {"ended", what.ended},
          {"fields", std::move(fields)}};
}

json::object to_object(const engine::sessions_ended& what) {
  return {{"sessions_ended", what.count}};
}

std::optional<engine::outcome> read_session_outcome(const json::object& from, json_reader& in) {
  if (from.contains("sessions_ended")) {
    engine::sessions_ended out;
    in.take("sessions_ended", out.count);
    return out;
  }
  if (!from.contains("session")) return std::nullopt;
  engine::session_changed out;
  engine::session_info& is = out.session;
  in.take("session", is.key.hash);
  in.take("project", is.key.project);
  in.take("ref", is.ref);
  in.take("user", is.user);
  in.take("label", is.label);
  in.take("idle", is.rules.idle);
  in.take("absolute", is.rules.absolute);
  in.take("touch_every", is.rules.touch_every);
  in.take("created_at", is.times.created_at);
  in.take("touched_at", is.times.touched_at);
  in.take("expires_at", is.times.expires_at);
  in.take("version", is.version);
  in.take("former", is.former);
  in.take("ended", out.ended);
  const json::value* fields = from.if_contains("fields");
  if (fields == nullptr || !fields->is_object()) {
    in.fail();
    return out;
  }
  json_reader values(fields->get_object());
  for (const auto& each : fields->get_object())
    values.take(each.key(), is.fields[std::string(each.key())]);
  if (values.failed()) in.fail();
  return out;
}

}  // namespace millrace::embedded
