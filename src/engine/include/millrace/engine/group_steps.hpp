#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/event_steps.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Consumer groups: several consumers share the events of a stream, each of which goes to one of
/// them, with a lease. What is not settled before its lease ends goes to the next who reads, with
/// its deliveries counted; so every event is handled at least once. The place of a group and what
/// is delivered are as durable as the events.
///
/// A group is not part of its stream's history: it stays when the stream is forgotten, and is told
/// by a gap what it missed.
namespace millrace::engine {

struct group_key {
  stream_key stream;
  /// As the name of a queue.
  std::string group;

  friend bool operator==(const group_key&, const group_key&) = default;
  friend auto operator<=>(const group_key&, const group_key&) = default;
};

/// Where a group begins to read: at the oldest event that is kept, behind the newest, or behind a
/// cursor.
struct group_start {
  enum class place : std::uint8_t { earliest = 0, latest = 1, cursor = 2 };
  place at{place::earliest};
  event_cursor cursor;
};

struct group_info {
  group_key group;
  timestamp created_at{};
  /// Behind the last event that was delivered for the first time.
  event_cursor place;
  /// Delivered and not settled.
  std::uint32_t pending{0};
  /// Events behind `place` that are kept.
  std::uint64_t waiting{0};

  friend bool operator==(const group_info&, const group_info&) = default;
};

/// Makes a group; one that exists stays as it is, unless it is to move: then it reads from there
/// on, and what was pending is nobody's. Refused: too_many_groups (exhausted).
struct put_group {
  group_key group;
  group_start start;
  bool move{false};
};
struct group_changed {
  group_info group;
  /// It was not there before.
  bool made{false};
};

/// Refused: group_not_found.
struct delete_group {
  group_key group;
};

/// Events for a consumer: first those whose lease has ended, then new ones. A group that does not
/// exist is made. Refused: too_many_groups.
struct read_group {
  group_key group;
  /// 1 to 128 bytes; who settles them says the same.
  std::string consumer;
  /// 1 to 1000, and about `event_page_bytes_max`.
  std::uint32_t max{10};
  duration lease{std::chrono::seconds{30}};
  /// Where the group begins if it is new.
  group_start start;
};
struct group_delivery {
  event what;
  /// 1: for the first time.
  std::uint32_t deliveries{1};
};
struct group_read {
  std::vector<group_delivery> events;
  /// Some events will never be delivered (again): they were trimmed or lost before. `missed` are
  /// those of this life of the stream.
  gap_reason gap{gap_reason::none};
  std::uint64_t missed{0};
  group_info group;
  /// `group_pending_max` events are pending: no new ones before some are settled.
  bool full{false};
  /// When the next lease ends, on the store's clock; and what that says.
  std::optional<timestamp> next_end;
  timestamp now{};
};

/// Ends or changes deliveries by their offsets. An offset that is not pending for this consumer is
/// told as lost, or refuses the step where all are wanted: delivery_lost (conflict).
/// Refused: group_not_found.
struct settle_deliveries {
  enum class verdict : std::uint8_t {
    /// They are handled.
    done = 0,
    /// Somebody is to have them at once.
    again = 1,
    /// Their leases end `lease` from now.
    extend = 2,
  };
  group_key group;
  std::string consumer;
  /// 1 to 1000, none twice.
  std::vector<std::uint64_t> offsets;
  verdict what{verdict::done};
  duration lease{std::chrono::seconds{30}};
  bool all{false};
};
struct deliveries_settled {
  std::uint32_t settled{0};
  std::vector<std::uint64_t> lost;
  /// Pending events of the group that are left.
  std::uint32_t pending{0};
};

/// The groups of a stream, by name.
struct list_groups {
  using answer = std::vector<group_info>;
  stream_key stream;
};

struct pending_delivery {
  std::uint64_t offset{0};
  std::string consumer;
  std::uint32_t deliveries{0};
  timestamp delivered_at{};
  timestamp lease_ends_at{};

  friend bool operator==(const pending_delivery&, const pending_delivery&) = default;
};
/// What is pending in a group, by offset; empty where there is no such group.
struct list_pending {
  using answer = std::vector<pending_delivery>;
  group_key group;
  /// Behind this offset.
  std::uint64_t after{0};
  /// 1 to 1000.
  std::uint32_t limit{100};
};

}  // namespace millrace::engine
