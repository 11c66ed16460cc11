#include "config.hpp"

#include "config_cache.hpp"
#include "config_file.hpp"
#include "config_limits.hpp"
#include "config_value.hpp"
#include "queue_keys.hpp"
#include "suggest.hpp"

#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/cache_steps.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/engine/session_steps.hpp>
#include <millrace/queue/limits.hpp>
#include <millrace/secrets/secret_bytes.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <utility>

namespace millrace::cli {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// One key, by all its names.
struct setting {
  /// In the file: `jobs.max_attempts`.
  std::string_view key;
  /// In the environment.
  std::string_view variable;
  /// On the command line; empty where there is none.
  std::string_view flag;
  result<void> (*apply)(const config_value& from, serve_settings& into);
};

template <class To, class From>
result<void> put(To& into, result<From> from) {
  if (!from) return std::unexpected(std::move(from.error()));
  into = static_cast<To>(std::move(*from));
  return {};
}

std::uint32_t& default_attempts(serve_settings& of) {
  auto& attempts = of.engine.defaults.max_attempts;
  return attempts ? *attempts : attempts.emplace();
}

backoff_spec& default_backoff(serve_settings& of) {
  auto& backoff = of.engine.defaults.backoff;
  return backoff ? *backoff : backoff.emplace();
}

result<void> put_log_format(const config_value& from, serve_settings& into) {
  const auto word = from.as_choice({"text", "json"});
  if (!word) return std::unexpected(word.error());
  into.log_format = *observe::parse_log_format(*word);
  return {};
}

result<void> put_log_level(const config_value& from, serve_settings& into) {
  const auto word = from.as_choice({"debug", "info", "warning", "error", "off"});
  if (!word) return std::unexpected(word.error());
  into.log_level = *observe::parse_log_level(*word);
  return {};
}

result<void> put_listen(const config_value& from, serve_settings& into) {
  auto texts = from.as_texts();
  if (texts && texts->empty()) return from.refuse("an address like 127.0.0.1:7070");
  return put(into.listen, std::move(texts));
}

result<void> put_data(const config_value& from, serve_settings& into) {
  auto text = from.as_text();
  if (text && text->empty()) return from.refuse("a directory");
  return put(into.data, std::move(text));
}

result<void> put_milliseconds(milliseconds& into, const config_value& from, seconds longest) {
  auto span = from.as_span(milliseconds{1}, longest);
  if (!span) return std::unexpected(std::move(span.error()));
  into = std::chrono::ceil<milliseconds>(*span);
  return {};
}

template <class Enum>
result<void> put_word(Enum& into, const config_value& from,
                      result<Enum> (*parse)(std::string_view, std::string_view)) {
  const auto text = from.as_text();
  if (!text) return std::unexpected(text.error());
  return put(into, parse(*text, from.place()));
}

constexpr std::array settings{
    setting{"listen", "MILLRACE_LISTEN", "--listen", put_listen},
    setting{"host_names", "MILLRACE_HOST_NAMES", "--host-name",
            [](const config_value& from, serve_settings& into) {
              return put(into.host_names, from.as_texts());
            }},
    setting{"data", "MILLRACE_DATA", "--data", put_data},
    setting{"threads", "MILLRACE_THREADS", "--threads",
            [](const config_value& from, serve_settings& into) {
              return put(into.threads, from.as_integer(1, 1024));
            }},
    setting{"server_id", "SERVER_ID", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.server_id, from.as_text());
            }},
    setting{"pid_file", "MILLRACE_PID_FILE", "--pid-file",
            [](const config_value& from, serve_settings& into) {
              return put(into.pid_file, from.as_text());
            }},
    setting{"log_format", "MILLRACE_LOG_FORMAT", "--log-format", put_log_format},
    setting{"log_level", "MILLRACE_LOG_LEVEL", "--log-level", put_log_level},
    setting{"limits.connections", "MILLRACE_LIMITS_CONNECTIONS", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.connections_max, from.as_integer(1, 1'000'000));
            }},
    setting{"limits.body", "MILLRACE_LIMITS_BODY", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.body_bytes_max,
                         from.as_bytes(std::size_t{1} << 10U, std::size_t{1} << 30U));
            }},
    setting{"embedded.async_window", "MILLRACE_EMBEDDED_ASYNC_WINDOW", "",
            [](const config_value& from, serve_settings& into) {
              return put_milliseconds(into.engine.async_window, from, seconds{10});
            }},
    setting{"embedded.hot_jobs", "MILLRACE_EMBEDDED_HOT_JOBS", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.hot_jobs_bytes, from.as_bytes(0, std::size_t{1} << 40U));
            }},
    setting{"embedded.page_cache", "MILLRACE_EMBEDDED_PAGE_CACHE", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.page_cache_bytes,
                         from.as_bytes(std::size_t{1} << 20U, std::size_t{1} << 40U));
            }},
    setting{"redis.url", "MILLRACE_REDIS_URL", "--redis",
            [](const config_value& from, serve_settings& into) {
              return put_redis_url(from, into.engine.redis);
            }},
    setting{"redis.prefix", "MILLRACE_REDIS_PREFIX", "",
            [](const config_value& from, serve_settings& into) {
              return put_redis_prefix(from, into.engine.redis);
            }},
    setting{"redis.ca_file", "MILLRACE_REDIS_CA_FILE", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.redis.ca_file, from.as_text());
            }},
    setting{"redis.certificate_file", "MILLRACE_REDIS_CERTIFICATE_FILE", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.redis.certificate_file, from.as_text());
            }},
    setting{"redis.key_file", "MILLRACE_REDIS_KEY_FILE", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.redis.key_file, from.as_text());
            }},
    setting{"redis.durability", "MILLRACE_REDIS_DURABILITY", "",
            [](const config_value& from, serve_settings& into) {
              return put_redis_durability(from, into.engine.redis);
            }},
    setting{"redis.connect_timeout", "MILLRACE_REDIS_CONNECT_TIMEOUT", "",
            [](const config_value& from, serve_settings& into) {
              return put_milliseconds(into.engine.redis.connect_timeout, from, seconds{60});
            }},
    setting{"redis.request_timeout", "MILLRACE_REDIS_REQUEST_TIMEOUT", "",
            [](const config_value& from, serve_settings& into) {
              return put_milliseconds(into.engine.redis.request_timeout, from, seconds{60});
            }},
    setting{"redis.busy_poll", "MILLRACE_REDIS_BUSY_POLL", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.redis.busy_poll, from.as_span(duration{0}, milliseconds{1}));
            }},
    setting{"jobs.max_attempts", "MILLRACE_JOBS_MAX_ATTEMPTS", "",
            [](const config_value& from, serve_settings& into) {
              return put(default_attempts(into), from.as_integer(1, engine::attempts_max));
            }},
    setting{"jobs.backoff_strategy", "MILLRACE_JOBS_BACKOFF_STRATEGY", "",
            [](const config_value& from, serve_settings& into) {
              return put_word(default_backoff(into).strategy, from, parse_strategy);
            }},
    setting{"jobs.backoff_base", "MILLRACE_JOBS_BACKOFF_BASE", "",
            [](const config_value& from, serve_settings& into) {
              auto span = from.as_span(duration{0}, engine::backoff_max);
              if (!span) return result<void>{std::unexpected(std::move(span.error()))};
              default_backoff(into).base = std::chrono::ceil<milliseconds>(*span);
              return result<void>{};
            }},
    setting{"jobs.backoff_max", "MILLRACE_JOBS_BACKOFF_MAX", "",
            [](const config_value& from, serve_settings& into) {
              auto span = from.as_span(duration{0}, engine::backoff_max);
              if (!span) return result<void>{std::unexpected(std::move(span.error()))};
              default_backoff(into).max = std::chrono::ceil<milliseconds>(*span);
              return result<void>{};
            }},
    setting{"jobs.backoff_jitter", "MILLRACE_JOBS_BACKOFF_JITTER", "",
            [](const config_value& from, serve_settings& into) {
              return put_word(default_backoff(into).jitter, from, parse_jitter);
            }},
    setting{"jobs.keep_finished", "MILLRACE_JOBS_KEEP_FINISHED", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.defaults.keep_finished,
                         from.as_span(duration{0}, engine::keep_max));
            }},
    setting{"jobs.keep_dead", "MILLRACE_JOBS_KEEP_DEAD", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.defaults.keep_dead,
                         from.as_span(duration{0}, engine::keep_max));
            }},
    setting{"jobs.depth_max", "MILLRACE_JOBS_DEPTH_MAX", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.defaults.depth_max,
                         from.as_integer(0, static_cast<std::int64_t>(queue_count_max)));
            }},
    setting{"cache.default_ttl", "MILLRACE_CACHE_DEFAULT_TTL", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.cache_ttl.emplace(),
                         from.as_span(engine::cache_ttl_min, engine::cache_ttl_max));
            }},
    setting{"cache.bytes", "MILLRACE_CACHE_BYTES", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.cache_bytes_max,
                         from.as_bytes(std::size_t{1} << 20U, std::size_t{1} << 40U));
            }},
    setting{"cache.near_bytes", "MILLRACE_CACHE_NEAR_BYTES", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.near_bytes, from.as_bytes(0, std::size_t{1} << 40U));
            }},
    setting{"cache.near_age", "MILLRACE_CACHE_NEAR_AGE", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.engine.near_age,
                         from.as_span(cache::near_age_min, cache::near_age_max));
            }},
    setting{"cache.patience", "MILLRACE_CACHE_PATIENCE", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.cache_patience,
                         from.as_span(cache::patience_min, cache::patience_max));
            }},
    setting{"limits.legacy_headers", "MILLRACE_LIMITS_LEGACY_HEADERS", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.limits.legacy_headers, from.as_flag());
            }},
    setting{"sessions.idle", "MILLRACE_SESSIONS_IDLE", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.sessions.idle,
                         from.as_span(std::chrono::seconds{1}, engine::session_age_max));
            }},
    setting{"sessions.absolute", "MILLRACE_SESSIONS_ABSOLUTE", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.sessions.absolute,
                         from.as_span(duration{0}, engine::session_age_max));
            }},
    setting{"sessions.max_per_user", "MILLRACE_SESSIONS_MAX_PER_USER", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.sessions.max_per_user, from.as_integer(1, engine::user_sessions_max));
            }},
    setting{"sessions.when_full", "MILLRACE_SESSIONS_WHEN_FULL", "",
            [](const config_value& from, serve_settings& into) {
              const auto word = from.as_choice({"end_oldest", "refuse"});
              if (!word) return result<void>(std::unexpected(word.error()));
              into.sessions.when_full = *word == "refuse" ? engine::session_overflow::refuse
                                                          : engine::session_overflow::end_oldest;
              return result<void>();
            }},
    setting{"sessions.encrypt", "MILLRACE_SESSIONS_ENCRYPT", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.sessions.encrypt, from.as_flag());
            }},
    setting{"cache.profile", "MILLRACE_CACHE_PROFILE", "",
            [](const config_value& from, serve_settings& into) {
              into.cache.profiles_from = from.place();
              return put(into.cache.profiles, from.as_texts());
            }},
    setting{"encryption.key_file", "MILLRACE_ENCRYPTION_KEY_FILE", "",
            [](const config_value& from, serve_settings& into) {
              into.cache.key_file_from = from.place();
              return put(into.cache.key_file, from.as_text());
            }},
    // A secret does not belong into a file of settings.
    setting{"", "MILLRACE_ENCRYPTION_KEYS", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.cache.keys, from.as_text());
            }},
    // Names of other backends, in the environment only.
    setting{"", "CACHE_DEFAULT_TTL", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.cache_ttl.emplace(),
                         from.as_span(engine::cache_ttl_min, engine::cache_ttl_max));
            }},
    setting{"", "REDIS_TTL", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.redis_ttl.emplace(),
                         from.as_span(engine::cache_ttl_min, engine::cache_ttl_max));
            }},
    setting{"", "REDIS_URL", "",
            [](const config_value& from, serve_settings& into) {
              return put_redis_url(from, into.engine.redis);
            }},
    setting{"", "REDIS_HOST", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.redis_by_pieces.host, from.as_text());
            }},
    setting{"", "REDIS_PORT", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.redis_by_pieces.port, from.as_integer(1, 65'535));
            }},
    setting{"", "REDIS_PASSWORD", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.redis_by_pieces.password, from.as_text());
            }},
    setting{"", "REDIS_DB", "",
            [](const config_value& from, serve_settings& into) {
              return put(into.redis_by_pieces.database, from.as_integer(0, 1'000'000));
            }},
    setting{"", "MAX_RETRY_ATTEMPTS", "",
            [](const config_value& from, serve_settings& into) {
              // Retries come after a first run.
              auto retries = from.as_integer(0, engine::attempts_max - 1);
              if (retries) *retries += 1;
              return put(default_attempts(into), std::move(retries));
            }},
    setting{"", "RETRY_BACKOFF_BASE_SECONDS", "",
            [](const config_value& from, serve_settings& into) {
              auto base = from.as_integer(0, seconds{engine::backoff_max}.count());
              if (!base) return result<void>{std::unexpected(std::move(base.error()))};
              default_backoff(into).base = seconds{*base};
              return result<void>{};
            }},
    setting{"", "DLQ_RETENTION_DAYS", "",
            [](const config_value& from, serve_settings& into) {
              auto days = from.as_integer(1, engine::keep_max / hours{24});
              if (!days) return result<void>{std::unexpected(std::move(days.error()))};
              into.engine.defaults.keep_dead = hours{24 * *days};
              return result<void>{};
            }},
};

/// Variables of ours that are no settings of a server.
constexpr std::array<std::string_view, 5> other_variables{"MILLRACE_URL", "MILLRACE_KEY",
                                                          "MILLRACE_CA_FILE", "MILLRACE_CONFIG",
                                                          "MILLRACE_WEBHOOK_SECRET"};

std::unexpected<error> unknown_key(const file_entry& entry) {
  const std::string typed = fmt::format("{}", fmt::join(entry.path, "."));
  const bool of_queue = entry.path.size() == 3 && entry.path[0] == "queues";
  std::vector<std::string_view> known;
  if (of_queue) {
    known = queue_key_names();
  } else {
    for (const setting& one : settings) {
      if (!one.key.empty()) known.push_back(one.key);
    }
  }
  std::string detail = fmt::format("unknown key '{}'", typed);
  const std::string_view compared = of_queue ? std::string_view{entry.path[2]} : typed;
  if (const auto meant = nearest(compared, known)) {
    detail += fmt::format("; did you mean '{}'?", *meant);
  } else {
    detail += fmt::format("; known are {}", fmt::join(known, ", "));
    if (!of_queue) {
      detail +=
          ", queues.NAME.*, limits.policies.NAME.*, cache.families.NAME.*, cache.rules.NAME.*";
    }
  }
  return invalid(entry.where, std::move(detail), "unknown_key");
}

result<void> apply_queue_key(const file_entry& entry, serve_settings& into) {
  const std::string& name = entry.path[1];
  if (auto sound = check_name(name, entry.where); !sound) return sound;
  auto change = read_queue_key(entry.path[2], entry.value);
  if (!change) return std::unexpected(std::move(change.error()));
  if (!*change) return unknown_key(entry);
  into.queues[name].push_back(std::move(*change));
  return {};
}

result<void> apply_file(const std::string& file, serve_settings& into) {
  const auto entries = read_config_file(file);
  if (!entries) return std::unexpected(entries.error());
  for (const file_entry& entry : *entries) {
    if (entry.path.size() == 3 && entry.path[0] == "queues") {
      if (auto applied = apply_queue_key(entry, into); !applied) return applied;
      continue;
    }
    if (is_limit_key(entry)) {
      if (auto applied = apply_limit_key(entry, into.limits); !applied) return applied;
      continue;
    }
    if (is_family_key(entry)) {
      apply_family_key(entry, into.cache);
      continue;
    }
    const std::string key = fmt::format("{}", fmt::join(entry.path, "."));
    const auto known = std::ranges::find_if(
        settings, [&key](const setting& one) { return !one.key.empty() && one.key == key; });
    if (known == settings.end()) return unknown_key(entry);
    if (auto applied = known->apply(entry.value, into); !applied) return applied;
  }
  return {};
}

result<void> apply_variables(const surroundings& around, serve_settings& into) {
  // The project's own names count before those of other backends.
  for (const bool own : {false, true}) {
    for (const setting& one : settings) {
      if (one.variable.starts_with("MILLRACE_") != own) continue;
      const auto value = around.variable(one.variable);
      if (!value || value->empty()) continue;
      const config_value given{*value, std::string{one.variable}};
      if (auto applied = one.apply(given, into); !applied) return applied;
    }
  }
  std::vector<std::string_view> known{other_variables.begin(), other_variables.end()};
  for (const setting& one : settings) known.push_back(one.variable);
  for (const std::string& name : around.variable_names()) {
    if (!name.starts_with("MILLRACE_")) continue;
    if (std::ranges::find(known, name) != known.end()) continue;
    const auto meant = nearest(name, known);
    into.warnings.push_back(
        fmt::format("the variable {} means nothing here{}", name,
                    meant ? fmt::format("; did you mean {}?", *meant) : std::string{}));
  }
  return {};
}

result<void> apply_flags(const invocation& flags, serve_settings& into) {
  for (const setting& one : settings) {
    if (one.flag.empty() || !flags.has(one.flag)) continue;
    auto texts = flags.texts(one.flag);
    config_value::any value = texts.size() == 1 ? config_value::any{std::move(texts.front())}
                                                : config_value::any{std::move(texts)};
    const config_value given{std::move(value), std::string{one.flag}};
    if (auto applied = one.apply(given, into); !applied) return applied;
  }
  return {};
}

// What families ask of the server's own memory, where it has none.
void warn_of_no_near(serve_settings& of) {
  if (of.engine.near_bytes > 0) return;
  for (const cache::family& one : of.declared->families.families()) {
    const bool serves = one.spec.outage == cache::outage_rule::serve_stale;
    if (!serves && one.spec.warm == 0) continue;
    of.warnings.push_back(
        fmt::format("the family {} has {}, which does nothing while cache.near_bytes is 0",
                    one.spec.name, serves ? "outage = \"serve_stale\"" : "warm"));
  }
}

}  // namespace

result<serve_settings> load_settings(const invocation& flags, const surroundings& around) {
  serve_settings loaded;
  std::optional<std::string> file = flags.text("--config");
  if (!file) file = around.variable("MILLRACE_CONFIG");
  if (file && !file->empty()) {
    if (auto applied = apply_file(*file, loaded); !applied) {
      return std::unexpected(std::move(applied.error()));
    }
  }
  if (auto applied = apply_variables(around, loaded); !applied) {
    return std::unexpected(std::move(applied.error()));
  }
  if (auto applied = apply_flags(flags, loaded); !applied) {
    return std::unexpected(std::move(applied.error()));
  }
  if (loaded.cache_ttl && loaded.redis_ttl && *loaded.cache_ttl != *loaded.redis_ttl) {
    loaded.warnings.push_back(fmt::format(
        "the default life of cached values is {}; REDIS_TTL says {}, which does not count then",
        format_duration(*loaded.cache_ttl), format_duration(*loaded.redis_ttl)));
  }
  if (!loaded.cache_ttl) loaded.cache_ttl = loaded.redis_ttl;
  if (auto sound = check_limits(loaded.limits); !sound) {
    return std::unexpected(std::move(sound.error()));
  }
  auto declared =
      declare_cache(loaded.cache, around.variable, loaded.sessions.encrypt, loaded.warnings);
  if (!declared) return std::unexpected(std::move(declared.error()));
  loaded.declared = std::move(*declared);
  secrets::wipe(loaded.cache.keys);
  warn_of_no_near(loaded);
  loaded.engine.directory = loaded.data;
  loaded.engine.redis = with_pieces(std::move(loaded.engine.redis), loaded.redis_by_pieces);
  if (!loaded.engine.redis.url.empty() && loaded.data != serve_settings{}.data) {
    loaded.warnings.push_back(fmt::format(
        "the directory {} is not used: with Redis everything is kept there", loaded.data.native()));
  }
  return loaded;
}

}  // namespace millrace::cli
