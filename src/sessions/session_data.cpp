#include <millrace/base/json.hpp>
#include <millrace/secrets/sealed_text.hpp>
#include <millrace/secrets/secret_bytes.hpp>
#include <millrace/sessions/sessions.hpp>

#include <fmt/format.h>

#include <string>
#include <utility>

/// What sessions hold, encrypted at rest where that is wanted: each value by itself, so that those
/// of a session are merged by the store, which cannot read them.
namespace millrace::sessions {
namespace {

std::string context_of(const std::string& project, const std::string& name) {
  return fmt::format("session\n{}\n{}", project, name);
}

}  // namespace

result<void> session_store::seal(const std::string& project, const std::string& name,
                                 std::string& json) const {
  if (secrets::is_sealed_text(json)) {
    return invalid(fmt::format("data.{}", name),
                   fmt::format("The value of {} begins as those that are encrypted do: choose "
                               "another.",
                               name),
                   "reserved_value");
  }
  // What is no JSON is refused by the store.
  if (!with_.encrypt || with_.keys == nullptr || !check_json(json)) return {};
  std::string sealed = secrets::seal_text(json, context_of(project, name), *with_.keys);
  secrets::wipe(json);
  json = std::move(sealed);
  return {};
}

result<void> session_store::seal(const std::string& project, engine::session_fields& fields) const {
  for (auto& [name, json] : fields) {
    if (auto sealed = seal(project, name, json); !sealed) return sealed;
  }
  return {};
}

result<void> session_store::seal(const std::string& project,
                                 std::vector<engine::session_change>& changes) const {
  for (engine::session_change& each : changes) {
    if (!each.json) continue;
    if (auto sealed = seal(project, each.name, *each.json); !sealed) return sealed;
  }
  return {};
}

result<engine::session_info> session_store::opened(engine::session_info of) const {
  for (auto& [name, json] : of.fields) {
    if (!secrets::is_sealed_text(json)) continue;
    const auto plain = secrets::open_text(json, context_of(of.key.project, name), with_.keys);
    if (!plain) {
      return fail(errc::unavailable, "session_unreadable",
                  "The session was encrypted with a key that this server does not have.");
    }
    json = plain->text();
  }
  return of;
}

}  // namespace millrace::sessions
