#include "live_jobs.hpp"

#include <millrace/base/assert.hpp>

namespace millrace::embedded {

static_assert(sizeof(std::size_t) == sizeof(std::uint64_t), "ids are hashed as they are");

live_jobs::live_jobs() {
  shards_.reserve(256);
  for (int i = 0; i < 256; ++i) shards_.emplace_back(0, by_id_hash{this}, by_id_equal{this});
}

job_slot live_jobs::find(std::uint64_t id) const {
  const index& shard = shards_[shard_of(id)];
  const auto at = shard.find(id);
  return at == shard.end() ? no_slot : *at;
}

job_slot live_jobs::insert(std::uint64_t id) {
  job_slot slot = used_;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    if ((used_ & chunk_mask) == 0) chunks_.push_back(std::make_unique<chunk>());
    ++used_;
    MILLRACE_ASSERT(used_ != no_slot);
  }
  (*this)[slot] = live_job{};
  (*this)[slot].id = id;
  const bool fresh = shards_[shard_of(id)].insert(slot).second;
  MILLRACE_ASSERT(fresh);
  ++size_;
  return slot;
}

void live_jobs::erase(job_slot slot) {
  live_job& job = (*this)[slot];
  MILLRACE_ASSERT(shards_[shard_of(job.id)].erase(slot) == 1);
  job.id = 0;
  job.ready_seq = 0;
  free_.push_back(slot);
  --size_;
}

}  // namespace millrace::embedded
