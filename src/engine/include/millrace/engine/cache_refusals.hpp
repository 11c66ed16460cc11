#pragma once

#include <millrace/base/error.hpp>

/// The refusals of the steps of the cache, said alike by every engine.
namespace millrace::engine {

[[nodiscard]] error stale_lease();
[[nodiscard]] error version_mismatch();
[[nodiscard]] error over_cache_quota();
[[nodiscard]] error too_many_claims();

}  // namespace millrace::engine
