#include "group_writer.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <utility>
#include <variant>

namespace millrace::embedded {

using engine::job_status;

namespace {

std::size_t page_size(std::uint32_t limit) {
  return std::clamp<std::size_t>(limit, 1, engine::page_items_max);
}

std::unexpected<error> bad_cursor() {
  return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
}

// A page of a map that is ordered by project, then name. `item_of(iterator)` makes an item.
template <class Item, class Map, class ItemOf>
result<engine::answer> page_by_name(Map& in, const std::string& project, std::uint32_t limit,
                                    const std::string& cursor, ItemOf item_of) {
  if (!cursor.empty() && cursor.front() != '@') return bad_cursor();
  using key = typename Map::key_type;
  auto at = cursor.empty() ? in.lower_bound(key{project, ""})
                           : in.upper_bound(key{project, cursor.substr(1)});
  engine::page<Item> out;
  const auto in_project = [&] {
    if (at == in.end()) return false;
    const auto& [its_project, its_name] = at->first;
    return its_project == project;
  };
  std::string last;
  for (; in_project() && out.items.size() < page_size(limit); ++at) {
    out.items.push_back(item_of(*at));
    const auto& [its_project, its_name] = at->first;
    last = its_name;
  }
  if (in_project()) out.cursor = "@" + last;
  return out;
}

}  // namespace

result<engine::answer> group_writer::read(const engine::query& what) {
  return std::visit([this](const auto& one) { return answer(one); }, what);
}

result<engine::answer> group_writer::read_committed(const engine::query& what,
                                                    timestamp clock_now) {
  now_ = std::max(now_, clock_now);
  const bool there = !memory_is_stale_ || reload();
  result<engine::answer> found = there ? read(what) : engine::answer();
  if (db_->failed()) {
    found = std::unexpected(*db_->failure());
    db_->clear_failure();
  }
  return found;
}

result<engine::answer> group_writer::answer(const engine::find_job& what) { return view(what.id); }

result<engine::answer> group_writer::answer(const engine::read_job_log& what) {
  if (!load(what.id)) return std::vector<engine::job_log_line>();
  return rows_.read_log(what.id.stamp, what.after);
}

result<engine::answer> group_writer::answer(const engine::dead_at& what) {
  const queue_state* queue = memory_->find_queue(what.queue);
  if (queue == nullptr || what.index >= queue->dead.size()) return std::optional<engine::job>();
  const std::uint64_t id = queue->dead[static_cast<std::size_t>(what.index)].id();
  return view(engine::job_id{.tag = queue->tag, .stamp = id});
}

engine::queue_info group_writer::info(queue_state& queue) {
  return {.queue = queue.key,
          .settings = queue.settings,
          .paused = queue.paused,
          .draining = queue.draining,
          .waiting = queue.in(job_status::queued),
          .scheduled = queue.in(job_status::scheduled),
          .running = queue.in(job_status::running),
          .retrying = queue.in(job_status::retrying),
          .dead = queue.in(job_status::dead),
          .completed = queue.in(job_status::completed),
          .cancelled = queue.in(job_status::cancelled),
          .oldest_available_at = queue.ready.oldest(memory_->jobs),
          .minutes = queue.minutes.recent(now_)};
}

result<engine::answer> group_writer::answer(const engine::find_queue& what) {
  queue_state* queue = memory_->find_queue(what.queue);
  if (queue == nullptr) return std::optional<engine::queue_info>();
  return std::optional(info(*queue));
}

result<engine::answer> group_writer::answer(const engine::list_queues& what) {
  return page_by_name<engine::queue_info>(
      memory_->queue_names(), what.project, what.limit, what.cursor,
      [this](const auto& each) { return info(*memory_->queues()[each.second]); });
}

result<engine::answer> group_writer::answer(const engine::read_dead_stats& what) {
  std::vector<engine::dead_stats> out;
  for (const auto& [key, index] : memory_->queue_names()) {
    if (key.project != what.project) continue;
    const queue_state& queue = *memory_->queues()[index];
    engine::dead_stats one{.queue = key,
                           .count = queue.in(job_status::dead),
                           .retrying = queue.in(job_status::retrying)};
    std::uint64_t ended = 0;
    std::uint64_t failed = 0;
    for (const engine::minute_count& counted : queue.minutes.recent(now_)) {
      ended += counted.completed + counted.failed;
      failed += counted.failed;
    }
    if (one.count == 0 && one.retrying == 0 && failed == 0) continue;
    if (ended > 0) one.failure_rate = static_cast<double>(failed) / static_cast<double>(ended);
    if (!queue.dead.empty()) {
      const std::size_t dead = queue.dead.size();
      one.oldest_failed_at = from_micros(queue.dead[0].at());
      one.average_retries =
          static_cast<double>(queue.dead_attempts - dead) / static_cast<double>(dead);
      one.top_errors = queue.causes.top(10);
    }
    out.push_back(std::move(one));
  }
  return out;
}

result<engine::answer> group_writer::answer(const engine::find_cron& what) {
  const auto at = memory_->crons.find({what.project, what.name});
  if (at == memory_->crons.end()) return std::optional<engine::cron_entry>();
  return std::optional(at->second);
}

result<engine::answer> group_writer::answer(const engine::list_crons& what) {
  return page_by_name<engine::cron_entry>(memory_->crons, what.project, what.limit, what.cursor,
                                          [](const auto& each) { return each.second; });
}

result<engine::answer> group_writer::answer(const engine::due_crons& what) {
  engine::due_crons::due out;
  for (const auto& [at, project, name] : memory_->cron_slots) {
    if (at > now_ || out.entries.size() == page_size(what.limit)) {
      out.next_at = at;
      break;
    }
    out.entries.push_back(memory_->crons.at({project, name}));
  }
  return out;
}

result<engine::answer> group_writer::answer(const engine::read_clock&) { return now_; }

result<engine::answer> group_writer::answer(const engine::probe_store&) {
  const std::uint64_t stamp = stamps_.next(now_);
  static_cast<void>(to_write());
  write_meta_.put(std::string_view("probe")).put(stamp).run();
  read_meta_.put(std::string_view("probe"));
  const reset_after reset(read_meta_);
  const bool same = read_meta_.row() && read_meta_.natural(0) == stamp;
  sync_first_ = true;
  if (!same && !db_->failed()) {
    return fail(errc::corrupted, "database_corrupt", "What was written reads back differently.");
  }
  return engine::probe_store::report{};
}

}  // namespace millrace::embedded
