#pragma once

#include <millrace/base/clock.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// Sessions: who somebody is between two requests, and what is remembered of them. A session is
/// known by an id that nobody can guess; the store knows a hash of it and nothing else, so that
/// whoever reads the store cannot become anybody.
///
/// It ends after so long without use, at its absolute age, or when it is told to, whatever comes
/// first; no step makes one that has ended there again. An end on the store's clock comes to the
/// microsecond, also while the store is closed.
namespace millrace::engine {

// Bounds, with what happens beyond them.

/// Longest life of a session without use, and longest absolute age.
inline constexpr std::chrono::hours session_age_max{365 * 24};
/// Longest time for which a former id shows what it last stood for.
inline constexpr std::chrono::minutes session_grace_max{5};
/// Fields of one session (`too_many_fields`), and the bytes of their names and values
/// (`session_too_large`).
inline constexpr std::size_t session_fields_max = 256;
inline constexpr std::size_t session_bytes_max = std::size_t{256} << 10U;
inline constexpr std::size_t session_label_bytes_max = 256;
/// Characters of the hash of an id: 32 bytes as base64 for addresses.
inline constexpr std::size_t session_hash_chars = 43;
/// Sessions of one user at a time, whatever a step asks for.
inline constexpr std::uint32_t user_sessions_max = 1000;
/// Sessions of one store, former ids counted: beyond it `too_many_sessions`.
inline constexpr std::size_t sessions_max = 1'000'000;

struct session_key {
  std::string project{"default"};
  /// Of the id, from a function that cannot be turned round.
  std::string hash;

  friend auto operator<=>(const session_key&, const session_key&) = default;
};

/// How long a session lives.
struct session_rules {
  /// Ends after so long without use. Above zero.
  duration idle{std::chrono::hours{24}};
  /// Ends so long after it began, however much it is used. Zero: never for that reason.
  duration absolute{0};
  /// Use moves the end at most so often: a session costs one write in that time. Zero: every time.
  duration touch_every{std::chrono::seconds{60}};

  friend bool operator==(const session_rules&, const session_rules&) = default;
};

struct session_times {
  timestamp created_at{};
  /// When its end was moved last.
  timestamp touched_at{};
  timestamp expires_at{};

  friend bool operator==(const session_times&, const session_times&) = default;
};

/// Names and their values as JSON texts.
using session_fields = std::map<std::string, std::string, std::less<>>;

/// Another value for a field, or none to remove it.
struct session_change {
  std::string name;
  std::optional<std::string> json;
};

struct session_info {
  session_key key;
  /// Names the session for people and lists, and stays when its id is changed; < 2^53. No secret:
  /// nobody gets in with it.
  std::uint64_t ref{0};
  /// Whose it is; empty: nobody's yet.
  std::string user;
  /// Which device it is, for people.
  std::string label;
  session_rules rules;
  session_times times;
  /// 1, and one more with every change of what it holds.
  std::uint64_t version{0};
  session_fields fields;
  /// Seen through an id that it had before: as it was then, and not to be changed.
  bool former{false};
};

/// What happens where a user has as many sessions as they may.
enum class session_overflow : std::uint8_t {
  /// Those that began first end.
  end_oldest = 0,
  /// Refused: too_many_user_sessions (exhausted).
  refuse = 1,
};

// Of the steps about sessions a transaction has one. Each is a use of the session it names, which
// moves its end as `touch_session` does. Unless a step says so, it is refused where there is no
// such session: session_not_found.

/// Begins one. Refused: session_exists (conflict), too_many_sessions (exhausted).
struct create_session {
  session_key key;
  /// Empty, or 1 to 512 bytes. What is nobody's yet is not counted.
  std::string user;
  std::string label;
  session_fields fields;
  session_rules rules;
  /// Sessions of the user, this one included; zero: `user_sessions_max`.
  std::uint32_t at_most{0};
  session_overflow beyond{session_overflow::end_oldest};
};

/// Moves its end, if that is due by `touch_every`. Of a former id: nothing moves.
struct touch_session {
  session_key key;
};

/// Changes these fields and leaves all others, so that two requests that change different ones do
/// not undo each other; or, with `replace`, the fields are these and no others. A change of nothing
/// is no new version.
///
/// Refused: session_rotated (conflict: the id is a former one); version_changed
/// (precondition_failed); too_many_fields, session_too_large (too_large).
struct change_session {
  session_key key;
  std::vector<session_change> changes;
  bool replace{false};
  /// Only if it has this version; zero: whichever.
  std::uint64_t if_version{0};
};

/// Gives the session another id, as is done when somebody signs in: what others may have learnt of
/// the id before is worth nothing then. For `grace` the former id shows what it showed, to requests
/// that are under way; it changes nothing. An id before that one is gone at once.
///
/// Refused: as `change_session`; session_exists (conflict: of `to`); too_many_user_sessions;
/// too_many_sessions.
struct rotate_session {
  session_key key;
  /// The hash of the new id.
  std::string to;
  duration grace{0};
  /// Whose it is from now; none: as before.
  std::optional<std::string> user;
  std::vector<session_change> changes;
  std::uint64_t if_version{0};
  /// As for `create_session`, where it becomes another user's.
  std::uint32_t at_most{0};
  session_overflow beyond{session_overflow::end_oldest};
};

struct session_changed {
  session_info session;
  /// Others of the user that ended to make room.
  std::uint32_t ended{0};
};

/// Ends a session, by whichever of its ids, with all of them. Answers it as it was.
struct end_session {
  session_key key;
};

/// Ends the sessions of a user. Never refused for there being none.
struct end_user_sessions {
  std::string project{"default"};
  std::string user;
  /// This one alone; zero: all of them.
  std::uint64_t only{0};
  /// All but this one.
  std::uint64_t except{0};
};
struct sessions_ended {
  std::uint32_t count{0};
};

/// No use by itself: whoever shows it to somebody touches it.
struct find_session {
  using answer = std::optional<session_info>;
  session_key key;
};

struct session_page {
  /// Without their keys and fields.
  std::vector<session_info> items;
  std::string cursor;
  /// All there are, on whatever page.
  std::uint64_t count{0};
};
/// Sessions by their age, without former ids. The newest of a user is the current one.
struct list_sessions {
  using answer = session_page;
  std::string project{"default"};
  /// None: of everybody.
  std::optional<std::string> user;
  /// Else the oldest.
  bool newest_first{false};
  std::uint32_t limit{100};
  std::string cursor;
};

}  // namespace millrace::engine
