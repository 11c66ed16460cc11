#pragma once

#include <millrace/engine/event_steps.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// Events encoded once for everybody who follows, without I/O.
namespace millrace::http {

/// Where somebody stands in what is followed. Of a stream: behind the event of that epoch, offset
/// and stamp. Of what has only a state: which state was told (see sse_sources.hpp).
struct stream_place {
  enum class kind : std::uint8_t {
    cursor,
    /// At the beginning.
    earliest,
    /// At what comes next.
    latest,
    /// At the first event of a moment; `stamp` is its microseconds.
    at,
    /// What a client said it saw, of something that has only a state: it is compared with the
    /// state before it counts.
    resumed,
  };
  kind what{kind::cursor};
  std::uint64_t epoch{0};
  std::uint64_t offset{0};
  std::uint64_t stamp{0};

  [[nodiscard]] static stream_place of(const engine::event_cursor& cursor) noexcept {
    return {kind::cursor, cursor.epoch, cursor.offset, cursor.stamp};
  }
  [[nodiscard]] engine::event_cursor cursor() const noexcept { return {epoch, offset, stamp}; }

  friend auto operator<=>(const stream_place&, const stream_place&) = default;
};

/// A batch ends behind the event that takes it over this many bytes.
inline constexpr std::size_t batch_bytes_max = std::size_t{256} << 10U;

/// Events that follow each other, each as one chunk of HTTP around one server-sent event.
///
/// Clients of one stream are sent its bytes as they are; who follows several takes the same bytes
/// without the id, and puts its own before them.
class event_batch final {
public:
  struct entry {
    /// [begin, end) with the framing of HTTP, [text, text_end) without; [id, id_end) is the line
    /// of the cursor, which is the first of the text, or empty.
    std::uint32_t begin{0};
    std::uint32_t text{0};
    std::uint32_t id_end{0};
    std::uint32_t text_end{0};
    std::uint32_t end{0};
    stream_place behind;
  };

  explicit event_batch(stream_place start) : from(start), end(start) {}

  /// Appends an event: `id` is its line of the cursor, or empty; `rest` ends with an empty line.
  void add(std::string_view id, std::string_view rest, const stream_place& behind);
  /// Nothing follows any more: a place of its own, where nobody stood before.
  void finish() noexcept {
    ended = true;
    end.what = stream_place::kind::resumed;
  }
  [[nodiscard]] bool empty() const noexcept { return entries.empty(); }
  /// The first entry for somebody who stands at `where`; `entries.size()` + 1 where that is none
  /// of its places.
  [[nodiscard]] std::size_t entry_from(const stream_place& where) const noexcept;

  std::string bytes;
  std::vector<entry> entries;
  stream_place from;
  stream_place end;
  /// There is more behind it.
  bool more{false};
  /// Nothing follows any more.
  bool ended{false};
};

using batch_ptr = std::shared_ptr<const event_batch>;

/// Appends `text` as one chunk of HTTP/1.1.
void append_chunk(std::string& out, std::string_view text);

}  // namespace millrace::http
