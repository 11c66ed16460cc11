#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/cache/cached_value.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace millrace::cache {

/// The entries of one part of a local cache, by key, within a number of bytes, in the order in
/// which they would go: S3-FIFO. New ones enter the small queue. At its end those used twice
/// meanwhile go on to the main queue, and the others too while that has room; the rest leave, and
/// their keys are remembered for a while as ghosts: asked for again, they enter the main queue
/// directly. At the end of the main queue an entry goes back to its beginning once for every use,
/// up to three.
///
/// Threading: none; whoever holds the part's lock.
/// Limits:    entries and tables together stay within `bytes_max`, which is at least 16 KiB, for
///            values of up to a quarter of it.
class local_table final {
public:
  static constexpr std::uint32_t nil = 0xffff'ffff;

  struct slot {
    cached_value value;
    /// The number of the last invalidation before its value was asked for.
    std::uint64_t since{0};
    // Neighbours in its queue; `next` also chains the free slots.
    std::uint32_t prev{nil};
    std::uint32_t next{nil};
    std::uint32_t fingerprint{0};
    bool in_main{false};
  };
  static_assert(sizeof(slot) == 32);

  /// Where a key is found: a hit touches this, its value, and nothing else.
  struct bucket {
    /// Owned by the slot. Null: free.
    cached_value::block* value{nullptr};
    std::uint32_t fingerprint{0};
    std::uint32_t index : 30 {0};
    std::uint32_t uses : 2 {0};
  };
  static_assert(sizeof(bucket) == 16);

  explicit local_table(std::size_t bytes_max);

  /// The bucket of a key, valid until the next change; null where it is not there.
  [[nodiscard]] bucket* find(std::uint64_t hash, std::string_view key) noexcept;
  [[nodiscard]] slot& at(std::uint32_t index) noexcept { return slots_[index]; }
  [[nodiscard]] static cached_value value_of(const bucket& one) noexcept {
    return cached_value::shared(*one.value);
  }
  /// One past the last slot; those that are free hold nothing.
  [[nodiscard]] std::uint32_t slot_count() const noexcept {
    return static_cast<std::uint32_t>(slots_.size());
  }
  static void use(bucket& one) noexcept {
    // Not written without need: hot lines stay shared between the cores.
    if (one.uses < uses_max) one.uses = (one.uses + 1U) & uses_max;
  }

  /// Takes in what is not there. Who has to make room for it goes to `dropped`, so that memory is
  /// freed after the lock.
  void insert(std::uint64_t hash, cached_value value, std::uint64_t since, timestamp now,
              std::vector<cached_value>& dropped);
  /// Puts another value in the place of one, which keeps its rank.
  void replace(std::uint32_t index, cached_value value, std::uint64_t since, timestamp now,
               std::vector<cached_value>& dropped);
  [[nodiscard]] cached_value remove(std::uint32_t index) noexcept;
  void clear(std::vector<cached_value>& dropped);

  [[nodiscard]] std::size_t bytes() const noexcept;
  [[nodiscard]] std::size_t bytes_max() const noexcept { return bytes_max_; }
  [[nodiscard]] std::size_t entries() const noexcept { return live_; }
  [[nodiscard]] std::uint64_t evictions() const noexcept { return evictions_; }
  /// By group, as far as any had to go.
  [[nodiscard]] const std::vector<std::uint64_t>& group_evictions() const noexcept {
    return group_evictions_;
  }

private:
  static constexpr std::uint32_t uses_max = 3;

  struct queue {
    std::uint32_t newest{nil};
    std::uint32_t oldest{nil};
    std::size_t bytes{0};
  };
  // A key that was dropped: its fingerprint, and when, as counted by `ghost_clock_`.
  struct ghost {
    std::uint32_t fingerprint{0};
    std::uint32_t dropped_at{0};
  };

  [[nodiscard]] static std::uint32_t fingerprint_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32);
  }
  [[nodiscard]] static std::size_t tables_bytes(std::size_t slots) noexcept;
  [[nodiscard]] std::size_t room() const noexcept { return bytes_max_ - tables_bytes_; }
  [[nodiscard]] std::size_t small_share() const noexcept { return room() / 10; }

  void grow(std::size_t slots);
  void link_bucket(const bucket& fresh) noexcept;
  [[nodiscard]] std::size_t bucket_of(std::uint32_t index) const noexcept;
  void unlink_bucket(std::size_t hole) noexcept;
  void push(queue& to, std::uint32_t index) noexcept;
  void unlink(std::uint32_t index) noexcept;

  void make_place(std::size_t bytes, timestamp now, std::vector<cached_value>& dropped);
  void evict(timestamp now, std::vector<cached_value>& dropped);
  void evict_small(timestamp now, std::vector<cached_value>& dropped);
  void evict_main(timestamp now, std::vector<cached_value>& dropped);
  void drop(std::uint32_t index, timestamp now, std::vector<cached_value>& dropped);
  void move_to_main(std::uint32_t index) noexcept;

  void remember(std::uint32_t fingerprint) noexcept;
  [[nodiscard]] bool remembered(std::uint32_t fingerprint) const noexcept;

  std::size_t bytes_max_;
  std::size_t tables_bytes_{0};
  std::size_t slots_max_{0};
  std::vector<slot> slots_;
  // Open addressing with linear probing: at most three quarters in use, nothing marked as deleted.
  std::vector<bucket> buckets_;
  // Sets of four: what is remembered longest in a set makes place.
  std::vector<ghost> ghosts_;
  std::uint32_t ghost_clock_{1};
  std::uint32_t free_{nil};
  std::size_t live_{0};
  queue small_;
  queue main_;
  std::uint64_t evictions_{0};
  std::vector<std::uint64_t> group_evictions_;
};

}  // namespace millrace::cache
