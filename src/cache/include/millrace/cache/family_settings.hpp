#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/cache/family.hpp>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cache {

/// One line of a configuration, however it was written: `ttl`, `{"10m"}`; `tags`, `{"a", "b"}`.
/// Numbers and truth are given as text.
struct setting {
  std::string name;
  std::vector<std::string> values;
};

/// Reads a family from the settings under `cache.families.NAME`: pattern, ttl, jitter, tags,
/// compress_above, encrypt, stale_while_revalidate, stale_if_error, negative_ttl, adaptive, outage,
/// outage_for, local, warm. Durations like `10m`, sizes like `4KiB`; `adaptive` is
/// `{"100:1h", "10:10m", "5m"}`, or `{"true"}` for just those. With `base`, what is not said is as
/// there; else as in `family_spec`.
/// Errors: invalid_argument at `cache.families.NAME.SETTING`, with the fix.
[[nodiscard]] result<family_spec> parse_family(std::string_view name,
                                               std::span<const setting> settings,
                                               const family_spec* base = nullptr);

/// Reads a rule from the settings under `cache.rules.NAME`: removes.
[[nodiscard]] result<invalidation_rule> parse_rule(std::string_view name,
                                                   std::span<const setting> settings);

/// The value of an environment variable, or none.
using environment = std::function<std::optional<std::string>(std::string_view name)>;

/// The time to live of entries whose family states none.
struct default_ttl {
  duration ttl{std::chrono::hours{1}};
  /// What an operator should hear at start; empty where there is nothing.
  std::string warning;
};

/// `CACHE_DEFAULT_TTL`, then `REDIS_TTL`, else one hour; in seconds. Both set to different values
/// is a warning. Errors: invalid_argument at the variable's name.
[[nodiscard]] result<default_ttl> default_ttl_from(const environment& variables);

/// `CACHE_USER_TTL`, `CACHE_JOB_STATUS_TTL`, `CACHE_DOCUMENT_TTL`, `CACHE_VECTOR_SEARCH_TTL` and
/// `CACHE_GRAPH_TTL` replace the times to live of the families of those names, where declared.
/// Errors: invalid_argument at the variable's name.
[[nodiscard]] result<void> apply_environment(std::span<family_spec> families,
                                             const environment& variables);

}  // namespace millrace::cache
