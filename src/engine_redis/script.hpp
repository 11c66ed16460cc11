#pragma once

#include <millrace/redis/command.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::engine_redis {

/// What the keys look like; a store with another one is not touched.
inline constexpr int layout_version = 4;

/// How a server calls the script: as a function where it has functions (Redis 7, Valkey), so that
/// what the script makes of itself outlives the call; else as a script.
struct script_entry {
  enum class kind : std::uint8_t { script, function };
  kind what{kind::script};
  /// The hash of the script, or the name of the function.
  std::string name;
  /// What is loaded.
  std::string body;
};

/// All parts of the script, with the port's bounds before them. `cache_bytes_max`: of each project.
[[nodiscard]] std::string script_body(std::uint64_t cache_bytes_max);

/// The script that reads entries of the cache.
[[nodiscard]] std::string cache_read_script();

/// Every function of ours begins so.
inline constexpr std::string_view function_prefix = "millrace_";

/// Gives the server what the entry names.
[[nodiscard]] redis::command load_command(const script_entry& what);
/// The beginning of a call: one key and the arguments follow.
[[nodiscard]] redis::command call_command(const script_entry& what);

}  // namespace millrace::engine_redis
