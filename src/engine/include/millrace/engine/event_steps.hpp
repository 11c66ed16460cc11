#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Event streams: histories that are only appended to, and read from any place. A stream exists
/// from its first event; one that was never used reads as empty.
///
/// Each event has an offset, 1 and up without a hole within one life of its stream, and a stamp of
/// the store, which grows from event to event and is never used twice. A stream whose last event
/// has grown too old is forgotten, unless it has a retention of its own: the next event begins
/// another life of it, with another epoch.
namespace millrace::engine {

struct stream_key {
  std::string project{"default"};
  /// 1 to 512 bytes.
  std::string name;

  friend bool operator==(const stream_key&, const stream_key&) = default;
  friend auto operator<=>(const stream_key&, const stream_key&) = default;
};

/// A place in a stream: behind the event of this offset and stamp. It holds on every node, and
/// tells when history is not what it was: an offset that was lost and given again has another
/// stamp. All zero: before the beginning of any life.
struct event_cursor {
  /// The stamp at which this life of the stream began.
  std::uint64_t epoch{0};
  std::uint64_t offset{0};
  std::uint64_t stamp{0};

  /// `<epoch>.<offset>.<stamp>` in base 36.
  [[nodiscard]] std::string text() const;
  /// Empty for anything `text` cannot have made.
  [[nodiscard]] static std::optional<event_cursor> parse(std::string_view text);

  friend bool operator==(const event_cursor&, const event_cursor&) = default;
};

struct event {
  std::uint64_t offset{0};
  std::uint64_t stamp{0};
  timestamp at{};
  /// 1 to 128 bytes; not `gap`.
  std::string type;
  /// One JSON text, kept byte for byte.
  std::string payload{"null"};
  /// Who says it; at most 128 bytes, may be empty.
  std::string source;
  std::string correlation_id;
  /// The publisher's own id; empty: none.
  std::string id;
};

/// What counts against `event_retention::bytes`.
[[nodiscard]] std::uint64_t bytes_of(const event& what) noexcept;

/// How much of a stream is kept: the newest events that all of these allow. What is too much by
/// count or bytes goes with the step that makes it so, `events_trimmed_at_once` a step, and never
/// the last event; what is older than `age` with later commits, not at the moment itself.
struct event_retention {
  std::uint64_t count{10'000};
  duration age{std::chrono::hours{24 * 7}};
  std::uint64_t bytes{std::uint64_t{256} << 20U};

  friend bool operator==(const event_retention&, const event_retention&) = default;
};

struct stream_info {
  stream_key stream;
  event_retention retention;
  std::uint64_t epoch{0};
  /// The oldest event that is kept, and the newest; first = last + 1 where none is.
  std::uint64_t first{1};
  std::uint64_t last{0};
  std::uint64_t last_stamp{0};
  std::uint64_t bytes{0};
  std::optional<timestamp> last_at;

  [[nodiscard]] std::uint64_t count() const noexcept { return last + 1 - first; }
  /// Behind the newest event.
  [[nodiscard]] event_cursor end() const noexcept { return {epoch, last, last_stamp}; }
};

/// Appends one event. A transaction may append several to one stream; they stand in its order.
///
/// An event whose `id` the stream has seen within `event_id_kept` is not appended again: the answer
/// is where it stands, as a duplicate. Refused: too_many_streams, too_many_event_ids (exhausted).
struct publish_event {
  stream_key stream;
  /// `offset`, `stamp` and `at` are the store's to give.
  event what;
};
struct event_published {
  event_cursor place;
  timestamp at{};
  bool duplicate{false};
};

/// Sets how much a stream keeps; it exists from then on and is not forgotten.
/// Refused: too_many_streams.
struct configure_stream {
  stream_key stream;
  event_retention retention;
};
struct stream_configured {
  stream_info stream;
};

/// Why a reader missed something, or may have.
enum class gap_reason : std::uint8_t {
  none = 0,
  /// What stood behind the cursor is kept no longer.
  trimmed = 1,
  /// The cursor is of another stream or of another life of this one.
  other_epoch = 2,
  /// The event at the cursor is not the one the reader saw, or there is none so far: the store has
  /// lost its latest events.
  lost = 3,
};
[[nodiscard]] std::string_view to_string(gap_reason why) noexcept;

/// Events of a stream, at most `limit` and about `event_page_bytes_max`, in O(log n) from any
/// place.
struct read_events {
  enum class order : std::uint8_t { oldest_first, newest_first };
  struct page {
    std::vector<event> events;
    /// Behind the last of them in the order asked for; where there is none, where it was looked.
    event_cursor end;
    /// There are more behind `end`.
    bool more{false};
    /// With any but `none` the page begins at the first event whose stamp is greater than the
    /// cursor's (newest first: smaller): nothing that is kept is passed over, nothing is repeated.
    gap_reason gap{gap_reason::none};
  };
  using answer = page;

  stream_key stream;
  order way{order::oldest_first};
  /// Events behind it (newest first: before it). Empty: from the end of the stream at which the
  /// order begins.
  std::optional<event_cursor> from;
  /// Instead of a cursor: events of this moment and later (newest first: and earlier).
  std::optional<timestamp> at;
  std::uint32_t limit{100};
};

struct find_stream {
  using answer = std::optional<stream_info>;
  stream_key stream;
};

}  // namespace millrace::engine
