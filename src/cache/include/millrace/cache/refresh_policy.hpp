#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/cache/fill_options.hpp>

#include <cstdint>
#include <optional>

/// Decisions about when an entry is given, renewed and kept. All of them are functions of what they
/// are given: no clock, no store, no chance but the number that is passed in.
namespace millrace::cache {

/// What is known of an entry that is there.
struct entry_times {
  timestamp created_at{};
  timestamp expires_at{};
  /// What loading it took.
  duration load_time{0};
};

/// What to do with a read.
enum class read_decision : std::uint8_t {
  /// Give it.
  fresh,
  /// Give it, and renew it in the background: its time is nearly over.
  fresh_and_renew,
  /// Give it marked stale, and renew it in the background.
  stale_and_renew,
  /// Load it, and let the caller wait for that.
  load,
};

/// Whether one caller renews an entry before its time is over: the costlier and the nearer, the
/// likelier, so that of many callers about one does. `chance` is uniform in (0, 1]; `eagerness` 1
/// is optimal for independent callers, more renews earlier. Source: Vattani et al., "Optimal
/// Probabilistic Cache Stampede Prevention", VLDB 2015 (XFetch).
[[nodiscard]] bool renews_early(const entry_times& entry, timestamp now, double chance,
                                double eagerness = 1.0) noexcept;

/// What a read does before anything is loaded; `entry` is empty where there is none.
[[nodiscard]] read_decision decide_read(const fill_options& with, std::optional<entry_times> entry,
                                        timestamp now, double chance) noexcept;

/// The time to live by how often a key is asked for.
[[nodiscard]] duration adapted_ttl(const adaptive_ttl& by, std::uint64_t accesses) noexcept;
/// A time to live shortened by up to `jitter` of it; `chance` is uniform in [0, 1]. At least 1 ms.
[[nodiscard]] duration jittered_ttl(duration ttl, double jitter, double chance) noexcept;
/// The time to live of a value that was just loaded: what is said, adapted to its use, or
/// `otherwise`; and shortened by chance.
[[nodiscard]] duration ttl_for(const fill_options& with, duration otherwise, std::uint64_t accesses,
                               double chance) noexcept;

/// How long a value lies in the store after its time, so that it can be given stale.
[[nodiscard]] duration kept_after_expiry(const fill_options& with) noexcept;

}  // namespace millrace::cache
