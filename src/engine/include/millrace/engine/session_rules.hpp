#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/session_steps.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>

/// What every engine decides alike about sessions: functions of what they are given.
namespace millrace::engine {

/// Errors: invalid_argument at `prefix` and the field.
[[nodiscard]] result<void> check_session_rules(const session_rules& rules, std::string_view prefix);
/// Their names and bytes, whatever the values are. Errors: too_large, invalid_argument.
[[nodiscard]] result<void> check_session_fields(const session_fields& fields);

[[nodiscard]] session_times begin_session(const session_rules& rules, timestamp now) noexcept;
[[nodiscard]] bool has_ended(const session_times& times, timestamp now) noexcept;
/// Its times after a use at `now`; none where nothing is to be written: the end was moved a moment
/// ago, it cannot be moved further, or the session has ended. An end never moves back.
[[nodiscard]] std::optional<session_times> touched(const session_rules& rules,
                                                   const session_times& times,
                                                   timestamp now) noexcept;

/// The fields after the changes. Errors: too_large (fields or bytes).
[[nodiscard]] result<session_fields> merged(const session_fields& before,
                                            std::span<const session_change> changes);

/// What becomes of a session, or why the step is refused. Whether an id is taken and whether there
/// is room is not asked here.
[[nodiscard]] session_info next_session(const create_session& step, std::uint64_t ref,
                                        timestamp now);
[[nodiscard]] result<session_info> next_session(const session_info& before,
                                                const change_session& step, timestamp now);
[[nodiscard]] result<session_info> next_session(const session_info& before,
                                                const rotate_session& step, timestamp now);
/// What its former id shows from then on; none where that ends at once.
[[nodiscard]] std::optional<session_info> former_session(const session_info& before,
                                                         const rotate_session& step, timestamp now);

/// How many sessions of a user with `present` of them end for one more, or why it is refused.
[[nodiscard]] result<std::size_t> sessions_to_end(std::size_t present, std::uint32_t at_most,
                                                  session_overflow beyond);

/// Where a listing goes on: behind this session. Errors: malformed (bad_cursor).
[[nodiscard]] std::string session_cursor(std::uint64_t ref);
/// 0 where there is no cursor.
[[nodiscard]] result<std::uint64_t> parse_session_cursor(std::string_view cursor);

/// The refusals of these steps; none where the code is of no such refusal.
[[nodiscard]] std::optional<error> session_refusal(std::string_view code);

}  // namespace millrace::engine
