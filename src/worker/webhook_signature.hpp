#pragma once

#include <millrace/base/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::worker_detail {

/// The bytes of a secret written as `whsec_<base64>`.
/// Errors: invalid_argument on `secret`. The detail never holds the secret.
[[nodiscard]] result<std::string> parse_webhook_secret(std::string_view text);

/// `v1,<base64>` of HMAC-SHA256 over `id.timestamp.body`, one a key, separated by blanks.
/// Source: Standard Webhooks 1.0, "Signature scheme".
[[nodiscard]] std::string webhook_signature(const std::vector<std::string>& keys,
                                            std::string_view id, std::int64_t timestamp,
                                            std::string_view body);

}  // namespace millrace::worker_detail
