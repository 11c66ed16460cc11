#pragma once

#include <millrace/base/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::redis {

/// What a server says of itself in `INFO`. Empty or zero where it does not say.
struct server_facts {
  /// `7.0.15`; Valkey's own version where it is one.
  std::string version;
  /// `redis` or `valkey`.
  std::string server;
  /// `standalone`, `cluster` or `sentinel`.
  std::string mode;
  /// `master` or `slave`.
  std::string role;
  /// Changes with every start of the server.
  std::string run_id;
  /// Bytes; 0: no limit.
  std::uint64_t maxmemory{0};
  std::uint64_t used_memory{0};
  /// `noeviction` or one that loses data.
  std::string maxmemory_policy;
  bool aof_enabled{false};
  /// The last write to the append-only file went well.
  bool aof_write_ok{true};
  /// `always`, `everysec` or `no`: not in INFO; empty unless `CONFIG GET appendfsync` was allowed.
  std::string appendfsync;
  bool loading{false};
  std::uint32_t connected_replicas{0};
  std::uint64_t connected_clients{0};

  /// A full server throws away keys of ours instead of refusing new ones.
  [[nodiscard]] bool evicts() const noexcept {
    return maxmemory != 0 && !maxmemory_policy.empty() && maxmemory_policy != "noeviction";
  }
};

/// Reads the text of `INFO` (any of its sections). Unknown lines are passed over.
[[nodiscard]] server_facts parse_info(std::string_view text);

/// `7.0.15` is at least `major.minor`. False for what is no version.
[[nodiscard]] bool version_at_least(std::string_view version, int major, int minor) noexcept;

}  // namespace millrace::redis
