#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/heavy_hitters.hpp>
#include <millrace/cache/entry_limits.hpp>
#include <millrace/cache/family_set.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cache {

/// What happened to the entries of one family, or of all, since the start.
struct family_figures {
  std::uint64_t hits{0};
  /// Of the hits: those marked stale.
  std::uint64_t stale{0};
  std::uint64_t misses{0};
  std::uint64_t loads{0};
  std::uint64_t failed_loads{0};
  duration load_time{0};
  std::uint64_t stored{0};
  std::uint64_t stored_bytes{0};
  /// Of all that were stored, together.
  duration stored_ttl{0};
  std::uint64_t evictions{0};
  /// Entries that could not be read; each was a miss too.
  std::uint64_t undecodable{0};

  /// 0 to 1; 0 where nothing was asked for.
  [[nodiscard]] double hit_rate() const noexcept;
  [[nodiscard]] duration average_ttl() const noexcept;
  [[nodiscard]] duration average_load_time() const noexcept;
  family_figures& operator+=(const family_figures& other) noexcept;
  family_figures& operator-=(const family_figures& other) noexcept;
};

/// One of the most used keys.
struct used_key {
  std::string key;
  /// As in `family_set`; `no_family` where it has none.
  std::size_t family{0};
  /// About how often it was asked for; at most `error` too many.
  std::uint64_t count{0};
  std::uint64_t error{0};
  /// How many of these, as far as they are known, found nothing.
  std::uint64_t misses{0};
};

/// After so long an access counts half.
inline constexpr std::chrono::hours use_half_life{1};

/// Counts what happens to entries, per family, and which keys are used most.
///
/// Guarantees: figures are exact. The most used keys are found from the first 4096 accesses of a
///             thread and then from one of `sample`: a key with more than a thousandth of all
///             accesses is among them, soon or late.
/// Threading:  everything from any thread. Up to 64 threads count without an atomic
///             read-modify-write; reading may miss what is being counted.
/// Limits:     23 KiB a thread, at most 1 MiB for keys, 64 KiB for accesses.
/// Cost:       about 2 ns for a hit or miss, and about 200 ns for one of `sample`.
class access_stats final {
public:
  /// Families beyond those declared: keys of none.
  static constexpr std::size_t no_family = families_max;
  static constexpr std::uint64_t sample_default = 256;

  /// `sample` is a power of two.
  explicit access_stats(std::uint64_t sample = sample_default);
  ~access_stats();
  access_stats(const access_stats&) = delete;
  access_stats& operator=(const access_stats&) = delete;

  void hit(std::size_t family, std::string_view key, bool stale);
  void miss(std::size_t family, std::string_view key);
  void load(std::size_t family, duration took, bool failed);
  void stored(std::size_t family, std::size_t bytes, duration ttl);
  void evicted(std::size_t family);
  void undecodable(std::size_t family);

  /// One more access of a key whose time to live adapts; returns how many there were, about: others
  /// that fall on the same counters are counted in, and all are halved by `age`.
  std::uint64_t count_access(std::string_view key);
  /// The same without one more.
  [[nodiscard]] std::uint64_t accesses(std::string_view key) const;
  /// Halves what is known of accesses and of the most used keys, so that old use fades.
  void age();
  /// The same once in `use_half_life`, by whoever comes first.
  void age_when_due(std::chrono::steady_clock::time_point now);

  [[nodiscard]] family_figures figures(std::size_t family) const;
  [[nodiscard]] family_figures all() const;
  /// From the most used on.
  [[nodiscard]] std::vector<used_key> top(std::size_t count = top_keys_max) const;
  /// All of it from zero.
  void clear();

private:
  class counters;
  class access_sketch;

  [[nodiscard]] counters& own();
  [[nodiscard]] family_figures counted(std::size_t family) const;
  void sampled(counters& into, std::size_t family, std::string_view key, bool missed);

  std::uint64_t number_;
  std::uint64_t sample_;
  std::vector<std::atomic<counters*>> threads_;
  heavy_hitters keys_;
  std::unique_ptr<access_sketch> sketch_;
  // When it was halved last, or begun; ticks of the steady clock.
  std::atomic<std::chrono::steady_clock::rep> aged_at_;
  // What `clear` found: threads that count are not disturbed, its figures are taken off.
  mutable std::mutex cleared_held_;
  std::vector<family_figures> cleared_;
};

}  // namespace millrace::cache
