#pragma once

#include <millrace/base/error.hpp>
#include <millrace/redis/connection.hpp>

#include <vector>

namespace millrace::redis {

/// Whether commands may go over a connection of that use: refuses what would change it for the
/// requests behind, hold them up, or is answered in another way than by one reply.
///
/// Errors: invalid_argument (`command_needs_own_connection`, `command_of_the_connection`).
[[nodiscard]] result<void> check_allowed(const command& one, connection_use use);
[[nodiscard]] result<void> check_allowed(const std::vector<command>& batch, connection_use use);

}  // namespace millrace::redis
