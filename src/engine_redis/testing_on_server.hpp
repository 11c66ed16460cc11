#pragma once

#include "testing_redis.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine_redis/redis_store.hpp>
#include <millrace/redis/command.hpp>
#include <millrace/redis/connection.hpp>
#include <millrace/redis/reply.hpp>

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

/// For this room's tests only: a store on a server of their own, and what stands in that server.
namespace millrace::engine_redis {

inline std::unique_ptr<redis_store> open_on(const redis::testing::redis_server& server,
                                            options with) {
  with.where.over = redis::address::transport::unix_socket;
  with.where.path = server.socket();
  auto opened = redis_store::open(std::move(with));
  if (opened) return std::move(*opened);
  ADD_FAILURE() << opened.error().code << ": " << opened.error().detail;
  return nullptr;
}

inline std::unique_ptr<redis_store> open_on(const redis::testing::redis_server& server,
                                            const clock_source* clock = nullptr) {
  return open_on(server, options{.clock = clock});
}

inline awaitable<std::string> evaluate(std::string socket, std::string script) {
  redis::connection_options how;
  how.where.over = redis::address::transport::unix_socket;
  how.where.path = std::move(socket);
  how.use = redis::connection_use::dedicated;
  redis::connection link(co_await asio::this_coro::executor, std::move(how));
  redis::command what("EVAL");
  what.arg(script).arg("0");
  const result<redis::reply> answered = co_await link.call(std::move(what));
  co_await link.stop();
  co_return answered ? std::string(answered->text()) : std::string(answered.error().code);
}

/// What a script answers; its error's code where it fails.
inline std::string ask(const redis::testing::redis_server& server, const std::string& script) {
  return run_coro(evaluate(server.socket(), script));
}

}  // namespace millrace::engine_redis
