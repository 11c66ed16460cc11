#include <millrace/sessions/session_policy.hpp>

#include <millrace/base/assert.hpp>
#include <millrace/base/names.hpp>

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>

namespace millrace::sessions {

namespace {

constexpr std::size_t id_bytes = 32;
static_assert(session_id_chars + 1 ==
              sodium_base64_ENCODED_LEN(id_bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING));

timestamp end_of(const session_rules& rules, timestamp created, timestamp now) noexcept {
  const timestamp idle = now + rules.idle;
  return rules.absolute > duration{0} ? std::min(idle, created + rules.absolute) : idle;
}

result<void> check_time(duration span, duration least, std::string_view prefix,
                        std::string_view name, std::string_view what) {
  if (span >= least && span <= session_age_max) return {};
  return invalid(fmt::format("{}.{}", prefix, name), std::string(what));
}

result<void> within_bounds(const session_fields& fields) {
  if (fields.size() > session_fields_max) {
    return fail(errc::too_large, "too_many_fields",
                fmt::format("a session has at most {} fields", session_fields_max), "fields");
  }
  std::size_t bytes = 0;
  for (const auto& [name, json] : fields) bytes += name.size() + json.size();
  if (bytes > session_bytes_max) {
    return fail(
        errc::too_large, "session_too_large",
        fmt::format("a session has at most {} bytes, this would be {}", session_bytes_max, bytes),
        "fields");
  }
  return {};
}

}  // namespace

std::string new_session_id() {
  static const bool started = ::sodium_init() >= 0;
  MILLRACE_ASSERT(started);
  std::array<unsigned char, id_bytes> chance{};
  ::randombytes_buf(chance.data(), chance.size());
  std::string id(session_id_chars + 1, '\0');
  ::sodium_bin2base64(id.data(), id.size(), chance.data(), chance.size(),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  ::sodium_memzero(chance.data(), chance.size());
  id.pop_back();
  return id;
}

bool is_session_id(std::string_view text) noexcept {
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return text.size() == session_id_chars &&
         text.find_first_not_of(allowed) == std::string_view::npos;
}

result<void> check_rules(const session_rules& rules, std::string_view prefix) {
  if (auto fine = check_time(rules.idle, duration{1}, prefix, "idle",
                             "more than 0 and at most 365 days, as in \"24h\"");
      !fine) {
    return fine;
  }
  if (auto fine = check_time(rules.absolute, duration{0}, prefix, "absolute",
                             "at most 365 days; 0 for no bound");
      !fine) {
    return fine;
  }
  if (auto fine = check_time(rules.touch_every, duration{0}, prefix, "touch_every",
                             "0 or more, as in \"60s\"");
      !fine) {
    return fine;
  }
  // One that is used all the time would end nevertheless.
  if (rules.touch_every < rules.idle) return {};
  return invalid(fmt::format("{}.touch_every", prefix),
                 "shorter than idle; a session would end between two uses that count");
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

result<session_state> merged(const session_state& now, std::span<const field_change> changes,
                             std::optional<std::uint64_t> if_version) {
  if (if_version && *if_version != now.version) {
    return fail(
        errc::precondition_failed, "version_changed",
        fmt::format("the session has version {}, not {}; read it again", now.version, *if_version),
        "version");
  }
  session_state made = now;
  for (const field_change& one : changes) {
    if (auto fine = check_key(one.name, "fields"); !fine) return std::unexpected(fine.error());
    if (one.json) {
      made.fields.insert_or_assign(one.name, *one.json);
    } else {
      made.fields.erase(one.name);
    }
  }
  if (auto fine = within_bounds(made.fields); !fine) return std::unexpected(fine.error());
  // A change that changes nothing is none: whoever holds the version still has the latest.
  if (made.fields != now.fields) ++made.version;
  return made;
}

}  // namespace millrace::sessions
