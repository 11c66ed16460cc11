#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/cache/access_stats.hpp>
#include <millrace/cache/declared_cache.hpp>
#include <millrace/cache/fill_options.hpp>
#include <millrace/cache/near_cache.hpp>
#include <millrace/cache/refresh_policy.hpp>
#include <millrace/engine/cache_steps.hpp>
#include <millrace/engine/store.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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
/// Where `record_top` keeps the names of the keys that are read most often, a line each.
inline constexpr const char* top_keys_key = "millrace.top-keys";
/// How long those are kept.
inline constexpr std::chrono::hours top_keys_ttl{24 * 7};
/// Loads behind the callers' backs at a time, where nothing else is said. Beyond it an early
/// renewal is left out, and a load with a time limit refused.
inline constexpr std::size_t loads_behind_default = 64;
/// How long a store that says nothing is waited for, where something else can be given; see
/// `shared_cache::settings::patience`.
inline constexpr std::chrono::milliseconds patience_default{50};
inline constexpr std::chrono::milliseconds patience_min{1};
inline constexpr std::chrono::seconds patience_max{3};
/// The same where what is given lies near: nobody has to load because of it.
inline constexpr std::chrono::milliseconds near_patience{4};
/// Claims, and puts of what was loaded, wait so many times longer: loading twice costs more.
inline constexpr int claim_patience = 5;

/// What a loader came to. Nothing: there is no such thing, which is kept for `negative_ttl`.
struct loaded_value {
  std::string value;
  std::string content_type;
  /// Empty: that of `fill_options`.
  std::optional<duration> ttl;
  std::vector<std::string> tags;
};
using loader = std::function<awaitable<result<std::optional<loaded_value>>>()>;
/// The same for any key.
using key_loader =
    std::function<awaitable<result<std::optional<loaded_value>>>(const std::string& key)>;

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
  /// Of the hits and stale ones: answered from this process' own memory.
  std::uint64_t near_hits{0};
  /// Loads behind the callers' backs that were left out or refused: too many at a time.
  std::uint64_t crowded_out{0};
  /// Entries that could not be read: of another format, damaged, or of a key that is not here. Each
  /// was a miss too.
  std::uint64_t undecodable{0};
  struct used_key {
    std::string key;
    std::uint64_t reads{0};
    /// Of these: found nothing.
    std::uint64_t misses{0};
    /// Empty: none.
    std::string family;
  };
  /// The keys read most often, those first; exact for few reads, later found from samples.
  std::vector<used_key> top;
};

/// The same for the keys of one family.
struct family_numbers {
  /// Empty: all keys of no family.
  std::string name;
  family_figures figures;
  /// What lies near of it, and what had to go there for others.
  local_group_usage near;
};

/// What a rule came to.
struct rule_applied {
  /// Entries that were there under its keys.
  std::uint64_t keys{0};
  /// Tags that were invalidated, however many entries that took.
  std::uint64_t tags{0};
};

/// The cache that all processes on one store share.
///
/// Guarantees: a read never gives what was invalidated before it was asked, nor, unless it is asked
///             for, what has expired; what is kept near may be as old as `near_cache` says. Of all
///             processes one loads a missing key at a time.
/// Threading:  safe from any executor.
/// Lifetime:   the store must outlive this object, and this object every call. Where options ask
///             for loads behind the caller's back, await `stop` before the destructor.
/// Errors:     those of the store, as values; `get_or_set` loads where the store is away.
/// Cost:       one round trip a call, unless said otherwise.
class shared_cache final {
public:
  struct settings {
    duration default_ttl{std::chrono::hours{1}};
    /// Not owned; empty: every read asks the store. The store given beside it must be the
    /// `near_store` that it belongs to.
    near_cache* near{nullptr};
    std::size_t loads_behind_max{loads_behind_default};
    /// How long a store that answers nothing at all is waited for before it counts as away, and the
    /// family of a key, or `fill_options::outage`, says what is given. Where answers mostly take
    /// more than a quarter of it: four times that. Zero: for as long as the store itself waits.
    duration patience{0};
    /// Not owned; empty: no families, and no keys to encrypt with. Whoever has another declaration
    /// of the same store reads what it can, and misses the rest.
    const declared_cache* declared{nullptr};
  };

  explicit shared_cache(engine::store& store) : shared_cache(store, settings()) {}
  shared_cache(engine::store& store, settings with);
  ~shared_cache();
  shared_cache(const shared_cache&) = delete;
  shared_cache& operator=(const shared_cache&) = delete;

  [[nodiscard]] duration default_ttl() const noexcept { return with_.default_ttl; }

  /// Whether what has expired, but may be served stale, is given as well. `by_family`: for the
  /// `stale_while_revalidate` of its family, which then also says what is given where the store is
  /// away; all this is for callers who load by themselves.
  enum class stale : std::uint8_t { no, yes, by_family };
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
  /// The same, each by itself: while the store is away some families give something and others not.
  [[nodiscard]] awaitable<std::vector<result<std::optional<engine::cache_entry>>>> get_each(
      std::string project, std::vector<std::string> keys, stale too = stale::no);
  /// One a key, in order. Cost: a round trip for every `cache_read_keys_max` keys, and for every
  /// `cache_read_bytes_max` of values.
  [[nodiscard]] awaitable<result<std::vector<std::optional<engine::cache_entry>>>> get_many(
      std::string project, std::vector<std::string> keys, stale too = stale::no);

  /// What the family of its key says of a value that is put: `ttl` where it is zero (else the
  /// default), how long it may be given stale where nothing is said, tags; compressed, encrypted.
  /// All members that put do this; for steps that are committed otherwise. Once a step.
  ///
  /// With `nothing_type` it is kept that there is nothing, for `ttl` or the `negative_ttl` of
  /// the family, and never given stale.
  /// Errors: invalid_argument (content_type; value, where there is nothing; ttl, where nobody says
  ///         how long that is kept).
  [[nodiscard]] result<void> prepare(engine::put_cache& what);
  /// Counts what had to go because of a step that was committed otherwise.
  void count_evicted(const engine::cache_stored& done);

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
  using rule_parts = std::vector<std::pair<std::string, std::string>>;
  /// Removes what a declared rule says, for these parts: keys and tags at once, then keys that only
  /// a walk finds. Errors: invalid_argument (unknown_rule; a part missing or invalid).
  [[nodiscard]] awaitable<result<rule_applied>> apply_rule(std::string project, std::string rule,
                                                           rule_parts parts);
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
  ///               value; deadline_exceeded (`load_timeout`) and exhausted (`too_many_loads`) where
  ///               there is a time limit; invalid_argument. An error of the store is none: the
  ///               loader's value is given, unkept.
  /// Cancellation: terminal; a load that others wait for goes to one of them, one behind the
  ///               caller's back goes on.
  [[nodiscard]] awaitable<result<filled>> get_or_set(engine::cache_key at, loader load,
                                                     fill_options with = fill_options());
  /// The same by the rules of a declared family. Errors: besides, invalid_argument (unknown_family;
  /// `key` where it is none of the family).
  [[nodiscard]] awaitable<result<filled>> cached(std::string family_name, engine::cache_key at,
                                                 loader load);
  /// Loads whatever is there, and keeps it.
  [[nodiscard]] awaitable<result<filled>> refresh(engine::cache_key at, loader load,
                                                  fill_options with = fill_options());

  /// Keeps the names of the keys that are read most often in the cache itself.
  [[nodiscard]] awaitable<result<void>> record_top(std::string project);
  /// Loads, of the keys that were recorded last, those that are not there: after a start, or on a
  /// timer. A load that fails is left out. Returns how many were loaded.
  ///
  /// Cost: `at_once` loads at a time, each as by `get_or_set`.
  [[nodiscard]] awaitable<result<std::size_t>> warm(std::string project, key_loader load,
                                                    fill_options with = fill_options(),
                                                    std::size_t at_once = 4);

  /// Loads, of the keys that are read most often now, those that are not there, and those of whose
  /// life the share `ahead` is over (0.8 where it is zero): on a timer, so that callers find
  /// popular values there and fresh. Counts as no use; of all processes one loads a key at a time.
  /// A load that fails is left out. Returns how many were loaded.
  [[nodiscard]] awaitable<result<std::size_t>> refresh_popular(std::string project, key_loader load,
                                                               fill_options with = fill_options(),
                                                               std::size_t at_once = 4);
  /// Reads, of the keys that were recorded last, those that are there, so that they lie near: as
  /// many of a family as its `warm` says, and of keys of none those that are left of a hundred.
  /// Counts as no use. Returns how many there were.
  [[nodiscard]] awaitable<result<std::size_t>> warm_near(std::string project);

  /// Cancels what is loaded behind the callers' backs, and awaits it. No more is begun.
  [[nodiscard]] awaitable<void> stop();

  [[nodiscard]] cache_numbers numbers() const;
  /// In the order of their declaration, keys of none last. Empty where nothing is declared. Cost: a
  /// walk over what lies near.
  [[nodiscard]] std::vector<family_numbers> numbers_by_family() const;
  /// Counts a load that was done elsewhere, by whoever had claimed the key.
  void count_load(std::string_view key, duration took);
  /// Empty where it has none.
  [[nodiscard]] std::string_view family_name(std::string_view key) const;
  /// Those that are declared now. Valid as long as this object.
  [[nodiscard]] const family_set& families() const noexcept {
    return *families_.load(std::memory_order_acquire);
  }
  /// Other families and rules from now on, with the keys there are. What lies near is dropped; what
  /// the store has is read as the new ones say, with the times that it was put with. A family that
  /// keeps its name is counted on.
  ///
  /// Errors: invalid_argument (`missing_encryption_key`); exhausted (`too_many_changes`: more than
  ///         `family_changes_max`, or more names than `families_max`). Nothing has changed then.
  [[nodiscard]] result<void> change_families(family_set to);
  [[nodiscard]] engine::store& store() const noexcept { return store_; }
  [[nodiscard]] const near_cache* near() const noexcept { return with_.near; }

private:
  struct state;
  /// One load: of what, how, and who waits for it.
  struct work;
  enum class filling : std::uint8_t {
    where_missing,
    /// Whatever is there.
    always,
    /// What is there is fresh still, and has the version that is given.
    early,
  };

  /// One key that is read: of which family, and how old what is given may be.
  struct key_use;
  [[nodiscard]] key_use use_of(std::string_view key, stale too) const;
  [[nodiscard]] const family* family_of(std::string_view key) const;
  [[nodiscard]] const secrets::key_ring* ring() const noexcept {
    return with_.declared == nullptr ? nullptr : with_.declared->ring();
  }
  void note(const key_use& use, std::string_view key, const engine::cache_entry* found);
  void take_in(const key_use& use, const engine::cache_key& at,
               std::optional<engine::cache_entry>& found, near_cache::ticket asked, timestamp now);
  [[nodiscard]] std::optional<aged_entry> find_near(const engine::cache_key& at,
                                                    const key_use& use);
  [[nodiscard]] result<std::optional<aged_entry>> away(const engine::cache_key& at,
                                                       const key_use& use, error why);
  [[nodiscard]] awaitable<result<std::optional<aged_entry>>> read(engine::cache_key at,
                                                                  key_use use);
  [[nodiscard]] awaitable<result<engine::read_cache::found>> ask(engine::read_cache what,
                                                                 duration patience);
  [[nodiscard]] duration patience_of(const engine::cache_key& at, const key_use& use);
  [[nodiscard]] awaitable<result<engine::cache_stored>> keep(engine::put_cache what);
  [[nodiscard]] std::optional<std::vector<std::optional<engine::cache_entry>>> find_all_near(
      const std::string& project, const std::vector<std::string>& keys, stale too);
  [[nodiscard]] read_decision decide(const engine::cache_key& at, const aged_entry& found,
                                     const fill_options& with) const;
  [[nodiscard]] std::optional<filled> in_outage(const engine::cache_key& at,
                                                const fill_options& with) const;

  /// Keys that are loaded together, on a timer or at a start.
  struct shared_list;
  [[nodiscard]] awaitable<void> refresh_some(shared_list* from);
  [[nodiscard]] awaitable<void> refresh_beside(shared_list* from, std::size_t loops);
  [[nodiscard]] awaitable<result<engine::cache_claimed>> claim_within(engine::claim_cache what,
                                                                      duration wait,
                                                                      duration patience);
  [[nodiscard]] awaitable<bool> opens(const engine::cache_key& at, engine::cache_claimed& claimed);
  [[nodiscard]] awaitable<result<filled>> in_flight(std::unique_ptr<work> what);
  [[nodiscard]] awaitable<void> fly(std::unique_ptr<work> what);
  /// False where there are too many.
  bool begin_behind(const asio::any_io_executor& on, std::unique_ptr<work> what);
  [[nodiscard]] awaitable<result<filled>> fill(const work& what);
  [[nodiscard]] awaitable<result<filled>> fill_early(const work& what);
  [[nodiscard]] awaitable<result<filled>> load_and_put(const work& what,
                                                       const engine::cache_key& claim_at,
                                                       const engine::cache_claimed& claimed);
  [[nodiscard]] awaitable<result<std::optional<loaded_value>>> run_loader(
      const work& what, const engine::cache_key& claim_at, std::uint64_t lease);

  engine::store& store_;
  const settings with_;
  const std::unique_ptr<state> state_;
  std::atomic<const family_set*> families_;
};

}  // namespace millrace::cache
