#pragma once

#include <cstddef>
#include <filesystem>

/// What the machine itself gives, to compare with.
namespace millrace::bench {

/// Syncs a second, each of 16 KiB written over what was there: the shape of a log that is reused.
[[nodiscard]] double syncs_per_second(const std::filesystem::path& directory);

/// How long a sync takes when there is a pause before each: milliseconds.
struct sync_latency {
  double p50_ms{0};
  double p99_ms{0};
};
/// Of 1000 syncs, each of 16 KiB written over what was there.
[[nodiscard]] sync_latency sync_latency_when_idle(const std::filesystem::path& directory);

/// Rows a second that bare SQLite takes in the engine's own table, in groups of `group` and with a
/// sync after each.
[[nodiscard]] double rows_per_second(const std::filesystem::path& directory, std::size_t rows,
                                     std::size_t group);

}  // namespace millrace::bench
