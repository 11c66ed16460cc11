#include "model_state.hpp"

#include <algorithm>
#include <ranges>
#include <variant>

namespace millrace::model {

// Looks at everything there is.
result<engine::answer> model_state::read(const engine::list_correlated& what) const {
  const result<stamp> bound = engine::stamp_bound(what);
  if (!bound) return std::unexpected(bound.error());
  if (what.correlation_id.empty()) return engine::list_correlated::page();
  std::map<stamp, std::variant<engine::job, engine::correlated_event>> found;
  for (const auto& [id, record] : jobs_) {
    if (id < *bound && engine::is_correlated(record.what, what)) found.emplace(id, record.what);
  }
  for (const auto& [key, stream] : streams_) {
    if (key.project != what.project) continue;
    for (const engine::event& each : stream.events) {
      if (each.stamp >= *bound || each.correlation_id != what.correlation_id) continue;
      found.emplace(each.stamp, engine::correlated_event{key, stream.info.epoch, each});
    }
  }
  engine::list_correlated::page out;
  std::size_t left = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  for (const auto& [at, one] : found | std::views::reverse) {
    if (left == 0) break;
    out.cursor = --left == 0 && at != found.begin()->first ? engine::cursor_below(at) : "";
    if (const auto* const job = std::get_if<engine::job>(&one)) {
      out.jobs.push_back(*job);
    } else {
      out.events.push_back(std::get<engine::correlated_event>(one));
    }
  }
  return out;
}

}  // namespace millrace::model
