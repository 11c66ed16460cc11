#pragma once

#include <string>

namespace millrace::engine_redis {

/// What the keys look like; a store with a newer one is not touched.
inline constexpr int layout_version = 1;

/// The whole script, with the port's bounds before it.
[[nodiscard]] std::string script_text();

}  // namespace millrace::engine_redis
