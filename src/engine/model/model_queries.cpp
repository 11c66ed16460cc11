#include "model_state.hpp"

#include <millrace/engine/fingerprint.hpp>

#include <algorithm>
#include <charconv>
#include <tuple>
#include <variant>

namespace millrace::model {

using engine::job_status;

namespace {

std::size_t page_size(std::uint32_t limit) {
  return std::clamp<std::size_t>(limit, 1, engine::page_items_max);
}

std::unexpected<error> bad_cursor() {
  return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
}

// A cursor is the place of the last item of its page: the next page begins behind it.
using place = std::pair<std::int64_t, stamp>;

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

// The place of a job in a listing: by time and then id, or the newest first.
place place_in(const engine::job_filter& filter, const engine::job& job) {
  using enum job_status;
  const stamp id = job.id.stamp;
  if (filter.status == dead) return {to_micros(job.failed_at.value()), id};
  if (filter.status == retrying || filter.status == scheduled) return {to_micros(job.run_at), id};
  return {-static_cast<std::int64_t>(id), id};
}

template <class Item>
result<engine::answer> page_by_name(std::map<std::string, Item> in_order, std::uint32_t limit,
                                    const std::string& cursor) {
  if (!cursor.empty() && cursor.front() != '@') return bad_cursor();
  auto at = cursor.empty() ? in_order.begin() : in_order.upper_bound(cursor.substr(1));
  engine::page<Item> out;
  for (; at != in_order.end() && out.items.size() < page_size(limit); ++at) {
    out.items.push_back(std::move(at->second));
  }
  if (at != in_order.end()) out.cursor = "@" + std::prev(at)->first;
  return out;
}

bool matches(const engine::job_filter& filter, const engine::job& job) {
  if (filter.status && job.status != *filter.status) return false;
  if (filter.type && job.spec.type != *filter.type) return false;
  for (const engine::label& wanted : filter.labels) {
    const auto at = std::ranges::find(job.spec.labels, wanted);
    if (at == job.spec.labels.end()) return false;
  }
  if (!filter.fingerprint) return true;
  return job.status == job_status::dead &&
         engine::error_fingerprint(job.error) == *filter.fingerprint;
}

}  // namespace

result<engine::answer> model_state::ask(const engine::query& what) const {
  return std::visit([this](const auto& one) { return read(one); }, what);
}

result<engine::answer> model_state::read(const engine::find_job& what) const {
  const job_record* job = find(what.id);
  return job == nullptr ? std::optional<engine::job>() : std::optional(job->what);
}

result<engine::answer> model_state::read(const engine::read_job_log& what) const {
  std::vector<engine::job_log_line> out;
  const job_record* job = find(what.id);
  if (job == nullptr) return out;
  std::ranges::copy_if(job->log, std::back_inserter(out),
                       [&](const auto& line) { return line.stamp > what.after; });
  return out;
}

std::vector<model_state::listed> model_state::select(
    const engine::queue_key& queue, const std::function<bool(const engine::job&)>& wanted,
    const std::function<timestamp(const engine::job&)>& order) const {
  std::vector<listed> out;
  for (const auto& [id, job] : jobs_) {
    if (job.what.queue == queue && wanted(job.what)) out.emplace_back(order(job.what), &job);
  }
  std::ranges::sort(
      out, {}, [](const listed& one) { return std::pair(one.first, one.second->what.id.stamp); });
  return out;
}

std::vector<model_state::listed> model_state::dead_letters(const engine::queue_key& queue) const {
  return select(
      queue, [](const engine::job& job) { return job.status == job_status::dead; },
      [](const engine::job& job) { return job.failed_at.value(); });
}

result<engine::answer> model_state::read(const engine::list_jobs& what) const {
  const std::optional<place> after = parse_place(what.cursor);
  if (!what.cursor.empty() && !after) return bad_cursor();
  std::map<place, const engine::job*> in_order;
  for (const auto& [id, record] : jobs_) {
    const engine::job& job = record.what;
    if (job.queue == what.queue && matches(what.filter, job)) {
      in_order.emplace(place_in(what.filter, job), &job);
    }
  }
  engine::page<engine::job> out;
  auto at = after ? in_order.upper_bound(*after) : in_order.begin();
  for (; at != in_order.end() && out.items.size() < page_size(what.limit); ++at) {
    out.items.push_back(*at->second);
  }
  if (at != in_order.end()) out.cursor = to_cursor(std::prev(at)->first);
  return out;
}

result<engine::answer> model_state::read(const engine::dead_at& what) const {
  const std::vector<listed> dead = dead_letters(what.queue);
  return what.index < dead.size() ? std::optional(dead[what.index].second->what)
                                  : std::optional<engine::job>();
}

std::vector<engine::minute_count> model_state::recent_minutes(const queue_record& queue) const {
  std::vector<engine::minute_count> out;
  const timestamp hour_ago =
      std::chrono::floor<std::chrono::minutes>(now_) - std::chrono::minutes{60};
  for (const auto& [minute, counted] : queue.minutes) {
    if (minute > hour_ago) out.push_back(counted);
  }
  return out;
}

engine::queue_info model_state::info(const engine::queue_key& key,
                                     const queue_record& queue) const {
  const std::vector<listed> available = select(
      key, [](const engine::job& job) { return job.status == job_status::queued; },
      [](const engine::job& job) { return job.run_at; });
  engine::queue_info out{.queue = key,
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
                         .minutes = recent_minutes(queue)};
  if (!available.empty()) out.oldest_available_at = available.front().first;
  return out;
}

result<engine::answer> model_state::read(const engine::find_queue& what) const {
  const queue_record* queue = find(what.queue);
  return queue == nullptr ? std::optional<engine::queue_info>()
                          : std::optional(info(what.queue, *queue));
}

result<engine::answer> model_state::read(const engine::list_queues& what) const {
  std::map<std::string, engine::queue_info> in_order;
  for (const auto& [key, queue] : queues_) {
    if (key.project == what.project) in_order.emplace(key.name, info(key, queue));
  }
  return page_by_name(std::move(in_order), what.limit, what.cursor);
}

engine::dead_stats model_state::stats(const engine::queue_key& key,
                                      const queue_record& queue) const {
  engine::dead_stats out{.queue = key,
                         .count = queue.in(job_status::dead),
                         .retrying = queue.in(job_status::retrying)};
  std::uint64_t ended = 0;
  std::uint64_t failed = 0;
  for (const engine::minute_count& counted : recent_minutes(queue)) {
    ended += counted.completed + counted.failed;
    failed += counted.failed;
  }
  if (ended > 0) out.failure_rate = static_cast<double>(failed) / static_cast<double>(ended);

  const std::vector<listed> dead = dead_letters(key);
  if (dead.empty()) return out;
  out.oldest_failed_at = dead.front().first;
  std::uint64_t retries = 0;
  std::map<std::string, engine::error_count> errors;
  for (const auto& [at, job] : dead) {
    retries += job->what.attempts - 1;
    std::string fingerprint = engine::error_fingerprint(job->what.error);
    if (errors.size() >= engine::fingerprints_max && !errors.contains(fingerprint)) {
      fingerprint = "other";
    }
    engine::error_count& counted = errors[fingerprint];
    if (counted.count++ == 0) counted.sample = job->what.error;
    counted.fingerprint = fingerprint;
  }
  out.average_retries = static_cast<double>(retries) / static_cast<double>(dead.size());
  for (auto& [fingerprint, counted] : errors) out.top_errors.push_back(std::move(counted));
  std::ranges::sort(out.top_errors, [](const auto& a, const auto& b) {
    return std::tie(b.count, a.fingerprint) < std::tie(a.count, b.fingerprint);
  });
  if (out.top_errors.size() > 10) out.top_errors.resize(10);
  return out;
}

result<engine::answer> model_state::read(const engine::read_dead_stats& what) const {
  std::vector<engine::dead_stats> out;
  for (const auto& [key, queue] : queues_) {
    if (key.project != what.project) continue;
    engine::dead_stats one = stats(key, queue);
    if (one.count > 0 || one.retrying > 0 || one.failure_rate > 0) out.push_back(std::move(one));
  }
  return out;
}

result<engine::answer> model_state::read(const engine::find_cron& what) const {
  const auto at = crons_.find({what.project, what.name});
  return at == crons_.end() ? std::optional<engine::cron_entry>() : std::optional(at->second);
}

result<engine::answer> model_state::read(const engine::list_crons& what) const {
  std::map<std::string, engine::cron_entry> in_order;
  for (const auto& [key, entry] : crons_) {
    if (key.first == what.project) in_order.emplace(key.second, entry);
  }
  return page_by_name(std::move(in_order), what.limit, what.cursor);
}

result<engine::answer> model_state::read(const engine::due_crons& what) const {
  std::vector<engine::cron_entry> coming;
  for (const auto& [key, entry] : crons_) {
    if (!entry.paused && entry.next_at) coming.push_back(entry);
  }
  std::ranges::sort(coming, {}, [](const auto& entry) {
    return std::tie(*entry.next_at, entry.project, entry.name);
  });
  engine::due_crons::due out;
  for (engine::cron_entry& entry : coming) {
    if (*entry.next_at > now_ || out.entries.size() == page_size(what.limit)) {
      out.next_at = entry.next_at;
      break;
    }
    out.entries.push_back(std::move(entry));
  }
  return out;
}

result<engine::answer> model_state::read(const engine::read_clock&) const { return now_; }

result<engine::answer> model_state::read(const engine::probe_store&) const {
  return engine::probe_store::report{};
}

}  // namespace millrace::model
