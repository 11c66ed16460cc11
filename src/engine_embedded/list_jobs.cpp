#include "group_writer.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace millrace::embedded {

using engine::job_status;

namespace {

// Up to this many jobs in the store, a listing looks through memory, which knows what is where; a
// larger store is read from the disk in the order of the ids, `listing_rows_max` rows a call.
constexpr std::size_t looked_through_max = engine::listing_rows_max * 20;
// Items of a page together: beyond it the page ends, and the next one goes on.
constexpr std::size_t page_bytes_max = std::size_t{16} << 20U;

using place = std::pair<std::int64_t, std::uint64_t>;

std::string to_cursor(const place& at) {
  return std::to_string(at.first) + "." + std::to_string(at.second);
}

std::optional<place> parse_place(std::string_view cursor) {
  place at;
  const char* const end = cursor.data() + cursor.size();
  const auto first = std::from_chars(cursor.data(), end, at.first);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, at.second);
  if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
  return at;
}

place newest_first(std::uint64_t id) { return {-static_cast<std::int64_t>(id), id}; }

bool matches(const engine::job_filter& filter, const engine::job& job,
             const std::string& fingerprint) {
  if (filter.status && job.status != *filter.status) return false;
  if (filter.type && job.spec.type != *filter.type) return false;
  for (const engine::label& wanted : filter.labels) {
    if (std::ranges::find(job.spec.labels, wanted) == job.spec.labels.end()) return false;
  }
  if (!filter.fingerprint) return true;
  return job.status == job_status::dead && fingerprint == *filter.fingerprint;
}

std::size_t bytes_of(const engine::job& job) {
  return sizeof job + job.spec.data.size() + job.result.size() + job.checkpoint.size() +
         job.error.size();
}

}  // namespace

group_writer::candidates group_writer::list_by_time(const queue_state& queue,
                                                    const engine::job_filter& filter,
                                                    const std::optional<place>& after) const {
  candidates out;
  const auto offer = [&](const place& at) {
    if (out.places.size() == engine::listing_rows_max) return false;
    out.places.push_back(at);
    return true;
  };
  if (filter.status == job_status::dead) {
    const auto behind = [&](const ended_list::entry& each) {
      return after && place(each.at(), each.id()) <= *after;
    };
    auto at = std::ranges::partition_point(queue.dead, behind);
    for (; at != queue.dead.end() && !out.more; ++at) out.more = !offer({at->at(), at->id()});
    return out;
  }
  auto at = after ? queue.due.upper_bound(*after) : queue.due.begin();
  for (; at != queue.due.end() && !out.more; ++at) out.more = !offer(*at);
  return out;
}

group_writer::candidates group_writer::list_newest(const queue_state& queue,
                                                   const engine::job_filter& filter,
                                                   const std::optional<place>& after) {
  candidates out;
  const std::uint64_t bound =
      after ? after->second : static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const auto offer = [&](std::uint64_t id) {
    if (id < bound) out.places.push_back(newest_first(id));
  };
  if (filter.status == job_status::running) {
    leases_.for_each([&](std::uint64_t id, const lease&) {
      if (memory_->jobs[memory_->jobs.find(id)].queue == queue.index) offer(id);
    });
    std::ranges::sort(out.places);
    return out;
  }
  if (memory_->jobs.size() + queue.finished.size() + queue.dead.size() > looked_through_max) {
    const auto rows = rows_.ids_below(bound, engine::listing_rows_max);
    for (const job_rows::id_and_queue& row : rows) {
      // Rows of other queues stay in, so that a page of nothing else still moves on.
      out.places.push_back(row.queue_row == queue.row ? newest_first(row.id)
                                                      : place(newest_first(row.id).first, 0));
    }
    out.more = rows.size() == engine::listing_rows_max;
    return out;
  }
  memory_->jobs.for_each([&](job_slot, const live_job& job) {
    if (job.queue == queue.index && (!filter.status || *filter.status == job.status)) {
      offer(job.id);
    }
  });
  const bool ended = !filter.status || engine::is_final(*filter.status);
  if (ended) {
    for (const ended_list::entry& each : queue.finished) offer(each.id());
  }
  if (!filter.status) {
    for (const ended_list::entry& each : queue.dead) offer(each.id());
  }
  out.more = out.places.size() > engine::listing_rows_max;
  const auto kept =
      static_cast<std::ptrdiff_t>(std::min(out.places.size(), engine::listing_rows_max));
  std::ranges::partial_sort(out.places, out.places.begin() + kept);
  out.places.resize(static_cast<std::size_t>(kept));
  return out;
}

result<engine::answer> group_writer::answer(const engine::list_jobs& what) {
  const std::optional<place> after = parse_place(what.cursor);
  if (!what.cursor.empty() && !after) {
    return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
  }
  engine::page<engine::job> out;
  const queue_state* queue = memory_->find_queue(what.queue);
  if (queue == nullptr) return out;
  const engine::job_filter& filter = what.filter;
  const bool by_time = filter.status == job_status::dead || filter.status == job_status::retrying ||
                       filter.status == job_status::scheduled;
  const candidates found =
      by_time ? list_by_time(*queue, filter, after) : list_newest(*queue, filter, after);

  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  std::size_t bytes = 0;
  place last{};
  for (const auto& [order, id] : found.places) {
    std::optional<stored_job> stored;
    if (id != 0) stored = load({.tag = queue->tag, .stamp = id});
    if (stored) {
      const std::string fingerprint = std::move(stored->fingerprint);
      engine::job job = view(std::move(*stored));
      if (matches(filter, job, fingerprint)) {
        if (out.items.size() == most || bytes > page_bytes_max) {
          out.cursor = to_cursor(last);
          return out;
        }
        bytes += bytes_of(job);
        out.items.push_back(std::move(job));
      }
    }
    last = {order, id != 0 ? id : static_cast<std::uint64_t>(-order)};
  }
  if (found.more) out.cursor = to_cursor(last);
  return out;
}

}  // namespace millrace::embedded
