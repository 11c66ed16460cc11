#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <cstdint>
#include <optional>
#include <string>

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

/// Sessions on any engine, by their ids: see `engine::create_session` and what follows it. An id
/// that was never given out, that belongs to another project, or whose session has ended is the
/// same: session_not_found. Steps name a session by `id`; what they hold as key beside the project
/// is not looked at.
///
/// Guarantees: an id stands in no record, answer, log or error but the one that gives it.
/// Threading:  safe from any executor; holds no state of its own.
/// Lifetime:   the store must outlive this object and every call.
/// Errors:     those of the steps, and of the store.
/// Cost:       one round trip to the store a call; a look writes at most once in `touch_every`.
class session_store final {
public:
  explicit session_store(engine::store& store) noexcept : store_(store) {}

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

private:
  [[nodiscard]] awaitable<result<named_session>> give_id(
      engine::step step, std::string id, std::optional<engine::idempotency_key> repeated);

  engine::store& store_;
};

}  // namespace millrace::sessions
