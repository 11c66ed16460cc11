#pragma once

#include "sse_lane.hpp"
#include "sse_presence.hpp"
#include "sse_sources.hpp"

#include <millrace/base/task_group.hpp>
#include <millrace/engine/store.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace millrace::http {

/// What one client follows.
struct subscription {
  struct part {
    stream_source source;
    stream_place from;
    /// Of its name, where ids hold several places.
    std::uint32_t hash{0};
  };
  std::vector<part> parts;
  /// Ids hold the places of all parts.
  bool vector_id{false};
  /// How it is found in the registry of connections, for each flow.
  std::vector<live_listener> listeners;
};

struct sse_feed final {
  struct request {
    std::shared_ptr<sse_subscriber> who;
    std::size_t slot{0};
  };

  stream_source source;
  /// Everybody was told what is up to here.
  std::optional<stream_place> live;
  /// Who has to catch up, by place, so that one look serves all who stand there.
  std::map<stream_place, std::vector<request>> behind;
  stream_place served;
  std::array<std::uint32_t, lanes_max> users{};
  std::uint32_t limit{events_at_once};
  bool retired{false};
};

/// Follows what clients want to follow: one reader of the store for each thing, whatever the number
/// of clients, and each event encoded once.
///
/// Guarantees: those of `sse_subscriber`. A hint only says when to look; what is sent is what the
///             store has behind the last place.
/// Threading:  `accept`, `open` and `numbers` from anywhere; feeds are on one strand, subscribers
///             on lanes of their own.
/// Lifetime:   the store and the context outlive it. Await `ended` before the destructor.
class sse_hub final : public std::enable_shared_from_this<sse_hub> {
public:
  struct totals {
    std::int64_t open{0};
    std::uint64_t delivered{0};
    std::uint64_t reads{0};
    std::uint64_t slow{0};
    std::uint64_t cut{0};
  };

  sse_hub(asio::io_context& context, engine::store& store, const server_limits& limits,
          std::string server_id);
  ~sse_hub();
  sse_hub(const sse_hub&) = delete;
  sse_hub& operator=(const sse_hub&) = delete;

  /// A client is about to be handed over: it counts from here on.
  void expect();
  /// Takes over a client that is expected; `head` is the header of its answer.
  void accept(stream_socket socket, subscription what, std::string head, bool chunked);

  [[nodiscard]] std::size_t open() const noexcept;
  [[nodiscard]] totals numbers() const noexcept;

  void start();
  /// Sends every client away, and whoever comes yet.
  void send_away();
  /// Until the last client has gone; what is left at `until` is cut off.
  [[nodiscard]] static awaitable<void> ended(std::shared_ptr<sse_hub> self,
                                             std::chrono::steady_clock::time_point until);

private:
  using feed_ptr = std::shared_ptr<sse_feed>;

  [[nodiscard]] static awaitable<void> follow(std::shared_ptr<sse_hub> self, feed_ptr feed);
  [[nodiscard]] static awaitable<void> keep_time(std::shared_ptr<sse_hub> self);
  [[nodiscard]] static awaitable<void> end(std::shared_ptr<sse_hub> self,
                                           std::chrono::steady_clock::time_point until);

  // On the strand.
  [[nodiscard]] awaitable<batch_ptr> read(sse_feed& feed, stream_place from);
  [[nodiscard]] awaitable<bool> tell_news(const feed_ptr& feed, bool& failed);
  [[nodiscard]] awaitable<bool> help_one(const feed_ptr& feed, bool& failed);
  [[nodiscard]] awaitable<void> broadcast(feed_ptr feed, batch_ptr what);
  [[nodiscard]] awaitable<bool> wait_until_empty(std::chrono::steady_clock::time_point until);
  feed_ptr attach(stream_source source, std::size_t lane);
  void detach(std::vector<feed_ptr> feeds, std::size_t lane);
  void ask(const feed_ptr& feed, stream_place from, sse_feed::request what);
  void answer(const feed_ptr& feed, const batch_ptr& what);
  void poke(const sse_feed& feed);
  /// Of those who wait while the store is away, some have gone.
  static void forget_gone(sse_feed& feed);
  void place(stream_socket socket, subscription what, std::string head, bool chunked);

  asio::io_context& context_;
  engine::store& store_;
  sse_strand strand_;
  std::shared_ptr<sse_shared> shared_;
  std::chrono::milliseconds tick_;
  std::vector<std::shared_ptr<sse_lane>> lanes_;
  std::size_t next_lane_{0};
  std::map<std::pair<engine::topic::kind, std::string>, feed_ptr> feeds_;
  asio::steady_timer emptied_;
  bool sending_away_{false};
  sse_presence presence_;
  task_group tasks_;
};

}  // namespace millrace::http
