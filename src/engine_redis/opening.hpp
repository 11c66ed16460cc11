#pragma once

#include "script.hpp"

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/engine_redis/redis_store.hpp>
#include <millrace/redis/connection.hpp>
#include <millrace/redis/server_facts.hpp>

#include <string>

/// What is found out about a server before it is used.
namespace millrace::engine_redis {

struct opened_server {
  redis::server_facts facts;
  engine::store_traits traits;
  script_entry script;
};

/// Whether jobs are safe on such a server, and how safe.
[[nodiscard]] result<engine::store_traits> judge(const redis::server_facts& facts,
                                                 const options& with);

/// Looks at the server, and gives it the script.
[[nodiscard]] awaitable<result<opened_server>> prepare(redis::connection& link, options with);

}  // namespace millrace::engine_redis
