#pragma once

#include "testing_processes.hpp"

#include <millrace/engine/cache_steps.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

/// Processes that read and write the same few keys, and a ledger beside the store that says what
/// each read may have given at the least.
///
/// A *floor* is a version that a key has, or that no entry of it may have any more: whoever put is
/// answered the version of what it put, and whoever removed, invalidated or cleared knows that
/// nothing from before is there. Versions grow in the order in which the store puts. So a read that
/// began later than the bound after a floor was answered has to give at least that version, or
/// nothing.
namespace millrace::cache::proof {

inline constexpr std::size_t keys = 24;
inline constexpr std::size_t tags = 6;
inline constexpr std::size_t slots = 8;
inline constexpr std::size_t floors_kept = 2048;

/// Written by one process each, so that one that is killed leaves nothing half done but its last.
struct floors {
  struct one {
    std::atomic<std::int64_t> answered{0};
    std::atomic<std::uint64_t> version{0};
  };
  std::atomic<std::uint64_t> count{0};
  std::array<one, floors_kept> kept{};

  void add(std::uint64_t version) {
    const std::uint64_t number = count.load(std::memory_order_relaxed);
    one& at = kept[number % floors_kept];
    // Of no time while it is changed.
    at.answered.store(0, std::memory_order_seq_cst);
    at.version.store(version, std::memory_order_seq_cst);
    at.answered.store(shared_now(), std::memory_order_seq_cst);
    count.store(number + 1, std::memory_order_seq_cst);
  }
  /// The newest that was answered by then.
  [[nodiscard]] std::uint64_t at(std::int64_t then) const {
    const std::uint64_t end = count.load(std::memory_order_seq_cst);
    const std::uint64_t begin = end > floors_kept ? end - floors_kept : 0;
    for (std::uint64_t i = end; i > begin; --i) {
      const one& there = kept[(i - 1) % floors_kept];
      const std::int64_t answered = there.answered.load(std::memory_order_seq_cst);
      const std::uint64_t version = there.version.load(std::memory_order_seq_cst);
      if (answered == 0 || answered > then) continue;
      // It may have been written over in between; then it is newer than it seemed.
      if (there.answered.load(std::memory_order_seq_cst) == answered) return version;
    }
    return 0;
  }
  /// When the first that is higher than a version was answered; 0: none by then.
  [[nodiscard]] std::int64_t passed(std::uint64_t version, std::int64_t then) const {
    std::int64_t first = 0;
    const std::uint64_t end = count.load(std::memory_order_seq_cst);
    const std::uint64_t begin = end > floors_kept ? end - floors_kept : 0;
    for (std::uint64_t i = end; i > begin; --i) {
      const one& there = kept[(i - 1) % floors_kept];
      const std::int64_t answered = there.answered.load(std::memory_order_seq_cst);
      if (answered == 0 || answered > then) continue;
      if (there.version.load(std::memory_order_seq_cst) <= version) break;
      first = answered;
    }
    return first;
  }
};

struct coherence_ledger {
  std::array<std::array<floors, keys>, slots> by{};
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> near_hits{0};
  std::atomic<std::uint64_t> writes{0};
  std::atomic<std::uint64_t> failed{0};
  /// Reads that gave what somebody else had replaced already, within the bound.
  std::atomic<std::uint64_t> behind{0};
  std::atomic<std::int64_t> furthest_behind{0};
  std::atomic<std::uint64_t> wrong{0};
  /// The first thing that was wrong; written by whoever takes it.
  std::atomic<bool> said{false};
  std::array<char, 400> what{};
};

/// One process.
class coherence_actor final {
public:
  coherence_actor(coherence_ledger& ledger, std::size_t slot, std::uint16_t port,
                  std::chrono::milliseconds bound, std::uint64_t seed, near_source source)
      : ledger_(ledger), slot_(slot), bound_(bound), random_(seed), cache_(port, bound, source) {}

  void run() {
    std::uint64_t near_before = 0;
    while (!ledger_.over) {
      step();
      if (random_() % 64 == 0) {
        const std::uint64_t hits = cache_->numbers().near_hits;
        ledger_.near_hits += hits - near_before;
        near_before = hits;
        rest(std::chrono::milliseconds{random_() % 8});
      }
    }
  }

private:
  static std::string name_of(std::size_t key) { return fmt::format("k{}", key); }
  static std::string tag_of(std::size_t key) { return fmt::format("t{}", key % tags); }

  void step() {
    const std::size_t key = random_() % keys;
    const auto turn = random_() % 1000;
    if (turn < 930) {
      read(key);
    } else if (turn < 975) {
      write(key);
    } else if (turn < 988) {
      drop_by({key}, [&] { return run_coro(cache_->remove({.at = {.key = name_of(key)}})); });
    } else if (turn < 996) {
      std::vector<std::size_t> tagged;
      for (std::size_t each = key % tags; each < keys; each += tags) tagged.push_back(each);
      drop_by(tagged, [&] { return run_coro(cache_->invalidate("default", tag_of(key))); });
    } else if (turn < 999) {
      drop_by(matching(key),
              [&] { return run_coro(cache_->remove_matching("default", pattern_of(key))); });
    } else {
      std::vector<std::size_t> all(keys);
      for (std::size_t each = 0; each < keys; ++each) all[each] = each;
      drop_by(all, [&] { return run_coro(cache_->clear("default")); });
    }
  }

  // Keys of the same last digit.
  static std::string pattern_of(std::size_t key) { return fmt::format("k*{}", key % 10); }
  static std::vector<std::size_t> matching(std::size_t key) {
    std::vector<std::size_t> out;
    for (std::size_t each = key % 10; each < keys; each += 10) out.push_back(each);
    return out;
  }

  void write(std::size_t key) {
    const auto done = run_coro(cache_->put({.at = {.key = name_of(key)},
                                            .value = fmt::format("{} of {}", random_(), key),
                                            .ttl = std::chrono::minutes{10},
                                            .tags = {tag_of(key)}}));
    ++ledger_.writes;
    if (done) {
      ledger_.by[slot_][key].add(done->version);
    } else {
      ++ledger_.failed;
    }
  }

  [[nodiscard]] std::uint64_t newest(std::size_t key) const {
    std::uint64_t out = 0;
    for (const auto& one : ledger_.by) out = std::max(out, one[key].at(shared_now()));
    return out;
  }

  template <class Drop>
  void drop_by(const std::vector<std::size_t>& which, Drop drop) {
    // What was answered before it was asked for.
    std::vector<std::uint64_t> gone;
    for (const std::size_t key : which) gone.push_back(newest(key));
    const auto done = drop();
    ++ledger_.writes;
    if (!done) {
      ++ledger_.failed;
      return;
    }
    for (std::size_t i = 0; i < which.size(); ++i) {
      if (gone[i] != 0) ledger_.by[slot_][which[i]].add(gone[i] + 1);
    }
  }

  void read(std::size_t key) {
    const std::int64_t began = shared_now();
    const auto found = run_coro(cache_->get({.key = name_of(key)}));
    ++ledger_.reads;
    if (!found) {
      ++ledger_.failed;
      return;
    }
    if (!*found) return;
    const std::uint64_t version = (*found)->version;
    const std::int64_t bound = std::chrono::microseconds{bound_}.count();
    for (std::size_t writer = 0; writer < slots; ++writer) {
      const floors& of = ledger_.by[writer][key];
      // Its own changes a process sees at once.
      const std::int64_t then = writer == slot_ ? began : began - bound;
      const std::uint64_t floor = of.at(then);
      if (version < floor) complain(key, version, floor, writer, began);
      const std::int64_t passed = of.passed(version, began);
      if (passed == 0 || version >= floor) note_behind(passed == 0 ? 0 : began - passed);
    }
  }

  void note_behind(std::int64_t by) {
    if (by == 0) return;
    ++ledger_.behind;
    std::int64_t most = ledger_.furthest_behind;
    while (by > most && !ledger_.furthest_behind.compare_exchange_weak(most, by)) {
    }
  }

  void complain(std::size_t key, std::uint64_t version, std::uint64_t floor, std::size_t writer,
                std::int64_t began) {
    ++ledger_.wrong;
    if (ledger_.said.exchange(true)) return;
    const std::string text = fmt::format(
        "process {} read version {} of {} although process {} had been answered {} {} us before",
        slot_, version, name_of(key), writer, floor,
        began - ledger_.by[writer][key].passed(version, began));
    std::ranges::copy_n(text.begin(),
                        static_cast<std::ptrdiff_t>(std::min(text.size(), ledger_.what.size() - 1)),
                        ledger_.what.begin());
  }

  coherence_ledger& ledger_;
  const std::size_t slot_;
  const std::chrono::milliseconds bound_;
  std::mt19937_64 random_;
  const process_cache cache_;
};

}  // namespace millrace::cache::proof
