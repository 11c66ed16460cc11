#pragma once

#include <millrace/engine/job.hpp>

#include <boost/unordered/unordered_flat_set.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace millrace::embedded {

/// Where a live job stands in `live_jobs`. Reused after the job has ended.
using job_slot = std::uint32_t;
inline constexpr job_slot no_slot = ~job_slot{0};

/// What must be known of a job that has not ended, to decide about it without reading the disk.
/// There may be tens of millions: every byte counts.
struct live_job {
  /// The stamp of its id; 0 in a free slot.
  std::uint64_t id{0};
  /// Its place among available jobs; 0 while it is not queued.
  std::uint64_t ready_seq{0};
  std::uint64_t version{0};
  /// Microseconds: since when it is available, or when it will be.
  std::int64_t run_at{0};
  std::uint32_t queue{0};
  /// Index of its group; 0 for none.
  std::uint32_t group{0};
  std::uint16_t attempts{0};
  std::uint16_t max_attempts{0};
  engine::job_status status{engine::job_status::queued};
  std::uint8_t priority{0};
  bool cancel_requested : 1 {false};
  /// It has a row in `job_state`.
  bool has_state : 1 {false};
  bool has_unique : 1 {false};
  bool has_log : 1 {false};
};
static_assert(sizeof(live_job) == 48);

/// All jobs that have not ended, by id.
///
/// Threading: none of its own. References stay valid until the job is erased.
/// Cost:      48 bytes a job and 5 to 9 of index. Growing rehashes a 256th of the index at a time,
///            so that no call takes long however many jobs there are.
class live_jobs final {
public:
  live_jobs();

  [[nodiscard]] job_slot find(std::uint64_t id) const;
  /// Requires: no job of that id.
  job_slot insert(std::uint64_t id);
  void erase(job_slot slot);

  [[nodiscard]] live_job& operator[](job_slot slot) {
    return chunks_[slot >> chunk_bits]->at(slot & chunk_mask);
  }
  [[nodiscard]] const live_job& operator[](job_slot slot) const {
    return chunks_[slot >> chunk_bits]->at(slot & chunk_mask);
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Calls `visit(slot, job)` for each, in no order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (job_slot slot = 0; slot < used_; ++slot) {
      const live_job& job = (*this)[slot];
      if (job.id != 0) visit(slot, job);
    }
  }

private:
  static constexpr unsigned chunk_bits = 10;
  static constexpr job_slot chunk_mask = (job_slot{1} << chunk_bits) - 1;
  using chunk = std::array<live_job, std::size_t{1} << chunk_bits>;

  // The index holds slots; hashing and comparing look at the job's id.
  struct by_id_hash {
    using is_transparent = void;
    const live_jobs* jobs;
    std::size_t operator()(job_slot slot) const { return (*jobs)[slot].id; }
    std::size_t operator()(std::uint64_t id) const { return id; }
  };
  struct by_id_equal {
    using is_transparent = void;
    const live_jobs* jobs;
    bool operator()(job_slot a, job_slot b) const { return a == b; }
    bool operator()(std::uint64_t id, job_slot slot) const { return (*jobs)[slot].id == id; }
    bool operator()(job_slot slot, std::uint64_t id) const { return (*jobs)[slot].id == id; }
  };
  using index = boost::unordered_flat_set<job_slot, by_id_hash, by_id_equal>;

  [[nodiscard]] static std::size_t shard_of(std::uint64_t id) noexcept {
    return (id * 0x9e3779b97f4a7c15U) >> 56U;
  }

  std::vector<std::unique_ptr<chunk>> chunks_;
  std::vector<index> shards_;
  std::vector<job_slot> free_;
  job_slot used_{0};
  std::size_t size_{0};
};

}  // namespace millrace::embedded
