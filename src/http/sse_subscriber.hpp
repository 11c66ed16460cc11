#pragma once

#include "connection.hpp"
#include "sse_batch.hpp"
#include "timing_wheel.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

class sse_lane;
struct sse_feed;
struct seating;

/// One client of event streams: a socket, what it follows and how far, and what is still to be
/// sent. This is all that an idle one costs: no buffer, no coroutine, no timer.
///
/// Guarantees: of each thing that is followed, everything behind the place where it began, once and
///             in order. Who reads too slowly has at most `stream_bytes_max` and one batch waiting;
///             it is served again from its place when that was taken, from the store where need be,
///             or cut off, as `server_limits::slow_readers` says.
/// Threading:  on its lane, always. Its end may be anywhere.
class sse_subscriber final : public std::enable_shared_from_this<sse_subscriber> {
public:
  struct slot {
    std::shared_ptr<sse_feed> feed;
    seating* at{nullptr};
    std::uint32_t seat{0};
    /// Of the name, in ids of several streams.
    std::uint32_t hash{0};
    /// The store is being read for it.
    bool asking{false};
    stream_place where;
  };

  sse_subscriber(std::shared_ptr<sse_lane> lane, stream_socket socket, std::vector<slot> slots,
                 bool chunked, bool vector_id);
  ~sse_subscriber();
  sse_subscriber(const sse_subscriber&) = delete;
  sse_subscriber& operator=(const sse_subscriber&) = delete;

  /// `live`: where the feeds of its slots stand.
  void start(std::string head, const std::vector<std::optional<stream_place>>& live);
  /// Something came behind the place of a slot, as far as its seating knows.
  void news(std::size_t slot);
  /// The answer to `sse_lane::ask`.
  void take(std::size_t slot, const batch_ptr& what);
  /// Its moment on the wheel: a comment is due, or a reader that takes nothing has had its time.
  void look();
  /// Says when to come back, and ends.
  void say_farewell();
  void cut() { drop(); }

  /// From any thread.
  [[nodiscard]] bool gone() const noexcept { return gone_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::vector<slot>& slots() noexcept { return slots_; }
  [[nodiscard]] sse_lane& lane() const noexcept { return *lane_; }

  wheel_place on_wheel;
  /// Its entries in the registry of connections: so many from this number on.
  std::uint64_t presence{0};
  std::uint32_t presences{0};

private:
  struct item {
    batch_ptr batch;
    std::string own;
    std::string_view first;
    std::string_view second;
    [[nodiscard]] std::size_t size() const noexcept {
      return own.size() + first.size() + second.size();
    }
  };

  [[nodiscard]] bool has_room();
  [[nodiscard]] bool has_open_place() const noexcept;
  [[nodiscard]] bool pull(std::size_t slot);
  void append(std::size_t slot, const batch_ptr& what, std::size_t first_entry);
  void append_with_own_id(slot& of, const batch_ptr& what, std::size_t first_entry);
  void append_text(std::string_view text);
  void push(item what);
  [[nodiscard]] std::string own_id() const;
  void end_now();
  void pump();
  [[nodiscard]] bool flush();
  [[nodiscard]] long send_some();
  void consume(std::size_t bytes);
  void block();
  void account();
  void watch();
  void on_readable();
  void on_writable();
  void drop();

  std::shared_ptr<sse_lane> lane_;
  stream_socket socket_;
  std::vector<slot> slots_;
  std::vector<item> queue_;
  std::uint32_t head_{0};
  /// Ticks of the lane: when something was sent last, and since when nothing is taken.
  std::uint32_t sent_tick_{0};
  std::uint32_t stuck_tick_{0};
  std::size_t sent_of_head_{0};
  std::size_t queued_bytes_{0};
  std::size_t accounted_bytes_{0};
  std::size_t received_bytes_{0};
  bool chunked_;
  bool vector_id_;
  bool unresolved_{false};
  bool closing_{false};
  std::atomic<bool> gone_{false};
  bool writing_{false};
  bool slow_{false};
};

}  // namespace millrace::http
