#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace::engine {

inline constexpr std::size_t fingerprint_bytes_max = 200;

/// The cause behind an error text, so that equal causes count together: its first line with
/// numbers, hexadecimal ids and UUIDs as `#`, quoted parts as `'…'`, absolute paths as `path`,
/// addresses as `url` and those of mail as `email`; at most 200 bytes. Of a Python traceback the
/// last line, which names the exception. Empty for an empty text.
[[nodiscard]] std::string error_fingerprint(std::string_view error);

}  // namespace millrace::engine
