#pragma once

#include "message.hpp"

#include <millrace/engine/store.hpp>

#include <optional>
#include <string_view>

namespace millrace::http {

/// The idempotency key of a request that makes something; empty where the client gave none.
///
/// `route` is the route's template. The fingerprint covers the target and the body, so that a key
/// that is used again for something else is refused and never answered with what was made before.
/// Errors: invalid_argument (field `Idempotency-Key`).
[[nodiscard]] result<std::optional<engine::idempotency_key>> read_idempotency_key(
    const request& what, std::string_view project, std::string_view route);

/// The token of a lock that is asked for with an idempotency key: always the same of one text.
[[nodiscard]] std::string lock_token_of(std::string_view text);

}  // namespace millrace::http
