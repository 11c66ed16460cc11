#pragma once

#include <millrace/limiter/limit_policy.hpp>

namespace millrace {

/// Whether each binding names requests and a policy that can be decided for them. Errors: those of
/// `check_limit_settings`.
[[nodiscard]] result<void> check_bindings(const limit_settings& settings);

}  // namespace millrace
