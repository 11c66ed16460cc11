#include "group_writer.hpp"
#include "sql.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <utility>

namespace millrace::embedded {

using engine::list_correlated;

void group_writer::note_carried(const std::string& project, const std::string& id,
                                correlation_index::place at) {
  if (!id.empty()) correlated_.add(correlation_index::hash_of(project, id), at);
}

// ---- at open: events by their stamps, so that they can be noted between the jobs

void group_writer::load_carrying_events() {
  correlated_.clear();
  carrying_events_.clear();
  statement from(*db_, sql::read_carrying_events);
  while (from.row()) {
    const stream_state* stream = events_.stream_of_row(from.integer(0));
    if (stream == nullptr) continue;
    carrying_events_.push_back(
        {.at = {.stamp = from.natural(1), .event_row = from.integer(0)},
         .hash = correlation_index::hash_of(stream->info.stream.project, from.text(2))});
  }
  // The last first, to be taken from the end.
  std::ranges::sort(carrying_events_, std::ranges::greater{},
                    [](const carrying_event& each) { return each.at.stamp; });
}

void group_writer::note_loaded_events(std::uint64_t below) {
  while (!carrying_events_.empty() && carrying_events_.back().at.stamp < below) {
    correlated_.add(carrying_events_.back().hash, carrying_events_.back().at);
    carrying_events_.pop_back();
  }
}

void group_writer::note_loaded_job(const queue_state& queue, std::uint64_t id,
                                   std::string_view carried) {
  if (carried.empty()) return;
  note_loaded_events(id);
  correlated_.add(correlation_index::hash_of(queue.key.project, carried), {.stamp = id});
}

// ---- reading

std::optional<engine::job> group_writer::job_of_stamp(std::uint64_t stamp) {
  std::optional<stored_job> stored = rows_.read(stamp);
  if (!stored) return std::nullopt;
  const queue_state* queue = memory_->find_queue_row(stored->queue_row);
  if (queue == nullptr) return std::nullopt;
  stored->what.id.tag = queue->tag;
  stored->what.queue = queue->key;
  return view(std::move(*stored));
}

// The job whose own id it is, if it carries no other.
std::optional<engine::job> group_writer::job_itself(const list_correlated& what,
                                                    std::uint64_t bound) {
  const auto id = engine::job_id::parse(what.correlation_id);
  if (!id || id->stamp >= bound) return std::nullopt;
  std::optional<engine::job> found = view(*id);
  const bool meant =
      found && found->spec.correlation_id.empty() && found->queue.project == what.project;
  return meant ? std::move(found) : std::nullopt;
}

// False: the event is gone, or carries something else.
bool group_writer::add_event(const list_correlated& what, const correlation_index::place& at,
                             list_correlated::page& into) {
  const stream_state* stream = events_.stream_of_row(at.event_row);
  if (stream == nullptr || stream->info.stream.project != what.project) return false;
  std::optional<engine::event> found = events_.event_of_row(*stream, at.event_row);
  if (!found || found->stamp != at.stamp || found->correlation_id != what.correlation_id) {
    return false;
  }
  into.events.push_back(
      {.stream = stream->info.stream, .epoch = stream->info.epoch, .what = std::move(*found)});
  return true;
}

result<engine::answer> group_writer::answer(const list_correlated& what) {
  const result<std::uint64_t> bound = engine::stamp_bound(what);
  if (!bound) return std::unexpected(bound.error());
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  const std::uint64_t hash = correlation_index::hash_of(what.project, what.correlation_id);
  list_correlated::page out{.complete = !correlated_.is_full()};
  std::optional<engine::job> itself = job_itself(what, *bound);
  std::uint64_t last = *bound;
  std::size_t bytes = 0;
  std::size_t rows = 0;
  for (;;) {
    const std::optional<correlation_index::place> next = correlated_.before(hash, last);
    if (!next && !itself) return out;
    const bool full = out.jobs.size() + out.events.size() == most ||
                      bytes > engine::correlated_page_bytes_max ||
                      rows++ == engine::listing_rows_max;
    if (full) break;
    if (itself && (!next || itself->id.stamp > next->stamp)) {
      last = itself->id.stamp;
      bytes += engine::page_bytes_of(*itself);
      out.jobs.push_back(*std::exchange(itself, std::nullopt));
      continue;
    }
    last = next->stamp;
    if (next->event_row != 0) {
      if (add_event(what, *next, out)) bytes += bytes_of(out.events.back().what);
      continue;
    }
    std::optional<engine::job> found = job_of_stamp(next->stamp);
    if (!found || !engine::is_correlated(*found, what)) continue;
    bytes += engine::page_bytes_of(*found);
    out.jobs.push_back(std::move(*found));
  }
  out.cursor = engine::cursor_below(last);
  return out;
}

}  // namespace millrace::embedded
