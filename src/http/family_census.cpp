#include "family_census.hpp"

#include <millrace/engine/async.hpp>

#include <utility>

namespace millrace::http {

awaitable<result<family_counts>> family_census::count(const cache::shared_cache& of,
                                                      std::string project, std::uint64_t entries) {
  const auto now = std::chrono::steady_clock::now();
  const bool small = entries <= 2 * page_keys;
  if (!small) {
    const std::scoped_lock lock(held_);
    const bool fresh = taken_ != std::chrono::steady_clock::time_point{} && now < taken_ + good_for;
    if (fresh) co_return last_;
    // Whoever asks meanwhile gets what there is.
    taken_ = now;
  }
  auto counted = co_await walk(of, std::move(project), entries);
  const std::scoped_lock lock(held_);
  if (counted) {
    last_ = *counted;
    taken_ = now;
  } else if (!small) {
    taken_ = {};
  }
  co_return counted;
}

awaitable<result<family_counts>> family_census::walk(const cache::shared_cache& of,
                                                     std::string project, std::uint64_t entries) {
  family_counts out;
  std::uint64_t looked_at = 0;
  engine::list_cache page{.project = std::move(project), .limit = page_keys};
  for (std::size_t i = 0; i < pages_max; ++i) {
    auto rows = co_await engine::ask(of.store(), page);
    if (!rows) co_return std::unexpected(std::move(rows.error()));
    for (const auto& row : rows->items) {
      family_count& sum = out.of[std::string{of.family_name(row.key)}];
      ++sum.entries;
      sum.bytes += row.bytes;
      ++looked_at;
    }
    page.cursor = std::move(rows->cursor);
    if (page.cursor.empty()) co_return out;
  }
  out.estimated = true;
  if (looked_at == 0 || entries <= looked_at) co_return out;
  const double share = static_cast<double>(entries) / static_cast<double>(looked_at);
  for (auto& [name, sum] : out.of) {
    sum.entries = static_cast<std::uint64_t>(static_cast<double>(sum.entries) * share);
    sum.bytes = static_cast<std::uint64_t>(static_cast<double>(sum.bytes) * share);
  }
  co_return out;
}

}  // namespace millrace::http
