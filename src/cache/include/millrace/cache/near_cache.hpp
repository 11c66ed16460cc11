#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/cache/local_cache.hpp>
#include <millrace/engine/cache_changes.hpp>
#include <millrace/engine/store.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cache {

/// Projects of which entries are kept near; of further ones none are.
inline constexpr std::size_t near_projects_max = 1024;
/// How old a read of what is kept near may be, at most, where nothing else is said.
inline constexpr std::chrono::milliseconds near_age_default{2'000};
inline constexpr std::chrono::milliseconds near_age_min{100};
inline constexpr std::chrono::minutes near_age_max{10};

/// Whether others than this process change the cache.
enum class near_source : std::uint8_t {
  /// One process has the store: all changes go through it.
  own,
  /// Several have it: the store tells of changes, and until it does nothing is given.
  told,
};

struct near_options {
  /// As `local_cache_options::bytes`.
  std::size_t bytes{std::size_t{32} << 20U};
  near_source source{near_source::own};
  /// With `told`: see the guarantees of `near_cache`. Less costs more round trips: four in this
  /// time.
  std::chrono::milliseconds age_max{near_age_default};
  /// How long after the store stopped telling an entry may still be given, marked stale, to whoever
  /// takes stale ones and cannot reach the store. Zero: not at all.
  duration outage_for{0};
  /// Not owned; empty: the machine's since it was booted, sleep included.
  const clock_source* clock{nullptr};
};

/// How one entry is kept near, as its family says.
struct near_terms {
  /// What it is counted with; zero: no family.
  std::uint16_t group{0};
  /// Its bytes are overwritten when it goes.
  bool sensitive{false};
  /// In place of `near_options::outage_for`.
  std::optional<duration> outage_for{};
};

struct near_hit {
  engine::cache_entry what;
  /// At least as old as it is on the store's clock.
  duration age{0};
};

/// The first level of the cache: entries of the store that this process keeps in its own memory.
///
/// What a read that is answered from here may miss, compared with one that asks the store:
///
/// - **Of this process nothing.** When a change that went through `near_store` has been answered
///   (also with an error that leaves open whether it happened), no read that begins then gives what
///   was there before: neither of the key, nor what carries an invalidated tag, fits a dropped
///   pattern or belongs to a cleared project.
/// - **Of other processes what was answered less than `age_max` ago.** Mostly it is far less: the
///   store tells of a change when it answers it, which takes a way through the network. `age_max`
///   (2 s) is what holds whatever happens to that way: an entry is given only where the store has
///   said, after a question that was put less than `age_max` ago, that all changes were told. A
///   process that was stopped and goes on knows by its clock that it has heard nothing meanwhile.
/// - **While the store does not tell** (the connection that tells is lost or being made, the user
///   may not have changes told) nothing is given as fresh, every read asks the store. When it tells
///   again, all that was kept is dropped first. With `outage_for`, what was kept is given, marked
///   stale, for that long to those who take stale values and cannot reach the store.
/// - **Versions**: an entry never takes the place of a newer one of its key.
/// - **Times** are those of the store. An entry ends here no later than there, but for the time
/// that
///   the store's clock runs slower than this machine's.
///
/// That there is nothing under a key is never kept; an entry that says so ("there is no such user")
/// is an entry like all others. An entry that is used here does not count as used in the store, and
/// may be pushed out there earlier.
///
/// Threading:  everything from any thread.
/// Cost:       a hit takes no round trip and copies the value; about 0.2 µs for small ones.
/// Limits:     `bytes`; near_projects_max.
class near_cache final : public engine::cache_observer {
public:
  /// Errors: those of `local_cache`; invalid_argument (`age_max`, `outage_for`).
  [[nodiscard]] static result<std::unique_ptr<near_cache>> make(near_options options);
  ~near_cache() override;
  near_cache(const near_cache&) = delete;
  near_cache& operator=(const near_cache&) = delete;

  [[nodiscard]] std::optional<near_hit> find(const engine::cache_key& at, bool stale);
  /// What may be given where the store cannot be reached: marked stale.
  [[nodiscard]] std::optional<near_hit> find_in_outage(const engine::cache_key& at);

  /// Taken before the store is asked.
  struct ticket {
    load_ticket since{};
    timestamp taken{};
  };
  [[nodiscard]] ticket take_ticket() const noexcept;
  /// Keeps what the store has answered; `store_now` is its time of then.
  void keep(const engine::cache_key& at, const engine::cache_entry& what, ticket since,
            timestamp store_now, const near_terms& terms = near_terms());

  /// What a committed step has changed, or may have.
  void forget(const engine::step& done);

  // What the store tells.
  void found() override;
  void lost() override;
  [[nodiscard]] timestamp begin_mark() override;
  void mark(timestamp begun) override;
  void key_changed(std::string_view project, std::string_view key) override;
  [[nodiscard]] bool tags_in_doubt(std::string_view project) override;
  void tags_known(std::string_view project) override;
  void tag_invalidated(std::string_view project, std::string_view tag) override;
  void project_cleared(std::string_view project) override;
  void all_cleared() override;

  [[nodiscard]] local_cache_usage usage() const { return kept_->usage(); }
  /// By `near_terms::group`. Cost: a walk over all that is kept.
  [[nodiscard]] std::vector<local_group_usage> groups() const { return kept_->groups(); }
  /// Entries may be given as fresh at the moment.
  [[nodiscard]] bool is_told() const;
  [[nodiscard]] std::chrono::milliseconds age_max() const noexcept { return with_.age_max; }

private:
  struct project;

  near_cache(const near_options& with, std::unique_ptr<local_cache> kept);
  [[nodiscard]] project* find_project(std::string_view name) const noexcept;
  [[nodiscard]] project* add_project(std::string_view name);
  [[nodiscard]] bool covers(timestamp now) const noexcept;

  const near_options with_;
  const clock_source& clock_;
  const std::unique_ptr<local_cache> kept_;
  // Until when what is kept may be given, in microseconds of `clock_`.
  std::atomic<std::int64_t> covered_until_{0};
  std::atomic<bool> lost_{false};
  std::atomic<std::uint32_t> keeps_{0};
  // Open addressing; a place is filled once, under the mutex, and never emptied.
  std::array<std::atomic<project*>, 2 * near_projects_max> projects_{};
  std::mutex adding_;
  std::vector<std::unique_ptr<project>> owned_;
};

/// A store whose changes of the cache a `near_cache` hears of before they are answered. Everything
/// else goes through.
///
/// Guarantees, threading and errors: those of the store behind it.
/// Lifetime:  owns that store, which ends first; `near` must outlive it.
class near_store final : public engine::store {
public:
  near_store(std::unique_ptr<engine::store> behind, near_cache& near);
  ~near_store() override;
  near_store(const near_store&) = delete;
  near_store& operator=(const near_store&) = delete;

  void submit(std::vector<engine::transaction> batch, commit_handler done) override;
  void ask(engine::query what, answer_handler done) override;
  [[nodiscard]] engine::wakeups& hints() noexcept override { return behind_->hints(); }
  [[nodiscard]] engine::store_traits traits() const noexcept override { return behind_->traits(); }
  [[nodiscard]] near_cache& near() const noexcept { return near_; }

private:
  near_cache& near_;
  const std::unique_ptr<engine::store> behind_;
};

}  // namespace millrace::cache
