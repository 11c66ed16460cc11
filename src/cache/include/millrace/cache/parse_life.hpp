#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>

#include <string_view>

namespace millrace::cache {

/// A time to live or a stale window as people write it: `500ms`, `30s`, a number of seconds; at
/// most a year. Errors: invalid_argument at `field`.
[[nodiscard]] result<duration> parse_life(std::string_view text, std::string_view field);

}  // namespace millrace::cache
