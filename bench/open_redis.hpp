#pragma once

#include "queue_load.hpp"

#include <millrace/engine_redis/redis_store.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <memory>
#include <utility>

namespace millrace::bench {

/// The store on the Redis that the settings name, on a thread of its own or on that loop, which
/// stays awake for that long; ends the program where it cannot be opened.
inline std::unique_ptr<engine_redis::redis_store> open_redis(
    const settings& with, asio::io_context* loop = nullptr,
    std::chrono::microseconds busy_poll = std::chrono::microseconds{0}) {
  auto where = redis::parse_address(with.redis, "--redis");
  if (!where) stop(where.error().detail);
  auto opened = engine_redis::redis_store::open(
      {.where = std::move(*where), .busy_poll = busy_poll, .loop = loop});
  if (!opened) stop(opened.error().detail);
  return std::move(*opened);
}

}  // namespace millrace::bench
