#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/secrets/key_ring.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::sessions {

/// A session and the id that nobody but its owner is to know. It is told once and kept nowhere.
struct named_session {
  std::string id;
  engine::session_info session;
  /// Others of the user that ended to make room.
  std::uint32_t ended{0};
};

/// How long the id of a repeated request's first answer still shows what it showed.
inline constexpr std::chrono::seconds repeated_grace{10};

/// How what sessions hold lies in the store.
struct session_secrets {
  /// Not owned; empty: there are none, and what is encrypted cannot be read.
  const secrets::key_ring* keys{nullptr};
  /// Values of fields are encrypted from now on, each by itself, bound to the project and the name
  /// of its field. Their names, users and labels are not. Needs keys.
  bool encrypt{false};
};

/// Sessions on any engine, by their ids: see `engine::create_session` and what follows it. An id
/// that was never given out, that belongs to another project, or whose session has ended is the
/// same: session_not_found. Steps name a session by `id`; what they hold as key beside the project
/// is not looked at.
///
/// Guarantees: an id stands in no record, answer, log or error but the one that gives it.
/// Threading:  safe from any executor; holds no state of its own.
/// Lifetime:   the store must outlive this object and every call.
/// Errors:     those of the steps, and of the store; unavailable (session_unreadable) for what was
///             encrypted with a key that is not here; invalid_argument (reserved_value) for a value
///             that looks encrypted.
/// Cost:       one round trip to the store a call; a look writes at most once in `touch_every`.
class session_store final {
public:
  explicit session_store(engine::store& store, session_secrets with = session_secrets())
      : store_(store), with_(with) {}

  /// Begins one, with an id of its own. A request that is repeated with its key finds the session
  /// there is, and gets another id for it: the first is kept nowhere.
  [[nodiscard]] awaitable<result<named_session>> begin(
      engine::create_session step, std::optional<engine::idempotency_key> repeated);

  /// What it holds. A use: its end moves, if that is due.
  [[nodiscard]] awaitable<result<engine::session_info>> look(std::string project, std::string id);
  /// The same, and no use.
  [[nodiscard]] awaitable<result<engine::session_info>> peek(std::string project, std::string id);
  [[nodiscard]] awaitable<result<engine::session_info>> change(std::string id,
                                                               engine::change_session step);
  /// Another id for the session. Repeated with its key: as for `begin`.
  [[nodiscard]] awaitable<result<named_session>> rotate(
      std::string id, engine::rotate_session step, std::optional<engine::idempotency_key> repeated);
  [[nodiscard]] awaitable<result<engine::session_info>> end(std::string project, std::string id);
  /// How many ended.
  [[nodiscard]] awaitable<result<std::uint32_t>> end_of_user(engine::end_user_sessions step);

  // For steps that are committed together with others: what the members above do by themselves.

  /// Names the session that the step begins, and answers its id.
  [[nodiscard]] result<std::string> prepare(engine::create_session& step) const;
  [[nodiscard]] result<void> prepare(const std::string& id, engine::change_session& step) const;
  [[nodiscard]] static result<void> prepare(const std::string& id, engine::end_session& step);
  /// What the step came to, as it was put.
  [[nodiscard]] result<engine::session_info> opened(engine::session_info of) const;
  /// Another id for a session that an earlier commit of the same request has begun.
  [[nodiscard]] awaitable<result<named_session>> name_again(engine::session_key key);

private:
  [[nodiscard]] result<void> seal(const std::string& project, const std::string& name,
                                  std::string& json) const;
  [[nodiscard]] result<void> seal(const std::string& project, engine::session_fields& fields) const;
  [[nodiscard]] result<void> seal(const std::string& project,
                                  std::vector<engine::session_change>& changes) const;
  [[nodiscard]] awaitable<result<named_session>> give_id(
      engine::step step, std::string id, std::optional<engine::idempotency_key> repeated);

  engine::store& store_;
  const session_secrets with_;
};

}  // namespace millrace::sessions
