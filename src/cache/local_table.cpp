#include "local_table.hpp"

#include <millrace/base/assert.hpp>

#include <algorithm>
#include <bit>
#include <utility>

namespace millrace::cache {

namespace {

constexpr std::size_t ghost_set = 4;

std::size_t bucket_count(std::size_t slots) noexcept { return std::bit_ceil(slots * 4 / 3 + 1); }
std::size_t ghost_count(std::size_t slots) noexcept {
  return std::max(ghost_set, std::bit_ceil(slots));
}

bool over(const cached_value& value, timestamp now) noexcept {
  return now >= value.expires_at() + value.stale_for();
}

}  // namespace

local_table::local_table(std::size_t bytes_max) : bytes_max_(bytes_max) { grow(16); }

std::size_t local_table::tables_bytes(std::size_t slots) noexcept {
  return slots * sizeof(slot) + bucket_count(slots) * sizeof(bucket) +
         ghost_count(slots) * sizeof(ghost);
}

std::size_t local_table::bytes() const noexcept {
  return tables_bytes_ + small_.bytes + main_.bytes;
}

local_table::bucket* local_table::find(std::uint64_t hash, std::string_view key) noexcept {
  const std::uint32_t fingerprint = fingerprint_of(hash);
  const std::size_t mask = buckets_.size() - 1;
  for (std::size_t at = fingerprint & mask;; at = (at + 1) & mask) {
    bucket& here = buckets_[at];
    if (here.value == nullptr) return nullptr;
    if (here.fingerprint == fingerprint && cached_value::key_of(*here.value) == key) return &here;
  }
}

void local_table::insert(std::uint64_t hash, cached_value value, std::uint64_t since, timestamp now,
                         std::vector<cached_value>& dropped) {
  const std::size_t bytes = value.memory_bytes();
  MILLRACE_ASSERT(bytes <= bytes_max_ / 4);
  make_place(bytes, now, dropped);
  std::uint32_t index = free_;
  if (index == nil) {
    index = slot_count();
    slots_.emplace_back();
  } else {
    free_ = slots_[index].next;
  }
  const std::uint32_t fingerprint = fingerprint_of(hash);
  slots_[index] = slot{.value = std::move(value), .since = since, .fingerprint = fingerprint};
  const bool asked_again = remembered(fingerprint);
  slots_[index].in_main = asked_again;
  push(asked_again ? main_ : small_, index);
  link_bucket({.value = slots_[index].value.block_, .fingerprint = fingerprint, .index = index});
  ++live_;
}

void local_table::replace(std::uint32_t index, cached_value value, std::uint64_t since,
                          timestamp now, std::vector<cached_value>& dropped) {
  slot& one = slots_[index];
  queue& in = one.in_main ? main_ : small_;
  in.bytes = in.bytes - one.value.memory_bytes() + value.memory_bytes();
  dropped.push_back(std::exchange(one.value, std::move(value)));
  one.since = since;
  buckets_[bucket_of(index)].value = one.value.block_;
  while (bytes() > bytes_max_) evict(now, dropped);
}

cached_value local_table::remove(std::uint32_t index) noexcept {
  unlink(index);
  unlink_bucket(bucket_of(index));
  slot& one = slots_[index];
  cached_value value = std::move(one.value);
  one.next = std::exchange(free_, index);
  --live_;
  return value;
}

void local_table::clear(std::vector<cached_value>& dropped) {
  dropped.reserve(dropped.size() + live_);
  for (slot& one : slots_) {
    if (one.value) dropped.push_back(std::move(one.value));
  }
  slots_.clear();
  std::ranges::fill(buckets_, bucket{});
  small_ = queue{};
  main_ = queue{};
  free_ = nil;
  live_ = 0;
}

void local_table::grow(std::size_t slots) {
  slots_max_ = slots;
  slots_.reserve(slots);
  tables_bytes_ = tables_bytes(slots);
  if (bucket_count(slots) != buckets_.size()) {
    const std::vector<bucket> before =
        std::exchange(buckets_, std::vector<bucket>(bucket_count(slots)));
    for (const bucket& one : before) {
      if (one.value != nullptr) link_bucket(one);
    }
  }
  if (ghost_count(slots) != ghosts_.size()) {
    const std::vector<ghost> before =
        std::exchange(ghosts_, std::vector<ghost>(ghost_count(slots), ghost{}));
    const std::uint32_t clock = ghost_clock_;
    for (const ghost& one : before) {
      if (one.dropped_at == 0) continue;
      ghost_clock_ = one.dropped_at;
      remember(one.fingerprint);
    }
    ghost_clock_ = clock;
  }
}

void local_table::link_bucket(const bucket& fresh) noexcept {
  const std::size_t mask = buckets_.size() - 1;
  std::size_t at = fresh.fingerprint & mask;
  while (buckets_[at].value != nullptr) at = (at + 1) & mask;
  buckets_[at] = fresh;
}

std::size_t local_table::bucket_of(std::uint32_t index) const noexcept {
  const std::size_t mask = buckets_.size() - 1;
  std::size_t at = slots_[index].fingerprint & mask;
  while (buckets_[at].index != index || buckets_[at].value == nullptr) at = (at + 1) & mask;
  return at;
}

void local_table::unlink_bucket(std::size_t hole) noexcept {
  const std::size_t mask = buckets_.size() - 1;
  // Those behind move up where that brings them no further ahead than their home.
  for (std::size_t at = (hole + 1) & mask; buckets_[at].value != nullptr; at = (at + 1) & mask) {
    const std::size_t home = buckets_[at].fingerprint & mask;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    buckets_[hole] = buckets_[at];
    hole = at;
  }
  buckets_[hole] = bucket{};
}

void local_table::push(queue& to, std::uint32_t index) noexcept {
  slot& one = slots_[index];
  one.prev = nil;
  one.next = to.newest;
  (to.newest == nil ? to.oldest : slots_[to.newest].prev) = index;
  to.newest = index;
  to.bytes += one.value.memory_bytes();
}

void local_table::unlink(std::uint32_t index) noexcept {
  const slot& one = slots_[index];
  queue& from = one.in_main ? main_ : small_;
  (one.prev == nil ? from.newest : slots_[one.prev].next) = one.next;
  (one.next == nil ? from.oldest : slots_[one.next].prev) = one.prev;
  from.bytes -= one.value.memory_bytes();
}

void local_table::make_place(std::size_t bytes, timestamp now, std::vector<cached_value>& dropped) {
  if (free_ == nil && slots_.size() == slots_max_) {
    const std::size_t more = slots_max_ + slots_max_ / 4 + 16;
    const std::size_t held = small_.bytes + main_.bytes;
    // Tables that grow at the cost of entries would hold less than before.
    if (held + bytes + tables_bytes(more) <= bytes_max_) {
      grow(more);
    } else {
      evict(now, dropped);
    }
  }
  while (live_ > 0 && small_.bytes + main_.bytes + bytes > room()) evict(now, dropped);
}

void local_table::evict(timestamp now, std::vector<cached_value>& dropped) {
  if (main_.oldest == nil || (small_.oldest != nil && small_.bytes >= small_share())) {
    evict_small(now, dropped);
  } else {
    evict_main(now, dropped);
  }
}

void local_table::evict_small(timestamp now, std::vector<cached_value>& dropped) {
  const std::size_t main_share = room() - small_share();
  while (small_.oldest != nil) {
    const std::uint32_t index = small_.oldest;
    const slot& one = slots_[index];
    if (!over(one.value, now)) {
      if (buckets_[bucket_of(index)].uses > 1) {
        move_to_main(index);
        if (main_.bytes <= main_share) continue;
        evict_main(now, dropped);
        return;
      }
      if (main_.bytes + one.value.memory_bytes() <= main_share / 16 * 15) {
        move_to_main(index);
        continue;
      }
      remember(one.fingerprint);
    }
    drop(index, now, dropped);
    return;
  }
  evict_main(now, dropped);
}

void local_table::evict_main(timestamp now, std::vector<cached_value>& dropped) {
  while (true) {
    const std::uint32_t index = main_.oldest;
    bucket& found = buckets_[bucket_of(index)];
    if (found.uses == 0 || over(slots_[index].value, now)) {
      drop(index, now, dropped);
      return;
    }
    found.uses = (found.uses - 1U) & uses_max;
    unlink(index);
    push(main_, index);
  }
}

void local_table::move_to_main(std::uint32_t index) noexcept {
  unlink(index);
  slots_[index].in_main = true;
  buckets_[bucket_of(index)].uses = 0;
  push(main_, index);
}

void local_table::drop(std::uint32_t index, timestamp now, std::vector<cached_value>& dropped) {
  dropped.push_back(remove(index));
  if (over(dropped.back(), now)) return;
  ++evictions_;
  const std::size_t group = dropped.back().group();
  if (group >= group_evictions_.size()) group_evictions_.resize(group + 1);
  ++group_evictions_[group];
}

void local_table::remember(std::uint32_t fingerprint) noexcept {
  const std::size_t set = (fingerprint & (ghosts_.size() / ghost_set - 1)) * ghost_set;
  std::size_t place = set;
  for (std::size_t at = set; at < set + ghost_set; ++at) {
    if (ghosts_[at].fingerprint == fingerprint) {
      place = at;
      break;
    }
    if (ghost_clock_ - ghosts_[at].dropped_at > ghost_clock_ - ghosts_[place].dropped_at)
      place = at;
  }
  ghosts_[place] = {fingerprint, ghost_clock_};
  // Zero marks a place that was never used.
  if (++ghost_clock_ == 0) ghost_clock_ = 1;
}

bool local_table::remembered(std::uint32_t fingerprint) const noexcept {
  const std::size_t set = (fingerprint & (ghosts_.size() / ghost_set - 1)) * ghost_set;
  for (std::size_t at = set; at < set + ghost_set; ++at) {
    const ghost& one = ghosts_[at];
    if (one.fingerprint != fingerprint || one.dropped_at == 0) continue;
    // As many keys are remembered as entries are held.
    return ghost_clock_ - one.dropped_at <= std::max<std::size_t>(16, live_);
  }
  return false;
}

}  // namespace millrace::cache
