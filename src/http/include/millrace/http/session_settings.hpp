#pragma once

#include <millrace/engine/session_steps.hpp>

namespace millrace::http {

/// What holds for a session where the request that begins it does not say.
struct session_settings {
  duration idle{std::chrono::hours{24}};
  /// Zero: none.
  duration absolute{0};
  /// Zero: as many as a user may have at all.
  std::uint32_t max_per_user{0};
  engine::session_overflow when_full{engine::session_overflow::end_oldest};
  /// What they hold is encrypted in the store; see `sessions::session_secrets`.
  bool encrypt{false};
};

}  // namespace millrace::http
