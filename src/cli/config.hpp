#pragma once

#include "command.hpp"
#include "config_cache.hpp"
#include "config_redis.hpp"

#include <millrace/base/clock.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine/job.hpp>
#include <millrace/http/session_settings.hpp>
#include <millrace/limiter/limit_policy.hpp>
#include <millrace/observe/logging.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::cli {

/// What a `[queues.NAME]` table says: changes to whatever the queue's settings are.
using queue_changes = std::vector<std::function<void(engine::queue_settings&)>>;

/// Everything that `serve` can be told.
struct serve_settings {
  std::vector<std::string> listen{"127.0.0.1:7070"};
  std::vector<std::string> host_names;
  std::filesystem::path data{".millrace"};
  /// Zero: as many as the machine has cores.
  std::uint32_t threads{0};
  /// Empty: the host's name.
  std::string server_id;
  std::filesystem::path pid_file;
  observe::log_format log_format{observe::log_format::text};
  observe::log_level log_level{observe::log_level::info};
  std::size_t connections_max{20'000};
  std::size_t body_bytes_max{std::size_t{32} << 20U};
  engine_settings engine;
  /// How long a cached value is kept where a request does not say: the cache's own setting, else
  /// that of the Redis of other backends, else an hour.
  std::optional<duration> cache_ttl;
  /// How long a Redis that says nothing is waited for before families say what is given.
  duration cache_patience{cache::patience_default};
  std::optional<duration> redis_ttl;
  redis_pieces redis_by_pieces;
  std::map<std::string, queue_changes> queues;
  limit_settings limits;
  http::session_settings sessions;
  /// As it was written, and what it comes to.
  cache_texts cache;
  std::shared_ptr<cache::declared_cache> declared;
  /// What was odd but no error, for the log.
  std::vector<std::string> warnings;
};

/// Puts the settings together: flags before variables before the file before the defaults. Opens
/// nothing but the configuration file.
///
/// Errors: invalid_argument, naming the key, its place, the value and what is allowed; for an
/// unknown key the nearest that there is.
[[nodiscard]] result<serve_settings> load_settings(const invocation& flags,
                                                   const surroundings& around);

}  // namespace millrace::cli
