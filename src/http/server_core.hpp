#pragma once

#include "access.hpp"
#include "http_metrics.hpp"
#include "router.hpp"
#include "service.hpp"
#include "sse_hub.hpp"

#include <millrace/http/server.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <unordered_set>

namespace millrace::http {

/// The open connections, so that deadlines and `stop` reach them from other threads.
///
/// Threading: every member from any thread. A connection is in here exactly as long as its socket
///            is open, so that what is done to a socket under the lock is done to that one.
class connection_registry final {
public:
  void add(connection& one);
  void remove(connection& one);
  [[nodiscard]] std::size_t size() const;

  /// Cuts those whose deadline has passed.
  void cut_late() const;
  /// Wakes those that wait: for a request, or in one.
  void wake_waiting() const;
  void cut_all() const;
  /// Calls `empty` once when no connection is left; at once where there is none.
  void on_empty(std::function<void()> empty);

private:
  mutable std::mutex mutex_;
  std::unordered_set<connection*> open_;
  std::function<void()> empty_;
};

/// What the connections of one server share.
struct server_core {
  server_core(asio::io_context& context, engine::store& store, server_options given,
              std::span<const route> table)
      : options(std::move(given)),
        routes(table),
        streams(std::make_shared<sse_hub>(context, store, options.limits,
                                          options.rate_limits.server_id)),
        numbers(table),
        api{.store = store,
            .jobs = queues{store},
            .options = options,
            .numbers = numbers,
            .stopping = stopping,
            .cache = cache::shared_cache{store,
                                         {.default_ttl = options.cache_ttl,
                                          .near = options.near_cache,
                                          .patience = options.cache_patience,
                                          .declared = options.declared}},
            .limits{store, options.rate_limits},
            .streams = *streams,
            .sessions{store,
                      {.keys = options.declared == nullptr ? nullptr : options.declared->ring(),
                       .encrypt = options.sessions.encrypt}}} {}

  server_options options;
  router routes;
  std::shared_ptr<sse_hub> streams;
  http_metrics numbers;
  std::atomic<bool> stopping{false};
  service api;
  access_check access{{}};
  connection_registry connections;
  /// Bytes of large bodies that are being read, of all connections.
  std::atomic<std::size_t> body_bytes{0};
};

}  // namespace millrace::http
