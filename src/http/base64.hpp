#pragma once

#include <millrace/base/error.hpp>

#include <string>
#include <string_view>

namespace millrace::http {

/// RFC 4648, with padding.
void append_base64(std::string& out, std::string_view bytes);

/// Strict: the alphabet of RFC 4648 with its padding, nothing else. Errors: invalid_argument with
/// the field.
[[nodiscard]] result<std::string> decode_base64(std::string_view text, std::string_view field);

}  // namespace millrace::http
