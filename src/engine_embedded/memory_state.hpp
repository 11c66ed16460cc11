#pragma once

#include "hot_jobs.hpp"
#include "lease_table.hpp"
#include "live_jobs.hpp"
#include "queue_state.hpp"
#include "unique_index.hpp"

#include <millrace/engine/job.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace::embedded {

using cron_name = std::pair<std::string, std::string>;

/// Everything the writer knows without reading the disk, and the rules that hold its parts
/// together. It can be built anew from the disk at any time: after a failed group it is.
///
/// Threading: the writer's.
class memory_state final {
public:
  /// `defaults`: what queues leave to the store.
  explicit memory_state(const engine::queue_settings& defaults) : defaults_(defaults) {}
  memory_state(const memory_state&) = delete;
  memory_state& operator=(const memory_state&) = delete;

  // ---- queues

  [[nodiscard]] queue_state* find_queue(const engine::queue_key& key);
  [[nodiscard]] queue_state* find_queue_row(std::int64_t row);
  queue_state& add_queue(engine::queue_key key, std::int64_t row);
  void set_settings(queue_state& queue, engine::queue_settings to);
  /// What is kept nowhere else, from a state that is being replaced: starts and minutes.
  void take_starts(memory_state& from);
  [[nodiscard]] queue_state& queue_of(const live_job& job) { return *queues_[job.queue]; }
  [[nodiscard]] const std::vector<std::unique_ptr<queue_state>>& queues() const { return queues_; }
  /// By name, for listings.
  [[nodiscard]] const std::map<engine::queue_key, std::uint32_t>& queue_names() const {
    return queue_names_;
  }

  // ---- jobs that have not ended. A job's place (`ready`, `due`, or its lease) follows its status,
  // which only these change.

  live_jobs jobs;

  /// A job that stands nowhere yet: `place` follows.
  job_slot add_job(std::uint64_t id, queue_state& queue, const std::string& group);
  /// Requires: the job stands nowhere. Queued since `at`, in the order of these calls.
  void place_queued(job_slot slot, timestamp at);
  /// scheduled or retrying.
  void place_waiting(job_slot slot, engine::job_status status, timestamp at);
  /// It has been taken from `ready`, or was running before the store was opened.
  void place_running(job_slot slot);
  /// Takes the job from its place, whatever that is.
  void displace(job_slot slot);
  /// The job has ended or is forgotten. Requires: it stands nowhere.
  void drop_job(job_slot slot);

  /// The next scheduled or retrying job that is due, with its moment.
  [[nodiscard]] std::optional<due_entry> first_due() const;

  // ---- jobs that have

  void add_finished(queue_state& queue, ended_list::entry what);
  void add_dead(queue_state& queue, ended_list::entry what, std::uint32_t attempts,
                const std::string& fingerprint, std::string_view error);
  void remove_dead(queue_state& queue, ended_list::entry what, std::uint32_t attempts,
                   const std::string& fingerprint);
  /// False when it was not there.
  bool remove_finished(queue_state& queue, ended_list::entry what);
  /// After ended jobs were appended to its lists.
  void sort_ended(queue_state& queue);
  /// The first moment at which a queue has something to forget, and that queue.
  [[nodiscard]] std::optional<std::pair<std::int64_t, std::uint32_t>> first_forgotten() const;

  // ---- the rest

  unique_index uniques;
  std::map<cron_name, engine::cron_entry> crons;
  /// Entries that are not paused, by their next slot.
  std::set<std::tuple<timestamp, std::string, std::string>> cron_slots;
  void put_cron(engine::cron_entry entry);
  void drop_cron(const cron_name& name);

  struct kept_key {
    std::uint64_t stamp{0};
    timestamp made_at{};
  };
  /// Idempotency keys, oldest first.
  std::deque<kept_key> idempotency;
  /// Some job has log lines.
  bool any_log{false};

private:
  void relist_due(queue_state& queue);
  void relist_forgotten(queue_state& queue);

  const engine::queue_settings& defaults_;
  std::pmr::unsynchronized_pool_resource pool_;
  std::vector<std::unique_ptr<queue_state>> queues_;
  std::map<engine::queue_key, std::uint32_t> queue_names_;
  std::unordered_map<std::int64_t, std::uint32_t> queue_rows_;
  std::uint64_t last_seq_{0};
  /// Queues with waiting jobs, by the moment of the first; and with ended jobs, by the moment at
  /// which the first is to be forgotten.
  std::set<std::pair<due_entry, std::uint32_t>> due_queues_;
  std::set<std::pair<std::int64_t, std::uint32_t>> forget_queues_;
};

}  // namespace millrace::embedded
