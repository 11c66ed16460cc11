#include <millrace/cache/near_cache.hpp>
#include <millrace/cli/cli.hpp>
#include <millrace/engine_embedded/embedded_store.hpp>
#include <millrace/engine_redis/redis_store.hpp>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// The only place that names a concrete engine.
namespace {

using millrace::cache::near_cache;
using millrace::cache::near_source;

// Memory in front of the cache, where it is wanted.
millrace::result<std::unique_ptr<near_cache>> make_near(
    const millrace::cli::engine_settings& settings, near_source source) {
  if (settings.near_bytes == 0) return std::unique_ptr<near_cache>();
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(settings.near_age);
  auto made = near_cache::make({.bytes = settings.near_bytes, .source = source, .age_max = age});
  if (!made) made.error().field = "cache.near_bytes";
  return made;
}

std::unique_ptr<millrace::engine::store> behind(near_cache* near,
                                                std::unique_ptr<millrace::engine::store> store) {
  if (near == nullptr) return store;
  return std::make_unique<millrace::cache::near_store>(std::move(store), *near);
}

millrace::result<millrace::cli::opened_engine> open_embedded(
    const millrace::cli::engine_settings& settings) {
  auto near = make_near(settings, near_source::own);
  if (!near) return std::unexpected(std::move(near.error()));
  auto opened =
      millrace::embedded::embedded_store::open({.directory = settings.directory,
                                                .defaults = settings.defaults,
                                                .hot_jobs_bytes = settings.hot_jobs_bytes,
                                                .page_cache_bytes = settings.page_cache_bytes,
                                                .cache_bytes_max = settings.cache_bytes_max,
                                                .async_window = settings.async_window});
  if (!opened) return std::unexpected(std::move(opened.error()));
  auto* store = opened->get();
  near_cache* const kept = near->get();
  return millrace::cli::opened_engine{
      .near = std::move(*near),
      .store = behind(kept, std::move(*opened)),
      .place = std::filesystem::absolute(settings.directory).lexically_normal().native(),
      .backup = [store](const std::filesystem::path& target) { return store->backup(target); }};
}

millrace::result<millrace::cli::opened_engine> open_redis(
    const millrace::cli::engine_settings& settings) {
  const millrace::cli::redis_settings& redis = settings.redis;
  auto near = make_near(settings, near_source::told);
  if (!near) return std::unexpected(std::move(near.error()));
  auto where = millrace::redis::parse_address(redis.url, redis.url_from);
  if (!where) return std::unexpected(std::move(where.error()));
  std::string place = where->text();
  auto opened =
      millrace::engine_redis::redis_store::open({.where = std::move(*where),
                                                 .tls = {.ca_file = redis.ca_file,
                                                         .certificate_file = redis.certificate_file,
                                                         .key_file = redis.key_file},
                                                 .prefix = redis.prefix,
                                                 .cache_bytes_max = settings.cache_bytes_max,
                                                 .strongest = redis.strongest,
                                                 .connect_timeout = redis.connect_timeout,
                                                 .request_timeout = redis.request_timeout,
                                                 .busy_poll = redis.busy_poll,
                                                 .on_outage = settings.on_outage});
  if (!opened) return std::unexpected(std::move(opened.error()));
  near_cache* const kept = near->get();
  if (kept != nullptr) (*opened)->tell_cache_changes(*kept, kept->age_max() / 4);
  return millrace::cli::opened_engine{.near = std::move(*near),
                                      .store = behind(kept, std::move(*opened)),
                                      .place = std::move(place)};
}

millrace::result<millrace::cli::opened_engine> open_engine(
    const millrace::cli::engine_settings& settings) {
  return settings.redis.url.empty() ? open_embedded(settings) : open_redis(settings);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args{argv + 1, argv + argc};
  auto around = millrace::cli::process_surroundings();
  const millrace::cli::engine_choice engine{.open = open_engine,
                                            .restore = millrace::embedded::restore};
  return static_cast<int>(millrace::cli::run(args, engine, around));
}
