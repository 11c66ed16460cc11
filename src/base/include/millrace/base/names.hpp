#pragma once

#include <millrace/base/error.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace {

/// The longest name of a queue, operation, policy or project, without its tag.
inline constexpr std::size_t name_bytes_max = 128;
/// The longest lock resource, stream, correlation id, unique key or group.
inline constexpr std::size_t key_bytes_max = 512;

/// Checks a name: `[A-Za-z0-9._-]{1,128}`, with at most one optional `{tag}` of the same alphabet
/// anywhere in it. `field` is what the error names.
[[nodiscard]] result<void> check_name(std::string_view name, std::string_view field);

/// Checks a free key: 1 to 512 bytes of UTF-8 without control characters.
[[nodiscard]] result<void> check_key(std::string_view key, std::string_view field);

/// Which records live together: the `{tag}` of a checked name, or the name itself where it has
/// none.
[[nodiscard]] std::string_view routing_tag(std::string_view name) noexcept;

/// True for well-formed UTF-8 (no overlong forms, no surrogates).
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// True where a byte below 0x20, or 0x7f, is in the text.
[[nodiscard]] bool has_control_characters(std::string_view text) noexcept;

/// The beginning of the text, at most `bytes` long, cut between two characters.
[[nodiscard]] std::string_view cut_utf8(std::string_view text, std::size_t bytes) noexcept;

/// What a message may show of a text that anybody may have sent: its first 40 bytes, with control
/// characters, and bytes that are not UTF-8, as `\x1b`.
[[nodiscard]] std::string excerpt(std::string_view text);

}  // namespace millrace
