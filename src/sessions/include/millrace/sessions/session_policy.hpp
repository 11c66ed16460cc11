#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// Decisions about sessions. All of them but `new_session_id` are functions of what they are given.
namespace millrace::sessions {

/// Characters of an id: 32 bytes of chance as base64 for addresses.
inline constexpr std::size_t session_id_chars = 43;
/// Longest life of a session, whatever its use, and longest time without use.
inline constexpr std::chrono::hours session_age_max{365 * 24};
/// Fields of one session, and bytes of all of them together: beyond them too_large.
inline constexpr std::size_t session_fields_max = 256;
inline constexpr std::size_t session_bytes_max = 256UL * 1024;

/// An id that nobody can guess: 256 bits from the system's source of chance.
[[nodiscard]] std::string new_session_id();
/// Whether a text has the form of an id. One that has not was never given out.
[[nodiscard]] bool is_session_id(std::string_view text) noexcept;

/// How long sessions live.
struct session_rules {
  /// Ends after so long without use. Above zero.
  duration idle{std::chrono::hours{24}};
  /// Ends so long after it began, however much it is used. Zero: never for that reason.
  duration absolute{0};
  /// Use moves the end at most so often: a session costs one write in that time. Zero: every time.
  duration touch_every{std::chrono::seconds{60}};
};

/// Errors: invalid_argument at `prefix.FIELD`.
[[nodiscard]] result<void> check_rules(const session_rules& rules, std::string_view prefix);

struct session_times {
  timestamp created_at{};
  /// When its end was moved last.
  timestamp touched_at{};
  timestamp expires_at{};

  friend bool operator==(const session_times&, const session_times&) = default;
};

[[nodiscard]] session_times begin_session(const session_rules& rules, timestamp now) noexcept;
[[nodiscard]] bool has_ended(const session_times& times, timestamp now) noexcept;
/// Its times after a use at `now`; none where nothing is to be written: the end was moved a moment
/// ago, it cannot be moved further, or the session has ended. An end never moves back.
[[nodiscard]] std::optional<session_times> touched(const session_rules& rules,
                                                   const session_times& times,
                                                   timestamp now) noexcept;

/// The fields of a session: names and their values as JSON text.
using session_fields = std::map<std::string, std::string, std::less<>>;

/// One change of a field: another value, or none to remove it.
struct field_change {
  std::string name;
  std::optional<std::string> json;
};

/// What a session is checked against, and what it becomes.
struct session_state {
  /// Grows by one with every change; a session that was deleted has none.
  std::uint64_t version{0};
  session_fields fields;
};

/// Changes these fields and leaves all others, so that two requests that change different ones do
/// not undo each other. `if_version` makes it depend on nobody having changed anything.
/// Errors: precondition_failed (another version), too_large (fields or bytes), invalid_argument (a
///         name that is empty, longer than 512 bytes, or not clean UTF-8).
[[nodiscard]] result<session_state> merged(const session_state& now,
                                           std::span<const field_change> changes,
                                           std::optional<std::uint64_t> if_version = std::nullopt);

}  // namespace millrace::sessions
