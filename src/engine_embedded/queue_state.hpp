#pragma once

#include "ready_set.hpp"

#include <millrace/engine/job.hpp>
#include <millrace/engine/rate_window.hpp>
#include <millrace/engine/wakeups.hpp>

#include <boost/container/deque.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace::embedded {

/// Jobs that have ended, by the moment that counts for them, then by id.
///
/// Cost: 16 bytes a job; O(1) at both ends, where nearly all happens.
class ended_list final {
public:
  class entry final {
  public:
    entry() = default;
    entry(timestamp at, std::uint64_t id, engine::job_status status) noexcept
        : at_(to_micros(at)),
          id_and_cancelled_((id << 1U) | (status == engine::job_status::cancelled ? 1U : 0U)) {}

    [[nodiscard]] std::int64_t at() const noexcept { return at_; }
    [[nodiscard]] std::uint64_t id() const noexcept { return id_and_cancelled_ >> 1U; }
    [[nodiscard]] bool cancelled() const noexcept { return (id_and_cancelled_ & 1U) != 0; }
    friend auto operator<=>(const entry&, const entry&) = default;

  private:
    std::int64_t at_{0};
    std::uint64_t id_and_cancelled_{0};
  };

  void add(entry what);
  /// Adds in any order, for building; `sort` follows.
  void append(entry what) { entries_.push_back(what); }
  void sort();
  /// False when it was not there.
  bool remove(entry what);
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] const entry& operator[](std::size_t i) const { return entries_[i]; }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }

private:
  boost::container::deque<entry> entries_;
};

/// Dead letters of one queue by their cause.
class failure_causes final {
public:
  void add(const std::string& fingerprint, std::string_view error);
  void remove(const std::string& fingerprint);
  [[nodiscard]] std::vector<engine::error_count> top(std::size_t count) const;

private:
  struct cause {
    std::uint64_t count{0};
    std::string sample;
  };
  /// Causes beyond `fingerprints_max` count under `other`.
  std::unordered_map<std::string, cause> causes_;
};

/// What happened in the last hour, by minute.
class minute_counts final {
public:
  using field = std::uint64_t engine::minute_count::*;
  void add(timestamp at, field what);
  /// Takes back what was added.
  void take_back(timestamp at, field what, std::uint64_t times);
  /// Those of the 60 minutes up to `now`'s that had any, oldest first.
  [[nodiscard]] std::vector<engine::minute_count> recent(timestamp now) const;

private:
  std::vector<engine::minute_count> minutes_;
};

using due_entry = std::pair<std::int64_t, std::uint64_t>;

/// One queue as the writer knows it.
struct queue_state {
  explicit queue_state(std::pmr::memory_resource* pool) : due(pool) {}

  std::uint32_t index{0};
  std::int64_t row{0};
  engine::queue_key key;
  /// The routing tag of its jobs' ids.
  std::string tag;
  engine::topic topic;
  engine::queue_settings settings;
  bool paused{false};
  bool draining{false};

  /// Jobs by status.
  std::array<std::uint64_t, 7> count{};
  ready_set ready;
  /// Scheduled and retrying jobs: when they are due, then their id.
  std::pmr::set<due_entry> due;
  ended_list finished;
  ended_list dead;
  failure_causes causes;
  /// The sum of `attempts` over the dead letters.
  std::uint64_t dead_attempts{0};
  engine::rate_window starts;
  minute_counts minutes;
  /// Waiting jobs with the smallest ids, ascending: what a purge takes next. Empty when not known.
  std::vector<std::uint64_t> purge_plan;
  /// Jobs that became available in the present group.
  std::size_t hinted{0};
  /// What `due_queues` and `forget_queues` hold of it.
  std::optional<due_entry> due_listed;
  std::optional<std::int64_t> forget_listed;

  [[nodiscard]] std::uint64_t in(engine::job_status status) const {
    return count[static_cast<std::size_t>(status)];
  }
  [[nodiscard]] std::uint64_t waiting() const {
    return in(engine::job_status::queued) + in(engine::job_status::scheduled) +
           in(engine::job_status::retrying);
  }
};

}  // namespace millrace::embedded
