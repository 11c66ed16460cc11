#pragma once

#include <millrace/base/error.hpp>

#include <boost/json/fwd.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

namespace json = boost::json;

/// The deepest nesting that is accepted.
inline constexpr std::size_t json_depth_max = 64;

/// Parses one JSON text (RFC 8259, UTF-8, depth ≤ 64; nothing after it but white space). Every
/// number of the value is finite: what is too large for a double becomes the largest one. Errors:
/// malformed (malformed_json), with the byte where it broke; too_large (json_too_deep).
[[nodiscard]] result<json::value> parse_json(std::string_view text);

/// Whether `parse_json` would take the text; builds nothing. Same errors.
[[nodiscard]] result<void> check_json(std::string_view text);

/// The exact bytes of a member of the outermost object, so that what a caller sent comes back as it
/// was sent, whatever the size of its numbers. Of a doubled member the last, as the parser takes
/// it.
///
/// Requires: `text` has been accepted by `parse_json`. No object: empty.
[[nodiscard]] std::optional<std::string_view> raw_member(std::string_view text,
                                                         std::string_view member);

/// Calls `take(element)` with the exact bytes of each element of the outermost array, in order.
///
/// Requires: `text` has been accepted by `parse_json`. No array: no call.
void for_each_raw_element(std::string_view text, const std::function<void(std::string_view)>& take);

/// Appends `text` as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace millrace
