#pragma once

#include "sse_batch.hpp"
#include "sse_subscriber.hpp"
#include "timing_wheel.hpp"

#include <millrace/http/server.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

/// How the clients of event streams are spread over threads.
namespace millrace::http {

using sse_strand = asio::strand<asio::io_context::executor_type>;
inline constexpr std::size_t lanes_max = 8;

struct sse_numbers {
  std::atomic<std::int64_t> open{0};
  /// Readers that did not take what there was in time, and those that were cut off for it.
  std::atomic<std::uint64_t> slow{0};
  std::atomic<std::uint64_t> cut{0};
  /// Looks at the store.
  std::atomic<std::uint64_t> reads{0};
};

/// One thing that is followed, however many follow it. On the hub's strand but for `source`.
struct sse_feed;

/// A batch on its way through the lanes; the next one waits until it is through, so that a busy
/// server sends fewer and larger ones.
struct sse_round {
  sse_round(const sse_strand& on, std::size_t lanes)
      : left(lanes), strand(on), done(on, asio::steady_timer::time_point::max()) {}
  static void leave(const std::shared_ptr<sse_round>& round);

  std::atomic<std::size_t> left;
  sse_strand strand;
  asio::steady_timer done;
};

/// What lanes and subscribers share. From any thread.
struct sse_shared {
  explicit sse_shared(const server_limits& of) : limits(of) {}

  void opened() noexcept { numbers.open.fetch_add(1); }
  void closed();
  /// When a client that is sent away is to come back, so that not all come at once.
  [[nodiscard]] std::uint64_t farewell_retry_ms();

  server_limits limits;
  sse_numbers numbers;
  /// What waits for slow readers, of all connections.
  std::atomic<std::size_t> waiting_bytes{0};
  std::function<void()> on_empty;
};

/// Those of one lane who follow one thing, and what came last, so that whoever joins or was slow
/// for a moment needs no look at the store.
struct seating {
  struct seat {
    sse_subscriber* who{nullptr};
    std::uint32_t slot{0};
  };
  struct found {
    batch_ptr batch;
    std::size_t first{0};
  };

  /// What comes behind a place, if it is here.
  [[nodiscard]] found behind(const stream_place& where) const noexcept;
  void add(batch_ptr what);

  std::vector<seat> seats;
  std::deque<batch_ptr> tail;
  std::size_t tail_bytes{0};
  /// Where the feed stands.
  std::optional<stream_place> live;
  std::uint32_t changed_tick{0};
  bool delivering{false};
};

/// Some of the subscribers, on a strand: batches are handed to them, and their times kept.
///
/// Threading: `strand` from anywhere; all else on it, but for the counter.
class sse_lane final : public std::enable_shared_from_this<sse_lane> {
public:
  /// Has the store read behind a place; `sse_subscriber::take` gets the answer.
  using ask_fn = std::function<void(std::shared_ptr<sse_subscriber>, std::size_t slot)>;
  /// A subscriber has left.
  using left_fn = std::function<void(sse_subscriber&)>;

  sse_lane(const asio::io_context::executor_type& on, std::shared_ptr<sse_shared> shared,
           std::chrono::milliseconds tick, ask_fn ask, left_fn left);

  [[nodiscard]] const sse_strand& strand() const noexcept { return strand_; }
  [[nodiscard]] sse_shared& shared() const noexcept { return *shared_; }
  [[nodiscard]] std::uint32_t now() const noexcept { return now_; }
  [[nodiscard]] std::uint32_t comment_ticks() const noexcept { return comment_ticks_; }
  [[nodiscard]] std::uint32_t write_ticks() const noexcept { return write_ticks_; }

  // From subscribers.
  void seat(sse_subscriber& who, const std::vector<std::optional<stream_place>>& live);
  void leave(sse_subscriber& who);
  void ask(std::shared_ptr<sse_subscriber> who, std::size_t slot);
  void wait_on_wheel(std::shared_ptr<sse_subscriber> who, std::uint32_t ticks);
  /// It takes nothing now: look at it in time.
  void hurry(sse_subscriber& who);

  // From the hub.
  void deliver(std::shared_ptr<sse_feed> from, batch_ptr what, std::shared_ptr<sse_round> round);
  void tick();
  void say_farewell();
  void cut_all();

  std::atomic<std::uint64_t> delivered{0};

private:
  void deliver_from(std::shared_ptr<sse_feed> from, std::size_t index,
                    std::shared_ptr<sse_round> round);
  void unseat(sse_subscriber::slot& of);
  void sweep(seating& at);

  sse_strand strand_;
  std::shared_ptr<sse_shared> shared_;
  std::uint32_t comment_ticks_;
  std::uint32_t write_ticks_;
  ask_fn ask_;
  left_fn left_;
  std::unordered_map<const sse_feed*, seating> seatings_;
  timing_wheel<sse_subscriber> wheel_;
  std::uint32_t now_{0};
};

}  // namespace millrace::http
