#include "check_sessions.hpp"

#include "check_values.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/session_rules.hpp>

#include <string_view>

namespace millrace::engine {
namespace {

constexpr std::uint64_t count_max = (std::uint64_t{1} << 53U) - 1;

result<void> check_hash(std::string_view hash, std::string_view field) {
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  if (hash.size() == session_hash_chars &&
      hash.find_first_not_of(allowed) == std::string_view::npos) {
    return {};
  }
  return invalid(std::string(field), "a session is named by a hash of its id: 43 characters.");
}

result<void> check_session(const session_key& key) {
  if (auto ok = check_name(key.project, "project"); !ok) return ok;
  return check_hash(key.hash, "id");
}

// Empty: nobody's.
result<void> check_owner(std::string_view user) {
  return user.empty() ? result<void>{} : check_key(user, "user");
}

result<void> check_changes(const std::vector<session_change>& changes) {
  // Each of them may be taken away or be there.
  if (changes.size() > 2 * session_fields_max) {
    return std::unexpected(session_refusal("too_many_fields").value_or(error{}));
  }
  for (const session_change& each : changes) {
    if (auto ok = check_key(each.name, "data"); !ok) return ok;
    if (!each.json) continue;
    if (auto ok = check_item(*each.json, {{}, "data"}); !ok) return ok;
  }
  return {};
}

result<void> check_at_most(std::uint32_t at_most) {
  return check_range(at_most, 0, user_sessions_max, {{}, "max_per_user"});
}

result<void> check_version(std::uint64_t version) {
  return check_range(version, 0, count_max, {{}, "version"});
}

}  // namespace

result<void> check_one(const create_session& s) {
  if (auto ok = check_session(s.key); !ok) return ok;
  if (auto ok = check_owner(s.user); !ok) return ok;
  if (auto ok = check_line(s.label, session_label_bytes_max, {{}, "label"}); !ok) return ok;
  if (auto ok = check_session_fields(s.fields); !ok) return ok;
  for (const auto& [name, json] : s.fields) {
    if (auto ok = check_item(json, {{}, "data"}); !ok) return ok;
  }
  if (auto ok = check_session_rules(s.rules, {}); !ok) return ok;
  return check_at_most(s.at_most);
}

result<void> check_one(const touch_session& s) { return check_session(s.key); }

result<void> check_one(const change_session& s) {
  if (auto ok = check_session(s.key); !ok) return ok;
  if (auto ok = check_version(s.if_version); !ok) return ok;
  return check_changes(s.changes);
}

result<void> check_one(const rotate_session& s) {
  if (auto ok = check_session(s.key); !ok) return ok;
  if (auto ok = check_hash(s.to, "to"); !ok) return ok;
  if (s.to == s.key.hash) return invalid("to", "to must be another id than the present one.");
  if (auto ok = check_range(s.grace, duration{0}, session_grace_max, {{}, "grace"}); !ok) return ok;
  if (s.user) {
    if (auto ok = check_owner(*s.user); !ok) return ok;
  }
  if (auto ok = check_version(s.if_version); !ok) return ok;
  if (auto ok = check_at_most(s.at_most); !ok) return ok;
  return check_changes(s.changes);
}

result<void> check_one(const end_session& s) { return check_session(s.key); }

result<void> check_one(const end_user_sessions& s) {
  if (auto ok = check_name(s.project, "project"); !ok) return ok;
  if (auto ok = check_key(s.user, "user"); !ok) return ok;
  if (auto ok = check_range(s.only, 0, count_max, {{}, "only"}); !ok) return ok;
  if (auto ok = check_range(s.except, 0, count_max, {{}, "except"}); !ok) return ok;
  if (s.only == 0 || s.except == 0) return {};
  return invalid("except", "except and only exclude each other: give one of them.");
}

}  // namespace millrace::engine
