#include <millrace/cli/cli.hpp>
#include <millrace/engine_embedded/embedded_store.hpp>

#include <string>
#include <utility>
#include <vector>

// The only place that names a concrete engine.
namespace {

millrace::result<millrace::cli::opened_engine> open_embedded(
    const millrace::cli::engine_settings& settings) {
  auto opened =
      millrace::embedded::embedded_store::open({.directory = settings.directory,
                                                .defaults = settings.defaults,
                                                .hot_jobs_bytes = settings.hot_jobs_bytes,
                                                .page_cache_bytes = settings.page_cache_bytes,
                                                .async_window = settings.async_window});
  if (!opened) return std::unexpected(std::move(opened.error()));
  auto* store = opened->get();
  return millrace::cli::opened_engine{
      .store = std::move(*opened),
      .backup = [store](const std::filesystem::path& target) { return store->backup(target); }};
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args{argv + 1, argv + argc};
  auto around = millrace::cli::process_surroundings();
  const millrace::cli::engine_choice engine{.open = open_embedded,
                                            .restore = millrace::embedded::restore};
  return static_cast<int>(millrace::cli::run(args, engine, around));
}
