#pragma once

#include <millrace/secrets/key_ring.hpp>
#include <millrace/secrets/secret_bytes.hpp>

#include <optional>
#include <string>
#include <string_view>

/// A sealed value as one JSON string, for records whose values are JSON: `"sealed:1:BASE64"`, of
/// the number of the key (8 bytes, from the low one), the nonce and the sealed bytes.
namespace millrace::secrets {

/// Sealed by the newest key of the ring, for `context` alone.
[[nodiscard]] std::string seal_text(std::string_view plain, std::string_view context,
                                    const key_ring& ring);
/// Whether a text looks like one. Nobody else may write such values.
[[nodiscard]] bool is_sealed_text(std::string_view json) noexcept;
/// None where it was not sealed so, or by a key that is not there. `ring` is null without keys.
[[nodiscard]] std::optional<secret_bytes> open_text(std::string_view json, std::string_view context,
                                                    const key_ring* ring);

}  // namespace millrace::secrets
