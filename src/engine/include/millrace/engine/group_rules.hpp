#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/group_steps.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// What the engines that keep a group's state in memory decide alike about it.
namespace millrace::engine {

struct group_state {
  timestamp created_at{};
  event_cursor place;
  struct delivery {
    /// Of the event: an offset that was lost and given again has another.
    std::uint64_t stamp{0};
    std::string consumer;
    std::uint32_t deliveries{0};
    timestamp delivered_at{};
    timestamp lease_ends_at{};
  };
  std::map<std::uint64_t, delivery> pending;

  [[nodiscard]] const delivery* of(const settle_deliveries& step, std::uint64_t offset) const;
  /// When the first lease ends.
  [[nodiscard]] std::optional<timestamp> next_end() const;
};

/// Where a group of this stream begins; no stream: null.
[[nodiscard]] event_cursor place_of(const group_start& start, const stream_info* stream,
                                    std::uint64_t stamp_before);

[[nodiscard]] group_info describe(const group_key& key, const group_state& state,
                                  const stream_info* stream);

/// Offsets whose lease has ended, in their order.
[[nodiscard]] std::vector<std::uint64_t> lapsed(const group_state& of, timestamp now,
                                                std::size_t most);

/// What the query asks for, of a group that is there.
[[nodiscard]] std::vector<pending_delivery> pending_of(const group_state& of,
                                                       const list_pending& what);

/// The first offset that is not pending for the consumer, where the step wants all.
[[nodiscard]] bool refuses(const group_state& of, const settle_deliveries& step);
/// Requires: not refused. `changed` names the offsets of which something is to be written.
deliveries_settled settle(group_state& of, const settle_deliveries& step, timestamp now,
                          std::vector<std::uint64_t>& changed);

/// Others may have what is given back, or what there is room for.
[[nodiscard]] bool settling_wakes(const group_state& of, const settle_deliveries& step);

[[nodiscard]] error too_many_groups();
[[nodiscard]] error group_not_found();
[[nodiscard]] error delivery_lost();

}  // namespace millrace::engine
