#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/event_steps.hpp>
#include <millrace/engine/job.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// What belongs together, wherever it stands: the jobs and events that carry one correlation id.
/// Its progress is asked for by itself (`find_progress`).
namespace millrace::engine {

struct correlated_event {
  stream_key stream;
  /// Of the stream's life, for a cursor at the event.
  std::uint64_t epoch{0};
  event what;
};

/// Jobs, live and ended, and events of a project that carry a correlation id, as long as they are
/// kept; and the job that carries none and whose own id it is. In one order, by the stamps of their
/// making, newest first. What nobody carries is empty.
///
/// A store remembers who carries what of its latest `correlated_max` jobs and events that carry any
/// id. A cursor that does not decode: malformed (bad_cursor). A page may be short, or empty, and
/// still have a cursor.
struct list_correlated {
  struct page {
    std::vector<job> jobs;
    std::vector<correlated_event> events;
    /// Opaque; where the next page begins. Empty: that was the last.
    std::string cursor;
    /// False: as much is remembered as can be, so that older ones may be missing.
    bool complete{true};
  };
  using answer = page;

  std::string project{"default"};
  std::string correlation_id;
  /// Jobs and events of the page together.
  std::uint32_t limit{100};
  std::string cursor;
};

/// A page ends behind the one that exceeds it.
inline constexpr std::size_t correlated_page_bytes_max = std::size_t{4} << 20U;

/// Whether a job of this project belongs to what is asked for.
[[nodiscard]] bool is_correlated(const job& what, const list_correlated& asked);
/// What counts against `correlated_page_bytes_max`.
[[nodiscard]] std::size_t page_bytes_of(const job& what) noexcept;
/// The stamps a page may list are smaller than this. Errors: bad_cursor.
[[nodiscard]] result<std::uint64_t> stamp_bound(const list_correlated& what);
/// The cursor of a page that ends with this stamp.
[[nodiscard]] std::string cursor_below(std::uint64_t stamp);

}  // namespace millrace::engine
