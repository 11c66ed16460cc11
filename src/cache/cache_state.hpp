#pragma once

#include "flights.hpp"
#include "top_keys.hpp"

#include <millrace/cache/shared_cache.hpp>

#include <atomic>
#include <cstdint>

namespace millrace::cache {

/// What a `shared_cache` keeps in its process: counts, and who loads what.
struct shared_cache::state {
  using count = std::atomic<std::uint64_t>;

  count hits{0};
  count stale{0};
  count misses{0};
  count puts{0};
  count ttl_ms{0};
  count loads{0};
  count failed_loads{0};
  count load_us{0};
  top_keys used{10 * top_keys_shown};
  flights loading;
};

}  // namespace millrace::cache
