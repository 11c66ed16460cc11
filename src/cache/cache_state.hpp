#pragma once

#include "background_loads.hpp"
#include "flights.hpp"
#include "load_times.hpp"
#include "store_pulse.hpp"

#include <millrace/cache/access_stats.hpp>
#include <millrace/cache/shared_cache.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace millrace::cache {

/// What a `shared_cache` keeps in its process: counts, and who loads what.
struct shared_cache::state {
  state(engine::store& store, std::size_t loads_behind) : pulse(store), behind(loads_behind) {}

  store_pulse pulse;
  access_stats stats;
  std::atomic<std::uint64_t> near_hits{0};
  load_times times;
  /// Where nothing is declared.
  const family_set none;
  /// The numbers of all families that there have been, and the sets that were declared after the
  /// start: reads and loads under way look at older ones.
  std::mutex changing;
  std::map<std::string, std::size_t, std::less<>> numbers;
  std::vector<std::unique_ptr<const family_set>> changed;
  flights loading;
  background_loads behind;
};

struct shared_cache::key_use {
  /// Null: none.
  const family* of{nullptr};
  stale too{stale::no};
  /// What is given where the store says nothing. None: it is waited for.
  std::optional<outage_rule> outage{};

  [[nodiscard]] std::size_t number() const noexcept {
    return of == nullptr ? access_stats::no_family : of->number;
  }
  [[nodiscard]] const family_spec* spec() const noexcept {
    return of == nullptr ? nullptr : &of->spec;
  }
  [[nodiscard]] bool takes_stale() const noexcept {
    if (too != stale::by_family) return too == stale::yes;
    return of != nullptr && of->spec.stale_while_revalidate > duration{0};
  }
  /// Whether what was found is given, at this moment of the store.
  [[nodiscard]] bool gives(const engine::cache_entry& found, timestamp now) const noexcept {
    return !found.stale || too != stale::by_family ||
           (of != nullptr && now < found.expires_at + of->spec.stale_while_revalidate);
  }
  [[nodiscard]] near_terms terms() const {
    if (of == nullptr) return {};
    const bool serves = of->spec.outage == outage_rule::serve_stale;
    return {.group = static_cast<std::uint16_t>(of->number + 1),
            .sensitive = of->spec.encrypt,
            .outage_for = serves ? std::optional{of->spec.outage_for} : std::nullopt};
  }
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
