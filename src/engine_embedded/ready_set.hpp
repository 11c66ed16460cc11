#pragma once

#include "live_jobs.hpp"

#include <millrace/base/clock.hpp>
#include <millrace/engine/rate_window.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <queue>
#include <ranges>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace::embedded {

/// A queue of available jobs that forgets lazily: a job that left it otherwise than by its turn
/// stays as a stale entry until its turn comes, or until half of the entries are stale.
///
/// Cost: 8 bytes an entry.
class job_fifo final {
public:
  static constexpr std::uint8_t any_priority = 255;

  /// Entries of jobs that have moved to another priority are stale.
  explicit job_fifo(std::uint8_t priority = any_priority) noexcept : priority_(priority) {}
  ~job_fifo();
  job_fifo(job_fifo&& other) noexcept;
  job_fifo& operator=(job_fifo&& other) noexcept;

  void push_back(const live_jobs& jobs, job_slot slot);
  /// In front of all others, for a job that was taken but passed over.
  void push_front(const live_jobs& jobs, job_slot slot);
  /// The first that is not stale; drops the stale ones before it.
  [[nodiscard]] job_slot front(const live_jobs& jobs);
  /// Requires: `front` gave a job.
  void pop_front();
  /// A job that stands here is not available any more.
  void lost_one(const live_jobs& jobs);
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
  /// The slot, and the low half of the job's `ready_seq`, by which a slot used again is told apart.
  struct entry {
    job_slot slot;
    std::uint32_t seq;
  };
  struct chunk {
    std::array<entry, 63> entries;
    chunk* next{nullptr};
  };

  [[nodiscard]] static entry entry_of(const live_jobs& jobs, job_slot slot);
  [[nodiscard]] bool is_stale(const live_jobs& jobs, entry what) const;
  void push(entry what);

  std::uint8_t priority_;
  chunk* head_{nullptr};
  chunk* tail_{nullptr};
  std::size_t head_at_{0};
  std::size_t tail_at_{0};
  std::size_t size_{0};
  std::size_t stale_{0};
};

/// The jobs of one queue that can be handed out, and which is next: the highest priority, then the
/// one that became available first.
///
/// Jobs of a group that is at its bound do not stand in the way: each group has an order of its
/// own, and only groups that may start a job are looked at. What a group may start depends on the
/// leases of its jobs (`started`, `ended`) and on its starts.
///
/// Threading: none of its own.
/// Cost:      O(1) for jobs without a group, O(log n) with.
class ready_set final {
public:
  struct bounds {
    engine::rate_bound group_rate;
    std::uint32_t group_concurrency{0};
  };

  /// The group of that name, made when it is new. It exists while jobs refer to it
  /// (`refer`, `release`) or its starts still count.
  [[nodiscard]] std::uint32_t group_of(const std::string& name);
  [[nodiscard]] const std::string& group_name(std::uint32_t group) const;
  void refer(std::uint32_t group);
  void release(std::uint32_t group);
  void set_bounds(const bounds& to);
  /// The starts of its groups, from a set that is being replaced.
  void take_starts(ready_set& from);

  /// The job became available: its `ready_seq`, priority and group are set.
  void add(const live_jobs& jobs, job_slot slot);
  /// It is no longer, though nobody took it. Call before its fields change.
  void remove(live_jobs& jobs, job_slot slot);
  /// Its priority has changed; it keeps its place among those of the new one.
  void move(const live_jobs& jobs, job_slot slot);

  /// Takes the next one for which `passed_over` is false, and counts it as started in its group.
  template <class PassedOver>
  [[nodiscard]] job_slot take(live_jobs& jobs, timestamp now, PassedOver passed_over) {
    std::vector<job_slot> skipped;
    job_slot taken = no_slot;
    while (true) {
      taken = next(jobs, now);
      if (taken == no_slot) break;
      pop(jobs, taken);
      if (!passed_over(jobs[taken])) break;
      skipped.push_back(taken);
    }
    for (const job_slot back : std::views::reverse(skipped)) put_back(jobs, back);
    if (taken != no_slot) start(jobs, taken, now);
    return taken;
  }

  /// A job of the group runs since before (rebuilding at open); or its run ended.
  void resume_run(std::uint32_t group);
  void end_run(const live_jobs& jobs, std::uint32_t group);

  /// Since when the job has been available that has been so for longest.
  [[nodiscard]] std::optional<timestamp> oldest(const live_jobs& jobs);
  /// When a group that is at its rate may start again; empty when none waits for that.
  [[nodiscard]] std::optional<timestamp> next_group_at() const;
  /// Forgets groups nobody refers to and whose starts do not count any more: looks at a few.
  void sweep_groups(timestamp now);

private:
  struct ready_entry {
    std::uint64_t seq{0};
    job_slot slot{no_slot};
    std::uint8_t priority{0};
    /// For a heap: the one that goes first is the greatest.
    friend bool operator<(const ready_entry& a, const ready_entry& b) noexcept {
      return a.priority != b.priority ? a.priority < b.priority : a.seq > b.seq;
    }
    friend bool operator>(const ready_entry& a, const ready_entry& b) noexcept { return b < a; }
  };
  struct group {
    std::string name;
    std::vector<ready_entry> heap;
    engine::rate_window starts;
    std::uint64_t refers{0};
    std::uint32_t running{0};
    std::size_t stale{0};
    bool listed{false};
    bool waits_for_rate{false};
    /// What it is listed under in `heads_`.
    ready_entry head;
  };
  struct head {
    ready_entry first;
    std::uint32_t group{0};
    friend bool operator<(const head& a, const head& b) noexcept { return b.first < a.first; }
  };

  [[nodiscard]] job_slot next(live_jobs& jobs, timestamp now);
  /// The first group that may start a job; takes those that may not off the list.
  [[nodiscard]] std::uint32_t next_group(const live_jobs& jobs, timestamp now);
  void pop(live_jobs& jobs, job_slot slot);
  void put_back(live_jobs& jobs, job_slot slot);
  void start(live_jobs& jobs, job_slot slot, timestamp now);
  void push_grouped(const live_jobs& jobs, job_slot slot);
  void list(const live_jobs& jobs, std::uint32_t index);
  void unlist(std::uint32_t index);
  static void drop_stale_top(const live_jobs& jobs, group& in);
  [[nodiscard]] static bool is_stale(const live_jobs& jobs, const ready_entry& what);
  [[nodiscard]] ready_entry next_without_group(const live_jobs& jobs);
  void wake_rated(const live_jobs& jobs, timestamp now);

  bounds bounds_;
  std::array<job_fifo, 10> plain_{job_fifo(0), job_fifo(1), job_fifo(2), job_fifo(3), job_fifo(4),
                                  job_fifo(5), job_fifo(6), job_fifo(7), job_fifo(8), job_fifo(9)};
  /// Jobs without a group that came to their priority late and keep an earlier place: first to
  /// last.
  std::set<ready_entry, std::greater<>> moved_;
  /// Everything available, in the order in which it became so.
  job_fifo arrivals_;

  /// Index 0 means no group. Null where one was dropped.
  std::vector<std::unique_ptr<group>> groups_;
  std::vector<std::uint32_t> free_groups_;
  std::unordered_map<std::string, std::uint32_t> group_names_;
  std::set<head> heads_;
  using timer = std::pair<timestamp, std::uint32_t>;
  std::priority_queue<timer, std::vector<timer>, std::greater<>> rated_;
  std::size_t swept_{0};
};

}  // namespace millrace::embedded
