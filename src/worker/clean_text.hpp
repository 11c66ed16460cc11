#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace::worker_detail {

/// What to do with control characters other than tab and line feed.
enum class controls { keep, blank };

/// The longest beginning of `bytes` that is at most `bytes_max` long as UTF-8; whatever is not
/// UTF-8 becomes U+FFFD.
[[nodiscard]] std::string clean_text(std::string_view bytes, std::size_t bytes_max,
                                     controls how = controls::blank);

/// Without blanks, tabs and line ends at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;

/// The text as a JSON value: itself where it is JSON (line ends in it become blanks, so that it
/// stays one line), else as a JSON string.
[[nodiscard]] std::string as_json(std::string_view text);

}  // namespace millrace::worker_detail
