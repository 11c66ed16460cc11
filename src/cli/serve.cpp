#include "serve.hpp"

#include "pid_file.hpp"
#include "server_call.hpp"
#include "serving.hpp"
#include "version.hpp"

#include <millrace/cache/key_check.hpp>
#include <millrace/client/endpoint.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/http/server.hpp>
#include <millrace/observe/logging.hpp>
#include <millrace/queue/queue.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <ostream>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace millrace::cli {
namespace {

result<serve_settings> checked_settings(const context& with) {
  if (with.in.has("--postgres")) {
    return fail(errc::unsupported, "engine_unavailable",
                "PostgreSQL is not part of this version: leave the option out", "--postgres");
  }
  auto settings = load_settings(with.in, with.around);
  if (!settings) return settings;
  if (auto sound = http::check_listen(settings->listen, false); !sound) {
    return std::unexpected(std::move(sound.error()));
  }
  return settings;
}

/// The queues of the configuration file, over what they were set to before.
result<void> configure_queues(engine::store& store, const serve_settings& settings) {
  for (const auto& [name, changes] : settings.queues) {
    const engine::queue_key key{.name = name};
    auto known = engine::blocking::ask(store, engine::find_queue{key});
    if (!known) return std::unexpected(std::move(known.error()));
    engine::queue_settings wanted = *known ? (*known)->settings : engine::queue_settings{};
    const engine::queue_settings before = wanted;
    for (const auto& change : changes) change(wanted);
    if (*known && wanted == before) continue;
    if (auto sound = check(wanted); !sound) {
      error why = std::move(sound.error());
      why.field = fmt::format("queues.{}.{}", name, why.field);
      return std::unexpected(std::move(why));
    }
    engine::transaction set{.level = store.traits().strongest};
    set.steps.emplace_back(engine::configure_queue{.queue = key, .settings = wanted});
    auto done = engine::blocking::commit(store, std::move(set));
    if (!done) return std::unexpected(std::move(done.error().why));
  }
  return {};
}

bool on_redis(const serve_settings& settings) { return !settings.engine.redis.url.empty(); }

/// Where the Unix socket goes: into the directory that the embedded engine owns. Empty where there
/// is none, or where its name would be too long for the system.
std::filesystem::path socket_path(const serve_settings& settings) {
  if (on_redis(settings)) return {};
  const std::filesystem::path& data = settings.data;
  const std::filesystem::path absolute =
      std::filesystem::absolute(data).lexically_normal() / client::socket_file_name;
  const std::filesystem::path shorter = data / client::socket_file_name;
  for (const auto& path : {absolute, shorter}) {
    if (path.native().size() < sizeof(sockaddr_un{}.sun_path)) return path;
  }
  return {};
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

limit_settings limits_of(const serve_settings& settings) {
  limit_settings limits = settings.limits;
  limits.server_id = settings.server_id.empty() ? host_name() : settings.server_id;
  return limits;
}

http::server_options server_options(const serve_settings& settings, const opened_engine& engine,
                                    const observe::logger& log) {
  http::server_options options{.listen = settings.listen,
                               .unix_socket = socket_path(settings),
                               .host_names = settings.host_names,
                               .backup = engine.backup,
                               .scratch_directory = on_redis(settings) ? "" : settings.data,
                               .rate_limits = limits_of(settings),
                               .version = std::string{version_text}};
  if (settings.cache_ttl) options.cache_ttl = *settings.cache_ttl;
  // The embedded engine answers from this process.
  if (on_redis(settings)) options.cache_patience = settings.cache_patience;
  options.sessions = settings.sessions;
  options.near_cache = engine.near.get();
  options.declared = settings.declared.get();
  options.limits.connections_max = settings.connections_max;
  options.limits.body_bytes_max = settings.body_bytes_max;
  options.on_request = [&log](const http::request_record& request) {
    // A refusal under load (503) is the client's to know; what else goes wrong here is ours.
    const bool ours = request.status >= 500 && request.status != 503;
    const auto level = ours ? observe::log_level::warning : observe::log_level::debug;
    if (!log.wants(level)) return;
    log.event(level, "request",
              {{"method", request.method},
               {"route", request.route},
               {"status", request.status},
               {"took_seconds", static_cast<double>(request.took.count()) / 1e6},
               {"correlation_id", request.correlation_id},
               {"project", request.project},
               {"code", request.code},
               {"bytes_in", request.bytes_in},
               {"bytes_out", request.bytes_out}});
  };
  return options;
}

void announce(std::ostream& out, const http::server& server, const opened_engine& engine,
              const std::filesystem::path& socket) {
  const auto addresses = server.addresses();
  for (const std::string& address : addresses) out << "listening " << address << '\n';
  if (!addresses.empty()) out << "dashboard " << addresses.front() << "/\n";
  if (!socket.empty()) out << "socket    " << socket.native() << '\n';
  const engine::store_traits traits = engine.store->traits();
  out << fmt::format("data      {} ({} engine, {})\n", engine.place, traits.engine,
                     engine::to_string(traits.strongest))
      << std::flush;
}

exit_code fail_to_start(const context& with, const error& why) {
  report(with, why);
  return why.kind == errc::invalid_argument ? exit_code::usage : exit_code::failed;
}

// What came of reading one capability's settings anew.
void log_reload(const observe::logger& log, std::string_view capability, std::string_view what,
                const result<void>& changed, std::size_t count) {
  if (changed) {
    log.event(observe::log_level::info, fmt::format("{}_reloaded", what),
              {{"capability", capability}, {"count", count}});
    return;
  }
  log.event(observe::log_level::warning, fmt::format("{}_not_reloaded", what),
            {{"capability", capability},
             {"field", changed.error().field},
             {"error", changed.error().detail}});
}

// Of a configuration that makes no sense nothing is taken over.
void reload(const context& with, http::server& server, const observe::logger& log) {
  auto settings = load_settings(with.in, with.around);
  if (!settings) {
    const result<void> wrong = std::unexpected(settings.error());
    log_reload(log, "limits", "limits", wrong, 0);
    log_reload(log, "cache", "families", wrong, 0);
    return;
  }
  const std::size_t policies = settings->limits.policies.size();
  log_reload(log, "limits", "limits", server.change_limits(limits_of(*settings)), policies);
  cache::family_set& families = settings->declared->families;
  const std::size_t count = families.families().size();
  log_reload(log, "cache", "families", server.change_families(std::move(families)), count);
}

// One line when the server of the store is lost, one when it is there again.
class outage_log final {
public:
  explicit outage_log(const observe::logger& log) : log_(log) {}

  void note(const error* why) {
    const auto now = std::chrono::steady_clock::now();
    if (why != nullptr) {
      since_ = now;
      log_.event(observe::log_level::warning, "store_lost",
                 {{"code", why->code}, {"error", why->detail}});
      return;
    }
    const std::chrono::duration<double> away = now - since_;
    log_.event(observe::log_level::info, "store_back", {{"away_seconds", away.count()}});
  }

private:
  const observe::logger& log_;
  std::chrono::steady_clock::time_point since_;
};

exit_code serve_with(context& with, const serve_settings& settings) {
  const observe::logger log{
      {.format = settings.log_format, .level = settings.log_level, .to = &with.around.err}};
  for (const std::string& warning : settings.warnings) {
    log.event(observe::log_level::warning, "configuration", {{"warning", warning}});
  }
  engine_settings asked = settings.engine;
  asked.on_outage = [watch = outage_log{log}](const error* why) mutable { watch.note(why); };
  auto engine = with.engine.open(asked);
  if (!engine) {
    const exit_code code = fail_to_start(with, engine.error());
    // Its server is away, and may come back.
    return engine.error().kind == errc::unavailable ? exit_code::unavailable : code;
  }
  engine::store& store = *engine->store;
  if (settings.declared->ring() != nullptr) {
    auto known = cache::check_keys(store, *settings.declared->ring());
    if (!known) return fail_to_start(with, known.error());
  }
  if (auto set = configure_queues(store, settings); !set) return fail_to_start(with, set.error());

  const std::uint32_t threads =
      settings.threads > 0 ? settings.threads : std::max(1U, std::thread::hardware_concurrency());
  serving running{store, server_options(settings, *engine, log), log, threads};
  running.on_hangup([&with, &log](http::server& server) { reload(with, server, log); });
  if (auto started = running.start(); !started) return fail_to_start(with, started.error());
  pid_file pid;
  if (auto written = pid.write(settings.pid_file); !written) {
    running.stop();
    return fail_to_start(with, written.error());
  }
  const auto socket = socket_path(settings);
  announce(with.around.out, running.server(), *engine, socket);
  if (socket.empty() && !on_redis(settings)) {
    log.event(observe::log_level::warning, "no_unix_socket",
              {{"why", "the path of the data directory is too long for one"}});
  }
  log.event(observe::log_level::info, "serving",
            {{"version", version_text},
             {"server_id", settings.server_id.empty() ? host_name() : settings.server_id},
             {"threads", threads},
             {"engine", store.traits().engine}});
  running.run_until_signal();
  // It answers what is still under way, while those who asked are there to hear it.
  engine->store.reset();
  log.event(observe::log_level::info, "stopped");
  return exit_code::done;
}

}  // namespace

std::vector<option> serve_options() {
  return {
      {.name = "--listen",
       .value = "ADDRESS",
       .purpose = "HOST:PORT, port 0 for any free one (default 127.0.0.1:7070); only loopback "
                  "addresses, as long as there are no keys",
       .repeated = true},
      {.name = "--data",
       .value = "DIR",
       .purpose = "where everything is kept; made when absent (default ./.millrace)",
       .kind = value_kind::directory},
      {.name = "--config",
       .value = "FILE",
       .purpose = "a TOML file with settings (default: none)",
       .kind = value_kind::file},
      {.name = "--threads", .value = "N", .purpose = "threads for requests (default: one a core)"},
      {.name = "--host-name",
       .value = "NAME",
       .purpose = "a further name that requests may be addressed to",
       .repeated = true},
      {.name = "--log-format",
       .value = "FORMAT",
       .purpose = "text or json, on the standard error (default text)",
       .choices = "text json"},
      {.name = "--log-level",
       .value = "LEVEL",
       .purpose = "debug, info, warning, error or off (default info)",
       .choices = "debug info warning error off"},
      {.name = "--pid-file",
       .value = "FILE",
       .purpose = "written once it listens, removed at the end",
       .kind = value_kind::file},
      {.name = "--redis",
       .value = "URL",
       .purpose = "keep everything in this Redis or Valkey, which many servers may share: "
                  "redis://HOST:PORT/DB, rediss:// for TLS, unix:///PATH; none: in --data"},
      {.name = "--postgres", .value = "URL", .purpose = "not part of this version"},
  };
}

exit_code serve(context& with) {
  const auto settings = checked_settings(with);
  if (!settings) {
    report_usage(with, "serve", settings.error());
    return exit_code::usage;
  }
  return serve_with(with, *settings);
}

}  // namespace millrace::cli
