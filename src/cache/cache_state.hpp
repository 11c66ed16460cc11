#pragma once

#include "background_loads.hpp"
#include "flights.hpp"
#include "load_times.hpp"

#include <millrace/cache/access_stats.hpp>
#include <millrace/cache/shared_cache.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace millrace::cache {

/// What a `shared_cache` keeps in its process: counts, and who loads what.
struct shared_cache::state {
  explicit state(std::size_t loads_behind) : behind(loads_behind) {}

  access_stats stats;
  std::atomic<std::uint64_t> near_hits{0};
  load_times times;
  flights loading;
  background_loads behind;
};

struct shared_cache::work {
  engine::cache_key at;
  loader load;
  fill_options with;
  filling when{filling::where_missing};
  /// For `filling::early`.
  std::uint64_t version{0};
  /// What is given where the new value takes too long.
  std::optional<filled> old{};
  /// Whoever loads has it.
  std::optional<flights::pilot> pilot{};
};

[[nodiscard]] filled to_filled(engine::cache_entry entry);
/// Uniform in (0, 1].
[[nodiscard]] double any_chance();

}  // namespace millrace::cache
