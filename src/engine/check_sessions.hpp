#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/session_steps.hpp>

/// The checks of the steps on sessions.
namespace millrace::engine {

[[nodiscard]] result<void> check_one(const create_session& s);
[[nodiscard]] result<void> check_one(const touch_session& s);
[[nodiscard]] result<void> check_one(const change_session& s);
[[nodiscard]] result<void> check_one(const rotate_session& s);
[[nodiscard]] result<void> check_one(const end_session& s);
[[nodiscard]] result<void> check_one(const end_user_sessions& s);

}  // namespace millrace::engine
