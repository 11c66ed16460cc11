#pragma once

#include <millrace/engine/job.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What can be read. A query sees every change that was answered before it was asked, and nothing
/// that is not yet as durable as its answer promised; what is due has happened, as for steps. Each
/// costs a bounded amount of work (`listing_rows_max`): a page may hold fewer items than asked for
/// and still have a cursor.
namespace millrace::engine {

template <class Item>
struct page {
  std::vector<Item> items;
  /// Opaque; where the next page begins. Empty: that was the last.
  std::string cursor;
};

struct find_job {
  using answer = std::optional<job>;
  job_id id;
};

struct read_job_log {
  using answer = std::vector<job_log_line>;
  job_id id;
  /// Only lines with a greater stamp.
  std::uint64_t after{0};
};

/// Which jobs. All that is given must hold.
struct job_filter {
  std::optional<job_status> status;
  std::optional<std::string> type;
  std::vector<label> labels;
  /// The error fingerprint of a dead letter, as `dead_stats` shows it: none but dead jobs match.
  std::optional<std::string> fingerprint;
};

/// Jobs of one queue, newest first; with status retrying or scheduled by due time, soonest first;
/// with status dead oldest failure first; equal times by id. A cursor that does not decode:
/// malformed (bad_cursor). Every listing takes its limit as 1 to `page_items_max`.
struct list_jobs {
  using answer = page<job>;
  queue_key queue;
  job_filter filter;
  std::uint32_t limit{50};
  std::string cursor;
};

/// The dead letter at a place, 0 the oldest failure.
struct dead_at {
  using answer = std::optional<job>;
  queue_key queue;
  std::uint64_t index{0};
};

struct find_queue {
  using answer = std::optional<queue_info>;
  queue_key queue;
};

/// By name.
struct list_queues {
  using answer = page<queue_info>;
  std::string project{"default"};
  std::uint32_t limit{100};
  std::string cursor;
};

/// One entry a queue that has dead letters or retries, or had a failure in the last 60 minutes; by
/// name, all queues of the project.
struct read_dead_stats {
  using answer = std::vector<dead_stats>;
  std::string project{"default"};
};

struct find_cron {
  using answer = std::optional<cron_entry>;
  std::string project{"default"};
  std::string name;
};

/// By name.
struct list_crons {
  using answer = page<cron_entry>;
  std::string project{"default"};
  std::uint32_t limit{100};
  std::string cursor;
};

/// Entries of every project that are not paused and whose slot has come, soonest first (equal times
/// by project and name); and the time of the next one after those, due or not.
struct due_crons {
  struct due {
    std::vector<cron_entry> entries;
    std::optional<timestamp> next_at;
  };
  using answer = due;
  std::uint32_t limit{100};
};

/// The store's own clock.
struct read_clock {
  using answer = timestamp;
};

/// Writes and reads back through the store: what readiness means.
struct probe_store {
  struct report {
    duration took{0};
  };
  using answer = report;
};

}  // namespace millrace::engine
