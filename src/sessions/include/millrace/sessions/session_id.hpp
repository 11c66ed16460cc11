#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace::sessions {

/// Characters of an id: 32 bytes of chance as base64 for addresses.
inline constexpr std::size_t session_id_chars = 43;

/// An id that nobody can guess: 256 bits from the system's source of chance.
[[nodiscard]] std::string new_session_id();
/// Whether a text has the form of an id. One that has not was never given out.
[[nodiscard]] bool is_session_id(std::string_view text) noexcept;

/// What a store knows of an id: SHA-256 of its text, as base64 for addresses. A session is looked
/// for by it alone; so how long that takes tells nothing about ids that there are.
[[nodiscard]] std::string hash_of_session_id(std::string_view id);

}  // namespace millrace::sessions
