#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/cache_changes.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/redis/address.hpp>
#include <millrace/redis/connection.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace millrace::engine_redis {

struct options {
  redis::address where;
  redis::tls_options tls;
  /// Every key begins with it, in braces: `{millrace}:`. Stores of one prefix on one server are one
  /// store, however many processes open it. A name of letters, digits, `.`, `_` and `-`.
  std::string prefix{"millrace"};
  /// What holds where a queue has not set it itself: whoever opens the store last decides, for all
  /// processes.
  engine::queue_settings defaults;
  /// Bytes that the cache of each project may hold, as `cache_entry_bytes` counts; Redis takes
  /// about 300 bytes more an entry.
  std::uint64_t cache_bytes_max{engine::cache_bytes_default};
  /// Not owned; empty: the server's own clock. A clock that does not tick replaces it, for tests.
  const clock_source* clock{nullptr};
  /// How safe an acknowledged change is on this server; empty: found out from its configuration
  /// (`appendfsync always`: durable; `everysec`: async; no append-only file: memory). To be given
  /// where the user may not read the configuration.
  std::optional<engine::durability> strongest;
  /// For connecting, and from sending a call to its answer.
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds request_timeout{3'000};
  /// How long a thread of the store (or `loop`) stays awake for an answer: `busy_poll` of
  /// `redis::connection_options`. For callers that call again and again, one at a time.
  std::chrono::microseconds busy_poll{0};
  /// Called when the connection is lost, with why, and when there is one again, with nothing. Not
  /// for the attempts between. On the thread that the store lives on: it must return soon and may
  /// not ask the store.
  std::function<void(const error* why)> on_outage;
  /// Not owned; empty: a thread of the store's own. An event loop of the program that the store
  /// lives on instead: whoever waits for an answer reads it there, and no thread has to wake
  /// another (ADR 0016 has figures). For a program of one loop, run by one thread,
  /// none of whose handlers takes long. The loop must outlive the store and does not come to an
  /// end before it. Opening and ending the store run the loop until that is done, on the thread
  /// that does it, which must be the loop's, or come before or after it is run. On that thread
  /// `engine::blocking` would wait for ever.
  asio::io_context* loop{nullptr};
};

/// The engine of many processes: everything in one Redis or Valkey (6.2 or later), every batch of
/// transactions one call of one script.
///
/// Guarantees: as `engine::store`, over all processes together. Nothing that decides is kept in the
///             process. Leases are recovered, and due jobs promoted, by whichever process looks
///             first. After everybody was away, or the server was restarted, each live lease has
///             one full interval.
/// Errors:     besides those of `engine::store`: unavailable while there is no connection (at once,
///             nothing was applied), outcome_unknown where the answer of a call is lost for good,
///             corrupted (wrong_type: a key of ours has somebody else's value in it).
/// Limits:     one server: all keys of a store are in one slot of a cluster.
class redis_store : public engine::store {
public:
  /// Connects and looks at the server. Blocks; at most `connect_timeout` and a few requests.
  ///
  /// Errors: unavailable (redis_unreachable, not_redis, tls_failed …), forbidden (wrong_password,
  /// no_permission with the ACL rule), unsupported (redis_too_old, layout_newer,
  /// redis_not_standalone), invalid_argument (redis_evicts: it would throw jobs away;
  /// read_only_replica), corrupted (wrong_type).
  [[nodiscard]] static result<std::unique_ptr<redis_store>> open(options with);

  /// Tells of every change of the cache, by whichever process, until the store ends. To be called
  /// once. It takes a connection of its own, that the server pushes to (CLIENT TRACKING); it is
  /// made again whenever it is lost, and nothing is told meanwhile. `mark_every`: between two
  /// marks.
  virtual void tell_cache_changes(engine::cache_observer& to,
                                  std::chrono::milliseconds mark_every) = 0;
};

}  // namespace millrace::engine_redis
