#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/cache/near_cache.hpp>
#include <millrace/engine/store.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The command line: every command but `serve` and `restore` speaks to a running server.
namespace millrace::cli {

/// How a command ended, for whoever called it.
enum class exit_code : int {
  done = 0,
  failed = 1,
  /// The command line or the configuration is wrong; nothing was done.
  usage = 2,
  not_found = 3,
  /// No server, or one that cannot serve at the moment.
  unavailable = 4,
};

/// The Redis or Valkey that many servers share. What is left empty is not used.
struct redis_settings {
  /// `redis://`, `rediss://` for TLS, `unix://`; empty: the embedded engine is wanted.
  std::string url;
  /// Where the URL was given: what an error about it names.
  std::string url_from;
  /// Every key begins with it.
  std::string prefix{"millrace"};
  /// PEM files: trusted authorities (else those of the machine), a client's certificate and key.
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  /// How safe an answered change is there; empty: read from the server's configuration.
  std::optional<engine::durability> strongest;
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds request_timeout{3'000};
  /// How long a thread stays awake for an answer.
  duration busy_poll{0};
};

/// What `serve` opens its engine with.
struct engine_settings {
  redis_settings redis;
  /// Of the embedded engine, as is what follows up to the defaults.
  std::filesystem::path directory;
  std::chrono::milliseconds async_window{50};
  std::size_t hot_jobs_bytes{std::size_t{64} << 20U};
  std::size_t page_cache_bytes{std::size_t{32} << 20U};
  /// Of the cache of each project, on either engine.
  std::uint64_t cache_bytes_max{engine::cache_bytes_default};
  /// What holds where neither a job nor its queue says anything.
  engine::queue_settings defaults;
  /// Of the cache, in the memory of this process. Zero: none, every read asks the store.
  std::size_t near_bytes{std::size_t{32} << 20U};
  /// How old a read that is answered from there may be, at most, on a store of several processes.
  duration near_age{cache::near_age_default};
  /// Told when the server of a store is lost, with why, and when it is there again, with nothing;
  /// from any thread.
  std::function<void(const error* why)> on_outage;
};

struct opened_engine {
  /// Empty where the cache is not kept near.
  std::unique_ptr<cache::near_cache> near{};
  std::unique_ptr<engine::store> store;
  /// Where everything is kept, for people.
  std::string place;
  /// Writes a consistent copy while the store is in use; refers to the store. Empty where the
  /// engine has none.
  std::function<result<void>(const std::filesystem::path&)> backup;
};

/// The engine of the program, which only its main knows by name.
struct engine_choice {
  std::function<result<opened_engine>(const engine_settings&)> open;
  /// Makes a data directory from a backup.
  std::function<result<void>(const std::filesystem::path& backup,
                             const std::filesystem::path& directory)>
      restore;
};

/// What a command sees of the world. References must outlive `run`.
struct surroundings {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  /// A variable of the environment; empty where it is not set.
  std::function<std::optional<std::string>(std::string_view)> variable;
  /// Every variable's name.
  std::function<std::vector<std::string>()> variable_names;
  const clock_source& clock;
  bool in_is_terminal{false};
  bool out_is_terminal{false};
  bool err_is_terminal{false};
  /// Columns of the terminal.
  std::size_t columns{80};
};

/// The process's own streams, environment and clock.
[[nodiscard]] surroundings process_surroundings();

/// Runs one command. `args` without the program's name.
///
/// Blocks until the command has ended; `serve`, `worker` and `job --watch` end at SIGTERM or
/// SIGINT.
[[nodiscard]] exit_code run(std::vector<std::string> args, const engine_choice& engine,
                            surroundings& around);

}  // namespace millrace::cli
