#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/cache_steps.hpp>
#include <millrace/engine/store.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::cache {

/// Longest wait of a claim. Zero: one look.
inline constexpr std::chrono::seconds claim_wait_max{60};
/// The lease of whoever loads in this library, renewed while the loader runs: how long others wait
/// for a loader that has died.
inline constexpr std::chrono::seconds fill_lease{2};
/// Keys whose uses are counted; see `cache_numbers::top`.
inline constexpr std::size_t top_keys_shown = 100;
/// The content type that stands for "there is nothing", kept so that it is not loaded again.
inline constexpr const char* nothing_type = "application/vnd.millrace.nothing";

/// What a loader came to. Nothing: there is no such thing, which is kept for `negative_ttl`.
struct loaded_value {
  std::string value;
  std::string content_type;
  /// Empty: that of `fill_options`.
  std::optional<duration> ttl;
  std::vector<std::string> tags;
};
using loader = std::function<awaitable<result<std::optional<loaded_value>>>()>;

struct fill_options {
  /// 1 ms to a year. Zero: the default of the cache.
  duration ttl{0};
  /// How long after that an old value is still good enough while somebody loads, and when loading
  /// fails. Zero: never.
  duration stale_for{0};
  /// How long it is remembered that there is nothing. Zero: not at all.
  duration negative_ttl{0};
};

/// What `get_or_set` gives.
struct filled {
  /// Nothing: the loader said that there is none.
  std::optional<std::string> value;
  std::string content_type;
  /// Zero: it is not kept (it was invalidated while it was loaded, or the store is away).
  std::uint64_t version{0};
  /// It is past its time; somebody loads a newer one, or could not.
  bool stale{false};
  /// This call, or one it waited for in this process, has run the loader.
  bool loaded{false};
};

/// What is counted in this process, since its start.
struct cache_numbers {
  std::uint64_t hits{0};
  std::uint64_t stale{0};
  std::uint64_t misses{0};
  std::uint64_t puts{0};
  /// Of what was put.
  duration average_ttl{0};
  std::uint64_t loads{0};
  std::uint64_t failed_loads{0};
  duration average_load{0};
  struct used_key {
    std::string key;
    std::uint64_t reads{0};
  };
  /// The keys read most often, those first; counts may be too low by what rare keys share.
  std::vector<used_key> top;
};

/// The cache that all processes on one store share.
///
/// Guarantees: a read never gives what was invalidated before it was asked, nor, unless it is asked
///             for, what has expired. Of all processes one loads a missing key at a time.
/// Threading:  safe from any executor.
/// Lifetime:   the store must outlive this object, and this object every call.
/// Errors:     those of the store, as values; `get_or_set` loads where the store is away.
/// Cost:       one round trip a call, unless said otherwise.
class shared_cache final {
public:
  struct settings {
    duration default_ttl{std::chrono::hours{1}};
  };

  explicit shared_cache(engine::store& store) : shared_cache(store, settings()) {}
  shared_cache(engine::store& store, settings with);
  ~shared_cache();
  shared_cache(const shared_cache&) = delete;
  shared_cache& operator=(const shared_cache&) = delete;

  [[nodiscard]] duration default_ttl() const noexcept { return with_.default_ttl; }

  enum class stale : bool { no, yes };
  [[nodiscard]] awaitable<result<std::optional<engine::cache_entry>>> get(engine::cache_key at,
                                                                          stale too = stale::no);
  struct aged_entry {
    engine::cache_entry what;
    duration age{0};
  };
  /// The same, with how old it is on the store's clock.
  [[nodiscard]] awaitable<result<std::optional<aged_entry>>> get_aged(engine::cache_key at,
                                                                      stale too = stale::no);
  /// As many as one read gives, the first of them in any case.
  [[nodiscard]] awaitable<result<std::vector<std::optional<engine::cache_entry>>>> get_some(
      std::string project, std::vector<std::string> keys, stale too = stale::no);
  /// One a key, in order. Cost: a round trip for every `cache_read_keys_max` keys, and for every
  /// `cache_read_bytes_max` of values.
  [[nodiscard]] awaitable<result<std::vector<std::optional<engine::cache_entry>>>> get_many(
      std::string project, std::vector<std::string> keys, stale too = stale::no);

  /// A `ttl` of zero is the default. Errors: precondition_failed (version_mismatch), conflict
  /// (stale_lease), too_large, invalid_argument.
  [[nodiscard]] awaitable<result<engine::cache_stored>> put(engine::put_cache what);
  /// Each by itself: one result each, in order, in one round trip.
  [[nodiscard]] awaitable<std::vector<result<engine::cache_stored>>> put_each(
      std::vector<engine::put_cache> what);
  /// All or none. The error's field begins with the index of the entry: `3.ttl`.
  [[nodiscard]] awaitable<result<std::vector<engine::cache_stored>>> put_all(
      std::vector<engine::put_cache> what);

  /// How many entries were there. Errors: version_mismatch.
  [[nodiscard]] awaitable<result<std::uint64_t>> remove(engine::delete_cache what);
  [[nodiscard]] awaitable<std::vector<result<std::uint64_t>>> remove_each(
      std::vector<engine::delete_cache> what);
  [[nodiscard]] awaitable<result<void>> invalidate(std::string project, std::string tag);
  /// How many entries were forgotten. Cost: a round trip for every `cache_scan_rows_max` keys.
  [[nodiscard]] awaitable<result<std::uint64_t>> remove_matching(std::string project,
                                                                 std::string pattern);
  /// The same for all of a project, which is gone at once. Cost: a round trip for every 1000.
  [[nodiscard]] awaitable<result<std::uint64_t>> clear(std::string project);

  /// Waits up to `wait` for a value or for the right to fill the key; `claim_state::wait` when it
  /// has ended. Woken by the store.
  ///
  /// Cancellation: terminal, ends the wait at once with `cancelled`; a claim that was granted
  ///               meanwhile is given back.
  [[nodiscard]] awaitable<result<engine::cache_claimed>> claim(engine::claim_cache what,
                                                               duration wait);

  /// The value, loaded where there is none. In this process one call a key loads and the others
  /// wait for it; of all processes one loads, and a loader that dies has a successor after
  /// `fill_lease`.
  ///
  /// Errors:       those of the loader, to everybody who waited for it, unless there is a stale
  ///               value. An error of the store is none: the loader's value is given, unkept.
  /// Cancellation: terminal; a load that others wait for goes to one of them.
  [[nodiscard]] awaitable<result<filled>> get_or_set(engine::cache_key at, loader load,
                                                     fill_options with = fill_options());
  /// Loads whatever is there, and keeps it.
  [[nodiscard]] awaitable<result<filled>> refresh(engine::cache_key at, loader load,
                                                  fill_options with = fill_options());

  [[nodiscard]] cache_numbers numbers() const;
  [[nodiscard]] engine::store& store() const noexcept { return store_; }

private:
  struct state;
  enum class filling : bool { where_missing, always };

  void note(const engine::cache_key& at, const std::optional<engine::cache_entry>& found);
  [[nodiscard]] awaitable<result<filled>> in_flight(engine::cache_key at, loader load,
                                                    fill_options with, filling when);
  [[nodiscard]] awaitable<result<filled>> fill(const engine::cache_key& at, const loader& load,
                                               const fill_options& with, filling when);
  [[nodiscard]] awaitable<result<filled>> load_and_put(const engine::cache_key& at,
                                                       const loader& load, const fill_options& with,
                                                       const engine::cache_claimed& claimed);
  [[nodiscard]] awaitable<result<std::optional<loaded_value>>> run_loader(
      const engine::cache_key& at, const loader& load, std::uint64_t lease);

  engine::store& store_;
  const settings with_;
  const std::unique_ptr<state> state_;
};

}  // namespace millrace::cache
