#include "ready_set.hpp"

#include <millrace/base/assert.hpp>

#include <algorithm>

namespace millrace::embedded {

// ---- job_fifo

job_fifo::~job_fifo() {
  while (head_ != nullptr) delete std::exchange(head_, head_->next);
}

job_fifo::job_fifo(job_fifo&& other) noexcept
    : priority_(other.priority_),
      head_(std::exchange(other.head_, nullptr)),
      tail_(std::exchange(other.tail_, nullptr)),
      head_at_(std::exchange(other.head_at_, 0)),
      tail_at_(std::exchange(other.tail_at_, 0)),
      size_(std::exchange(other.size_, 0)),
      stale_(std::exchange(other.stale_, 0)) {}

job_fifo& job_fifo::operator=(job_fifo&& other) noexcept {
  std::swap(head_, other.head_);
  std::swap(tail_, other.tail_);
  std::swap(head_at_, other.head_at_);
  std::swap(tail_at_, other.tail_at_);
  std::swap(size_, other.size_);
  std::swap(stale_, other.stale_);
  return *this;
}

job_fifo::entry job_fifo::entry_of(const live_jobs& jobs, job_slot slot) {
  return {slot, static_cast<std::uint32_t>(jobs[slot].ready_seq)};
}

bool job_fifo::is_stale(const live_jobs& jobs, entry what) const {
  const live_job& job = jobs[what.slot];
  return static_cast<std::uint32_t>(job.ready_seq) != what.seq ||
         (priority_ != any_priority && job.priority != priority_);
}

void job_fifo::push(entry what) {
  if (tail_ == nullptr || tail_at_ == tail_->entries.size()) {
    auto* fresh = new chunk;
    if (tail_ == nullptr) {
      head_ = fresh;
      head_at_ = 0;
    } else {
      tail_->next = fresh;
    }
    tail_ = fresh;
    tail_at_ = 0;
  }
  tail_->entries[tail_at_++] = what;
  ++size_;
}

void job_fifo::push_back(const live_jobs& jobs, job_slot slot) { push(entry_of(jobs, slot)); }

void job_fifo::push_front(const live_jobs& jobs, job_slot slot) {
  if (head_ == nullptr) return push_back(jobs, slot);
  if (head_at_ == 0) {
    auto* fresh = new chunk;
    fresh->next = head_;
    head_ = fresh;
    head_at_ = fresh->entries.size();
  }
  head_->entries[--head_at_] = entry_of(jobs, slot);
  ++size_;
}

void job_fifo::pop_front() {
  --size_;
  ++head_at_;
  if (head_ == tail_) {
    if (head_at_ < tail_at_) return;
    delete head_;
    head_ = tail_ = nullptr;
    head_at_ = tail_at_ = 0;
  } else if (head_at_ == head_->entries.size()) {
    delete std::exchange(head_, head_->next);
    head_at_ = 0;
  }
}

job_slot job_fifo::front(const live_jobs& jobs) {
  while (size_ > 0) {
    const entry first = head_->entries[head_at_];
    if (!is_stale(jobs, first)) return first.slot;
    pop_front();
    if (stale_ > 0) --stale_;
  }
  return no_slot;
}

void job_fifo::lost_one(const live_jobs& jobs) {
  ++stale_;
  static_cast<void>(front(jobs));
  if (stale_ < 64 || stale_ * 2 < size_) return;
  job_fifo kept(priority_);
  while (size_ > 0) {
    const entry first = head_->entries[head_at_];
    pop_front();
    if (!is_stale(jobs, first)) kept.push(first);
  }
  *this = std::move(kept);
}

// ---- ready_set: groups

std::uint32_t ready_set::group_of(const std::string& name) {
  if (name.empty()) return 0;
  const auto [at, fresh] = group_names_.try_emplace(name, 0U);
  if (!fresh) return at->second;
  if (groups_.empty()) groups_.emplace_back();
  if (free_groups_.empty()) {
    at->second = static_cast<std::uint32_t>(groups_.size());
    groups_.emplace_back();
  } else {
    at->second = free_groups_.back();
    free_groups_.pop_back();
  }
  groups_[at->second] = std::make_unique<group>();
  groups_[at->second]->name = name;
  groups_[at->second]->starts.rebind(bounds_.group_rate);
  return at->second;
}

const std::string& ready_set::group_name(std::uint32_t group) const { return groups_[group]->name; }

void ready_set::refer(std::uint32_t group) {
  if (group != 0) ++groups_[group]->refers;
}

void ready_set::release(std::uint32_t group) {
  if (group != 0) --groups_[group]->refers;
}

void ready_set::set_bounds(const bounds& to) {
  const bool new_rate = to.group_rate != bounds_.group_rate;
  bounds_ = to;
  for (std::uint32_t i = 1; i < groups_.size(); ++i) {
    if (!groups_[i]) continue;
    if (new_rate) groups_[i]->starts.rebind(to.group_rate);
    groups_[i]->waits_for_rate = false;
    if (groups_[i]->listed || groups_[i]->heap.empty()) continue;
    groups_[i]->head = groups_[i]->heap.front();
    heads_.insert({groups_[i]->head, i});
    groups_[i]->listed = true;
  }
  rated_ = {};
}

void ready_set::take_starts(ready_set& from) {
  for (const std::unique_ptr<group>& old : from.groups_) {
    if (old) groups_[group_of(old->name)]->starts = std::move(old->starts);
  }
}

bool ready_set::is_stale(const live_jobs& jobs, const ready_entry& what) {
  const live_job& job = jobs[what.slot];
  return job.ready_seq != what.seq || job.priority != what.priority;
}

void ready_set::drop_stale_top(const live_jobs& jobs, group& in) {
  while (!in.heap.empty() && is_stale(jobs, in.heap.front())) {
    std::ranges::pop_heap(in.heap, std::less<>{});
    in.heap.pop_back();
    if (in.stale > 0) --in.stale;
  }
}

void ready_set::list(const live_jobs& jobs, std::uint32_t index) {
  group& in = *groups_[index];
  if (in.listed) unlist(index);
  if (in.waits_for_rate) return;
  drop_stale_top(jobs, in);
  if (in.heap.empty()) return;
  in.head = in.heap.front();
  in.listed = true;
  heads_.insert({in.head, index});
}

void ready_set::unlist(std::uint32_t index) {
  group& in = *groups_[index];
  if (!in.listed) return;
  heads_.erase({in.head, index});
  in.listed = false;
}

void ready_set::push_grouped(const live_jobs& jobs, job_slot slot) {
  const live_job& job = jobs[slot];
  group& in = *groups_[job.group];
  const ready_entry fresh{job.ready_seq, slot, job.priority};
  const bool was_blocked = !in.listed && !in.heap.empty();
  in.heap.push_back(fresh);
  std::ranges::push_heap(in.heap, std::less<>{});
  // A group that is off the list for its bounds stays off it; another job changes nothing there.
  if (was_blocked) return;
  if (!in.listed || in.head < fresh) list(jobs, job.group);
}

void ready_set::wake_rated(const live_jobs& jobs, timestamp now) {
  while (!rated_.empty() && rated_.top().first <= now) {
    const std::uint32_t index = rated_.top().second;
    rated_.pop();
    if (!groups_[index] || !groups_[index]->waits_for_rate) continue;
    groups_[index]->waits_for_rate = false;
    list(jobs, index);
  }
}

std::uint32_t ready_set::next_group(const live_jobs& jobs, timestamp now) {
  wake_rated(jobs, now);
  while (!heads_.empty()) {
    const std::uint32_t index = heads_.begin()->group;
    group& in = *groups_[index];
    if (is_stale(jobs, in.head)) {
      list(jobs, index);
      continue;
    }
    if (!in.starts.allows(now)) {
      unlist(index);
      in.waits_for_rate = true;
      rated_.emplace(in.starts.next_at(now), index);
      continue;
    }
    if (bounds_.group_concurrency != 0 && in.running >= bounds_.group_concurrency) {
      // `end_run` lists it again.
      unlist(index);
      continue;
    }
    return index;
  }
  return 0;
}

void ready_set::resume_run(std::uint32_t group) {
  if (group != 0) ++groups_[group]->running;
}

void ready_set::end_run(const live_jobs& jobs, std::uint32_t group) {
  if (group == 0) return;
  MILLRACE_ASSERT(groups_[group]->running > 0);
  --groups_[group]->running;
  if (!groups_[group]->listed) list(jobs, group);
}

std::optional<timestamp> ready_set::next_group_at() const {
  if (rated_.empty()) return std::nullopt;
  return rated_.top().first;
}

void ready_set::sweep_groups(timestamp now) {
  constexpr std::size_t looks_max = 16;
  for (std::size_t i = 0; i < std::min(looks_max, groups_.size()); ++i) {
    swept_ = swept_ + 1 < groups_.size() ? swept_ + 1 : 0;
    std::unique_ptr<group>& at = groups_[swept_];
    if (!at || at->refers > 0 || at->running > 0 || !at->starts.idle(now)) continue;
    const auto index = static_cast<std::uint32_t>(swept_);
    unlist(index);
    group_names_.erase(at->name);
    at.reset();
    free_groups_.push_back(index);
  }
}

// ---- ready_set: jobs

void ready_set::add(const live_jobs& jobs, job_slot slot) {
  const live_job& job = jobs[slot];
  arrivals_.push_back(jobs, slot);
  if (job.group != 0) {
    push_grouped(jobs, slot);
  } else {
    plain_[job.priority].push_back(jobs, slot);
  }
}

void ready_set::move(const live_jobs& jobs, job_slot slot) {
  const live_job& job = jobs[slot];
  if (job.group != 0) {
    push_grouped(jobs, slot);
  } else {
    moved_.insert({job.ready_seq, slot, job.priority});
  }
}

void ready_set::remove(live_jobs& jobs, job_slot slot) {
  live_job& job = jobs[slot];
  for (std::uint8_t priority = 0; priority < 10 && !moved_.empty(); ++priority) {
    moved_.erase({job.ready_seq, slot, priority});
  }
  job.ready_seq = 0;
  arrivals_.lost_one(jobs);
  if (job.group == 0) {
    plain_[job.priority].lost_one(jobs);
    return;
  }
  group& in = *groups_[job.group];
  ++in.stale;
  if (in.stale < 64 || in.stale * 2 < in.heap.size()) return;
  std::erase_if(in.heap, [&](const ready_entry& each) { return is_stale(jobs, each); });
  std::ranges::make_heap(in.heap, std::less<>{});
  in.stale = 0;
}

ready_set::ready_entry ready_set::next_without_group(const live_jobs& jobs) {
  while (!moved_.empty() && is_stale(jobs, *moved_.begin())) moved_.erase(moved_.begin());
  const ready_entry moved = moved_.empty() ? ready_entry{} : *moved_.begin();
  for (std::size_t priority = plain_.size(); priority-- > 0;) {
    const job_slot slot = plain_[priority].front(jobs);
    if (slot == no_slot) continue;
    const ready_entry plain{jobs[slot].ready_seq, slot, jobs[slot].priority};
    return moved.slot == no_slot || moved < plain ? plain : moved;
  }
  return moved;
}

job_slot ready_set::next(live_jobs& jobs, timestamp now) {
  const ready_entry single = next_without_group(jobs);
  const std::uint32_t index = heads_.empty() && rated_.empty() ? 0 : next_group(jobs, now);
  if (index == 0) return single.slot;
  const ready_entry& grouped = groups_[index]->head;
  return single.slot == no_slot || single < grouped ? grouped.slot : single.slot;
}

void ready_set::pop(live_jobs& jobs, job_slot slot) {
  const live_job& job = jobs[slot];
  if (job.group == 0) {
    if (!moved_.empty() && moved_.begin()->slot == slot) {
      moved_.erase(moved_.begin());
    } else {
      plain_[job.priority].pop_front();
    }
    return;
  }
  group& in = *groups_[job.group];
  unlist(job.group);
  std::ranges::pop_heap(in.heap, std::less<>{});
  in.heap.pop_back();
  list(jobs, job.group);
}

void ready_set::put_back(live_jobs& jobs, job_slot slot) {
  const live_job& job = jobs[slot];
  if (job.group != 0) {
    push_grouped(jobs, slot);
  } else {
    plain_[job.priority].push_front(jobs, slot);
  }
}

void ready_set::start(live_jobs& jobs, job_slot slot, timestamp now) {
  live_job& job = jobs[slot];
  job.ready_seq = 0;
  arrivals_.lost_one(jobs);
  if (job.group == 0) return;
  groups_[job.group]->starts.record(now);
  ++groups_[job.group]->running;
}

std::optional<timestamp> ready_set::oldest(const live_jobs& jobs) {
  const job_slot slot = arrivals_.front(jobs);
  if (slot == no_slot) return std::nullopt;
  return from_micros(jobs[slot].run_at);
}

}  // namespace millrace::embedded
