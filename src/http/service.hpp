#pragma once

#include "family_census.hpp"
#include "http_metrics.hpp"
#include "turns.hpp"

#include <millrace/cache/shared_cache.hpp>
#include <millrace/events/consumers.hpp>
#include <millrace/http/server.hpp>
#include <millrace/limiter/limiter.hpp>
#include <millrace/locks/locks.hpp>
#include <millrace/queue/queue.hpp>
#include <millrace/sessions/sessions.hpp>

#include <atomic>
#include <chrono>
#include <string>

namespace millrace::http {

class sse_hub;

/// What every route works with.
struct service {
  engine::store& store;
  queues jobs;
  const server_options& options;
  http_metrics& numbers;
  const std::atomic<bool>& stopping;
  cache::shared_cache cache;
  limiter limits;
  const sse_hub& streams;
  std::chrono::steady_clock::time_point started{std::chrono::steady_clock::now()};
  /// One backup at a time.
  std::atomic<bool> backing_up{false};
  /// Of those who change settings or recurring jobs.
  turns writers{};
  /// Whose records requests without a key see.
  std::string project{"default"};
  /// Who holds what.
  locks holders{store};
  sessions::session_store sessions;
  family_census census{};
  /// Who reads streams together.
  consumers readers{store};
};

}  // namespace millrace::http
