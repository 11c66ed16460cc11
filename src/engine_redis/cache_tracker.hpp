#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/engine/cache_changes.hpp>
#include <millrace/redis/connection.hpp>
#include <millrace/redis/reply.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace millrace::engine_redis {

/// Tells an observer what changes in the cache, by whomever: over a connection of its own, to which
/// the server pushes the names of changed keys (`CLIENT TRACKING … BCAST`).
///
/// The server pushes a change before it answers whoever made it, and what it sends over one
/// connection arrives in order. So a PING that was sent before and answered now says that all that
/// was answered to writers before it was sent has arrived.
///
/// That a tag was invalidated shows only as a change of the key with all tags of its project; which
/// it was is asked then, and until that is known the observer has the project in doubt.
///
/// Threading: one thread, that of the io_context.
/// Lifetime:  context and observer must outlive it; `stop` comes before the end.
class cache_tracker final {
public:
  /// `link` says how to connect. `root`: what all keys of the store begin with.
  cache_tracker(asio::io_context& context, redis::connection_options link, const std::string& root,
                engine::cache_observer& to, std::chrono::milliseconds mark_every);
  ~cache_tracker();
  cache_tracker(const cache_tracker&) = delete;
  cache_tracker& operator=(const cache_tracker&) = delete;

  [[nodiscard]] awaitable<void> stop();

private:
  struct project {
    /// The stamp of the newest invalidation that was told or is from before; -1: not known.
    std::int64_t since{-1};
    bool asking{false};
    /// Something came since it was asked.
    bool again{false};
  };

  void link_changed(redis::link_state now);
  void pushed(const redis::reply& push);
  void key_changed(std::string_view key);
  void ask_stamp();
  void ask_tags(const std::string& name);
  void on_tags(const std::string& name, const result<redis::reply>& answer);
  void send_mark();
  void arm();

  engine::cache_observer& to_;
  const std::string state_key_;
  const std::string keys_;
  const std::chrono::milliseconds mark_every_;
  std::map<std::string, project, std::less<>> projects_;
  /// The store's last stamp of when it was found: what was invalidated until then is of no
  /// interest.
  std::int64_t found_at_{-1};
  bool ready_{false};
  /// Counts connections: what was asked over an older one is not heard.
  std::uint64_t connection_{0};
  asio::steady_timer timer_;
  std::unique_ptr<redis::connection> link_;
};

}  // namespace millrace::engine_redis
