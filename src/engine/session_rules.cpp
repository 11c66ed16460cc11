#include <millrace/engine/session_rules.hpp>

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

namespace millrace::engine {
namespace {

struct refusal_word {
  std::string_view code;
  errc kind;
  std::string_view detail;
  std::string_view field;
};

constexpr std::array refusal_words{
    refusal_word{"session_not_found", errc::not_found,
                 "There is no such session (any more): begin another one.", ""},
    refusal_word{"session_exists", errc::conflict,
                 "There is a session with this id: take one that is new.", ""},
    refusal_word{"session_rotated", errc::conflict,
                 "The session has another id by now: use that one.", ""},
    refusal_word{"too_many_sessions", errc::exhausted,
                 "There are as many sessions as the store can take.", ""},
    refusal_word{"too_many_user_sessions", errc::exhausted,
                 "The user has as many sessions as they may: end one of them first.", ""},
    refusal_word{"version_changed", errc::precondition_failed,
                 "The session has changed meanwhile: read it again.", ""},
    refusal_word{"too_many_fields", errc::too_large,
                 "data has more than 256 fields, which is all that a session holds.", "data"},
    refusal_word{
        "session_too_large", errc::too_large,
        "data has more than 262144 bytes of names and values, which is all that a session holds.",
        "data"},
};
static_assert(session_fields_max == 256 && session_bytes_max == 262'144);

std::unexpected<error> refuse(std::string_view code) {
  return std::unexpected(session_refusal(code).value_or(error{}));
}

timestamp end_of(const session_rules& rules, timestamp created, timestamp now) noexcept {
  const timestamp idle = now + rules.idle;
  return rules.absolute > duration{0} ? std::min(idle, created + rules.absolute) : idle;
}

result<void> check_span(duration span, duration least, std::string_view prefix,
                        std::string_view name, std::string_view what) {
  if (span >= least && span <= session_age_max) return {};
  return invalid(fmt::format("{}{}", prefix, name), fmt::format("{} must be {}.", name, what));
}

result<void> within_bounds(const session_fields& fields) {
  if (fields.size() > session_fields_max) return refuse("too_many_fields");
  std::size_t bytes = 0;
  for (const auto& [name, json] : fields) bytes += name.size() + json.size();
  if (bytes > session_bytes_max) return refuse("session_too_large");
  return {};
}

// What a step that changes a session asks for before anything else.
result<void> may_change(const session_info& before, std::uint64_t if_version) {
  if (before.former) return refuse("session_rotated");
  if (if_version != 0 && if_version != before.version) return refuse("version_changed");
  return {};
}

void use(session_info& session, timestamp now) {
  if (const auto moved = touched(session.rules, session.times, now)) session.times = *moved;
}

}  // namespace

std::optional<error> session_refusal(std::string_view code) {
  for (const refusal_word& each : refusal_words) {
    if (each.code != code) continue;
    error why{each.kind, each.code, std::string(each.detail), std::string(each.field),
              std::nullopt};
    if (each.code == "too_many_sessions") why.retry_after = std::chrono::seconds{1};
    return why;
  }
  return std::nullopt;
}

result<void> check_session_rules(const session_rules& rules, std::string_view prefix) {
  if (auto fine = check_span(rules.idle, duration{1}, prefix, "idle",
                             "more than 0 and at most 365 days, as in \"24h\"");
      !fine) {
    return fine;
  }
  if (auto fine = check_span(rules.absolute, duration{0}, prefix, "absolute",
                             "at most 365 days; 0 for no bound");
      !fine) {
    return fine;
  }
  if (auto fine = check_span(rules.touch_every, duration{0}, prefix, "touch_every",
                             "0 or more, as in \"60s\"");
      !fine) {
    return fine;
  }
  // One that is used all the time would end nevertheless.
  if (rules.touch_every < rules.idle) return {};
  return invalid(fmt::format("{}touch_every", prefix),
                 "touch_every must be shorter than idle: a session would end between two uses "
                 "that count.");
}

result<void> check_session_fields(const session_fields& fields) {
  for (const auto& [name, json] : fields) {
    if (auto fine = check_key(name, "data"); !fine) return fine;
  }
  return within_bounds(fields);
}

session_times begin_session(const session_rules& rules, timestamp now) noexcept {
  return {.created_at = now, .touched_at = now, .expires_at = end_of(rules, now, now)};
}

bool has_ended(const session_times& times, timestamp now) noexcept {
  return now >= times.expires_at;
}

std::optional<session_times> touched(const session_rules& rules, const session_times& times,
                                     timestamp now) noexcept {
  if (has_ended(times, now) || now < times.touched_at + rules.touch_every) return std::nullopt;
  const timestamp end = end_of(rules, times.created_at, now);
  if (end <= times.expires_at) return std::nullopt;
  return session_times{times.created_at, now, end};
}

result<session_fields> merged(const session_fields& before,
                              std::span<const session_change> changes) {
  session_fields made = before;
  for (const session_change& one : changes) {
    if (one.json) {
      made.insert_or_assign(one.name, *one.json);
    } else {
      made.erase(one.name);
    }
  }
  if (auto fine = within_bounds(made); !fine) return std::unexpected(std::move(fine.error()));
  return made;
}

session_info next_session(const create_session& step, std::uint64_t ref, timestamp now) {
  return {.key = step.key,
          .ref = ref,
          .user = step.user,
          .label = step.label,
          .rules = step.rules,
          .times = begin_session(step.rules, now),
          .version = 1,
          .fields = step.fields};
}

result<session_info> next_session(const session_info& before, const change_session& step,
                                  timestamp now) {
  if (auto fine = may_change(before, step.if_version); !fine) {
    return std::unexpected(std::move(fine.error()));
  }
  result<session_fields> fields =
      merged(step.replace ? session_fields{} : before.fields, step.changes);
  if (!fields) return std::unexpected(std::move(fields.error()));
  session_info made = before;
  // A change that changes nothing is none: whoever holds the version still has the latest.
  if (*fields != before.fields) ++made.version;
  made.fields = std::move(*fields);
  use(made, now);
  return made;
}

result<session_info> next_session(const session_info& before, const rotate_session& step,
                                  timestamp now) {
  if (auto fine = may_change(before, step.if_version); !fine) {
    return std::unexpected(std::move(fine.error()));
  }
  result<session_fields> fields = merged(before.fields, step.changes);
  if (!fields) return std::unexpected(std::move(fields.error()));
  session_info made = before;
  made.key.hash = step.to;
  if (step.user) made.user = *step.user;
  made.fields = std::move(*fields);
  ++made.version;
  use(made, now);
  return made;
}

std::optional<session_info> former_session(const session_info& before, const rotate_session& step,
                                           timestamp now) {
  if (step.grace <= duration{0}) return std::nullopt;
  session_info kept = before;
  kept.former = true;
  kept.times.expires_at = std::min(before.times.expires_at, now + step.grace);
  return kept;
}

result<std::size_t> sessions_to_end(std::size_t present, std::uint32_t at_most,
                                    session_overflow beyond) {
  const std::size_t most = at_most == 0 ? user_sessions_max : at_most;
  if (present < most) return 0;
  if (beyond == session_overflow::refuse) return refuse("too_many_user_sessions");
  return present + 1 - most;
}

std::string session_cursor(std::uint64_t ref) { return fmt::format("@{}", ref); }

result<std::uint64_t> parse_session_cursor(std::string_view cursor) {
  if (cursor.empty()) return 0;
  std::uint64_t ref = 0;
  const char* const end = cursor.data() + cursor.size();
  const auto read = std::from_chars(cursor.data() + 1, end, ref);
  const bool is_one = cursor.front() == '@' && read.ec == std::errc{} && read.ptr == end &&
                      ref < std::uint64_t{1} << 53U;
  if (is_one) return ref;
  return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
}

}  // namespace millrace::engine
