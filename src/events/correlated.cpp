#include <millrace/events/correlated.hpp>

#include <millrace/engine/async.hpp>

#include <utility>

namespace millrace {

awaitable<result<correlated>> read_correlated(engine::store& store, engine::list_correlated asked) {
  engine::find_progress of_it{.project = asked.project, .correlation_id = asked.correlation_id};
  auto page = co_await engine::ask(store, std::move(asked));
  if (!page) co_return std::unexpected(std::move(page.error()));
  auto progress = co_await engine::ask(store, std::move(of_it));
  if (!progress) co_return std::unexpected(std::move(progress.error()));
  co_return correlated{.progress = std::move(*progress), .what = std::move(*page)};
}

}  // namespace millrace
