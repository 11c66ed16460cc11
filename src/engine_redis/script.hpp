#pragma once

#include <cstdint>
#include <string>

namespace millrace::engine_redis {

/// What the keys look like; a store with a newer one is not touched.
inline constexpr int layout_version = 1;

/// The whole script, with the port's bounds before it. `cache_bytes_max`: of each project.
[[nodiscard]] std::string script_text(std::uint64_t cache_bytes_max);

/// The script that reads entries of the cache.
[[nodiscard]] std::string cache_read_script();

}  // namespace millrace::engine_redis
