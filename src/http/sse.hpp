#pragma once

#include "sse_batch.hpp"

#include <millrace/engine/job.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Server-sent events, and those of one job, without I/O.
namespace millrace::http {

/// How long a client waits before it comes back.
inline constexpr std::string_view sse_retry = "retry: 1000\n\n";
inline constexpr std::string_view sse_comment = ":\n\n";

/// Appends one event. `data` must be without line breaks; an id of 0 is left out.
void append_event(std::string& out, std::string_view type, std::uint64_t id, std::string_view data);

/// Turns what the store says about a job, each time somebody looked, into what is new for one
/// client.
///
/// The cursor is a stamp of the store: all that has a stamp up to it has been sent. The state comes
/// first, then the log, oldest line first; events that would leave older ones unsent if the client
/// was cut off right behind them carry no new cursor.
class job_feed final {
public:
  /// From a cursor: 0 sends the log from its beginning; empty sends no log lines of the past.
  explicit job_feed(std::optional<std::uint64_t> from) noexcept;
  /// `where` of another, or what a client said it saw.
  explicit job_feed(const stream_place& from) noexcept;

  /// All that a client knows of the job: what is new from there on is the same for all who stand
  /// there.
  [[nodiscard]] stream_place where() const noexcept;

  /// Appends what is new. `lines` are those behind `log_cursor()`, read after the job.
  void take(const engine::job& job, std::vector<engine::job_log_line> lines, std::string& out);
  /// The job does not exist any more.
  void take_gone(const engine::job_id& id, std::string& out);

  [[nodiscard]] std::uint64_t log_cursor() const noexcept { return first_ ? 0 : sent_; }
  /// Nothing will change any more; `end` has been sent.
  [[nodiscard]] bool ended() const noexcept { return ended_; }

private:
  void append_change(const engine::job& job, std::uint64_t id, std::string& out) const;

  std::uint64_t sent_{0};
  bool from_now_{false};
  bool first_{true};
  bool ended_{false};
  // What the client knows of the job: a hash of its state, and when its progress changed.
  std::uint64_t state_{0};
  std::uint64_t progress_at_{0};
};

}  // namespace millrace::http
