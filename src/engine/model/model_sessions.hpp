#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace millrace::model {

/// The sessions of the model, in a plain map: one record for each id that shows something.
class session_model final {
public:
  using refused = std::optional<error>;
  using stamps = std::function<std::uint64_t()>;
  /// What a step is applied with.
  struct moment {
    timestamp now{};
    stamps next_stamp;
  };

  /// Forgets what is over by now.
  void expire(timestamp now);
  /// When that is next.
  [[nodiscard]] timestamp next_end() const;

  // Checks change nothing; an apply follows the check of the same step.
  refused check(const engine::create_session& step, timestamp now) const;
  refused check(const engine::touch_session& step, timestamp now) const;
  refused check(const engine::change_session& step, timestamp now) const;
  refused check(const engine::rotate_session& step, timestamp now) const;
  refused check(const engine::end_session& step, timestamp now) const;
  static refused check(const engine::end_user_sessions&, timestamp) { return std::nullopt; }
  engine::outcome apply(const engine::create_session& step, const moment& at);
  engine::outcome apply(const engine::touch_session& step, const moment& at);
  engine::outcome apply(const engine::change_session& step, const moment& at);
  engine::outcome apply(const engine::rotate_session& step, const moment& at);
  engine::outcome apply(const engine::end_session& step, const moment& at);
  engine::outcome apply(const engine::end_user_sessions& step, const moment& at);

  [[nodiscard]] result<engine::answer> read(const engine::find_session& what) const;
  [[nodiscard]] result<engine::answer> read(const engine::list_sessions& what) const;

private:
  struct record {
    engine::session_info what;
    /// The hash of its former id, or of its present one where this is the former.
    std::string other;
  };

  [[nodiscard]] const record* find(const engine::session_key& key) const;
  /// Of a user, or of everybody, the oldest first; without former ids.
  [[nodiscard]] std::vector<const record*> sessions_of(
      const std::string& project, const std::optional<std::string>& user) const;
  [[nodiscard]] refused refuse_one_more(const std::string& project, const std::string& user,
                                        std::uint32_t at_most,
                                        engine::session_overflow beyond) const;
  std::uint32_t make_room(const std::string& project, const std::string& user,
                          std::uint32_t at_most, engine::session_overflow beyond);
  /// All ids of a session.
  void end(engine::session_key key);

  std::map<engine::session_key, record> records_;
};

template <class Step>
concept session_step = requires(session_model& of, const Step& step,
                                const session_model::moment& at) { of.apply(step, at); };
template <class Query>
concept session_query = requires(const session_model& of, const Query& what) { of.read(what); };

}  // namespace millrace::model
