#include <millrace/engine/group_rules.hpp>

#include <millrace/engine/limits.hpp>

#include <algorithm>

namespace millrace::engine {

const group_state::delivery* group_state::of(const settle_deliveries& step,
                                             std::uint64_t offset) const {
  const auto at = pending.find(offset);
  if (at == pending.end() || at->second.consumer != step.consumer) return nullptr;
  return &at->second;
}

std::optional<timestamp> group_state::next_end() const {
  std::optional<timestamp> next;
  for (const auto& [offset, each] : pending) {
    if (!next || each.lease_ends_at < *next) next = each.lease_ends_at;
  }
  return next;
}

event_cursor place_of(const group_start& start, const stream_info* stream,
                      std::uint64_t stamp_before) {
  if (start.at == group_start::place::cursor) return start.cursor;
  if (stream == nullptr) return {};
  if (start.at == group_start::place::latest) return stream->end();
  return {stream->epoch, stream->first - 1, stamp_before};
}

group_info describe(const group_key& key, const group_state& state, const stream_info* stream) {
  group_info out{.group = key,
                 .created_at = state.created_at,
                 .place = state.place,
                 .pending = static_cast<std::uint32_t>(state.pending.size())};
  if (stream == nullptr) return out;
  const bool same = state.place.epoch == stream->epoch && state.place.offset <= stream->last;
  const std::uint64_t read = same ? std::max(state.place.offset, stream->first - 1) : 0;
  out.waiting = same ? stream->last - read : stream->count();
  return out;
}

std::vector<std::uint64_t> lapsed(const group_state& of, timestamp now, std::size_t most) {
  std::vector<std::uint64_t> out;
  for (const auto& [offset, each] : of.pending) {
    if (out.size() == most) break;
    if (each.lease_ends_at <= now) out.push_back(offset);
  }
  return out;
}

std::vector<pending_delivery> pending_of(const group_state& of, const list_pending& what) {
  std::vector<pending_delivery> out;
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, page_items_max);
  for (auto each = of.pending.upper_bound(what.after); each != of.pending.end(); ++each) {
    if (out.size() == most) break;
    out.push_back({.offset = each->first,
                   .consumer = each->second.consumer,
                   .deliveries = each->second.deliveries,
                   .delivered_at = each->second.delivered_at,
                   .lease_ends_at = each->second.lease_ends_at});
  }
  return out;
}

bool refuses(const group_state& of, const settle_deliveries& step) {
  return step.all && std::ranges::any_of(step.offsets, [&](std::uint64_t offset) {
           return of.of(step, offset) == nullptr;
         });
}

deliveries_settled settle(group_state& of, const settle_deliveries& step, timestamp now,
                          std::vector<std::uint64_t>& changed) {
  deliveries_settled out;
  for (const std::uint64_t offset : step.offsets) {
    if (of.of(step, offset) == nullptr) {
      out.lost.push_back(offset);
      continue;
    }
    ++out.settled;
    changed.push_back(offset);
    switch (step.what) {
      case settle_deliveries::verdict::done: of.pending.erase(offset); break;
      case settle_deliveries::verdict::again: of.pending[offset].lease_ends_at = now; break;
      case settle_deliveries::verdict::extend:
        of.pending[offset].lease_ends_at = now + step.lease;
        break;
    }
  }
  out.pending = static_cast<std::uint32_t>(of.pending.size());
  return out;
}

bool settling_wakes(const group_state& of, const settle_deliveries& step) {
  using verdict = settle_deliveries::verdict;
  return step.what == verdict::again ||
         (step.what == verdict::done && of.pending.size() >= group_pending_max);
}

error too_many_groups() {
  return {errc::exhausted, "too_many_groups",
          "The stream or the store has as many groups of consumers as it can: delete one.", "group",
          std::nullopt};
}

error group_not_found() {
  return {errc::not_found, "group_not_found",
          "The stream has no such group of consumers: it is made by its first read.", "group",
          std::nullopt};
}

error delivery_lost() {
  return {errc::conflict, "delivery_lost",
          "An event is not pending for this consumer (any more): its lease has ended and it went "
          "to another, or it was settled.",
          "offsets", std::nullopt};
}

}  // namespace millrace::engine
