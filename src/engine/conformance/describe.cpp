#include "describe.hpp"

#include "describe_events.hpp"
#include "describe_groups.hpp"
#include "describe_limits.hpp"
#include "describe_sessions.hpp"

#include <millrace/engine/fingerprint.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <type_traits>
#include <variant>

namespace millrace::conformance {

using namespace engine;

void describer::offend(std::string what) {
  if (offence_.empty()) offence_ = std::move(what);
}

std::string describer::name_of(const job_id& id) {
  const auto [where, is_new] = job_numbers_.try_emplace(id, jobs_.size());
  if (is_new) {
    if (!jobs_.empty() && id.stamp <= jobs_.back().stamp) offend("an id does not grow");
    jobs_.push_back(id);
  }
  return fmt::format("job {} of {}", where->second, id.tag);
}

std::string describer::name_of(std::uint64_t token) {
  if (token == 0) return "no token";
  return fmt::format("token {}",
                     token_numbers_.try_emplace(token, token_numbers_.size()).first->second);
}

std::string describer::at(timestamp when) const {
  return fmt::format("{}us", (when - start_).count());
}

std::string describer::at(const std::optional<timestamp>& when) const {
  return when ? at(*when) : "never";
}

void describer::note_permit(std::uint64_t permit) {
  if (permit == 0 || (!permits_.empty() && permit == permits_.back())) return;
  if (std::ranges::find(permits_, permit) == permits_.end()) {
    if (!permits_.empty() && permit < permits_.back()) offend("a permit does not grow");
    permits_.push_back(permit);
  }
}

void describer::note_status(const job_id& id, job_status status) {
  std::erase(dead_, id);
  if (status == job_status::dead) dead_.push_back(id);
  if (status != job_status::running) {
    std::erase_if(open_runs_, [&](const run& one) { return one.id == id; });
  }
}

void describer::check_version(const job& job, const std::string& seen_as) {
  // A replayed answer may name a job that is gone: all that is left of it is its id.
  if (job.version == 0) return;
  last_seen& last = seen_[job.id];
  if (job.version < last.version) offend(seen_as + ": its version went back");
  if (job.version == last.version && seen_as != last.text) {
    offend(fmt::format("changed without a new version:\n  {}\n  {}", last.text, seen_as));
  }
  last = {job.version, seen_as};
}

std::string describer::text(const job& job) {
  const job_spec& spec = job.spec;
  std::string labels;
  for (const auto& [key, value] : spec.labels) labels += key + "=" + value + " ";
  const bool expired = job.error_code == "lease_expired";
  std::string out = fmt::format(
      "{} in {}: {} type '{}' data '{}' priority {} attempts {}/{} group '{}' unique '{}' labels "
      "'{}' lease {} timeout {} created {} run at {} started {} finished {} first failed {} failed "
      "{} result '{}' error '{}' code '{}' checkpoint '{}' cancel {} leased until {} {}",
      name_of(job.id), job.queue.name, to_string(job.status), spec.type, spec.data, spec.priority,
      job.attempts, spec.max_attempts, spec.group, spec.unique ? spec.unique->key : "", labels,
      spec.lease.count(), spec.timeout.count(), at(job.created_at), at(job.run_at),
      at(job.started_at), at(job.finished_at), at(job.first_failed_at), at(job.failed_at),
      job.result, expired ? "" : job.error, job.error_code, job.checkpoint, job.cancel_requested,
      at(job.leased_until), name_of(job.token));
  if (job.progress) {
    out += fmt::format(" progress {} '{}' at {}", job.progress->value, job.progress->message,
                       at(job.progress->updated_at));
  }
  check_version(job, out);
  return out;
}

std::string describer::text(const cron_entry& entry) {
  return fmt::format("cron {} to {} next {} fired {} skipped {} last {} {} overlap {}", entry.name,
                     entry.queue, at(entry.next_at), entry.fired, entry.skipped,
                     at(entry.last_fired_at), entry.last_job ? name_of(*entry.last_job) : "none",
                     static_cast<int>(entry.overlap));
}

std::string describer::text(const queue_info& info) {
  std::string out = fmt::format(
      "queue {}{}{}: waiting {} scheduled {} running {} retrying {} dead {} completed {} cancelled "
      "{} oldest {}",
      info.queue.name, info.paused ? " paused" : "", info.draining ? " draining" : "", info.waiting,
      info.scheduled, info.running, info.retrying, info.dead, info.completed, info.cancelled,
      at(info.oldest_available_at));
  for (const minute_count& one : info.minutes) {
    out += fmt::format(" [{}: {} {} {} {}]", at(one.minute), one.enqueued, one.completed,
                       one.failed, one.dead);
  }
  return out;
}

std::string describer::text(const dead_stats& stats) {
  std::string out = fmt::format("dead in {}: {} oldest {} retrying {} rate {:.6f} retries {:.6f}",
                                stats.queue.name, stats.count, at(stats.oldest_failed_at),
                                stats.retrying, stats.failure_rate, stats.average_retries);
  for (const error_count& one : stats.top_errors) {
    if (error_fingerprint(one.sample) != one.fingerprint) offend("a sample of another error");
    out += fmt::format(" [{} x {}]", one.fingerprint, one.count);
  }
  return out;
}

std::string describer::text(const job_log_line& line) const {
  return fmt::format("{} {}", at(line.at), line.text);
}

std::string describer::text(const outcome& outcome) {
  if (const auto* done = std::get_if<job_enqueued>(&outcome)) {
    return fmt::format("enqueued{}{} {}", done->duplicate ? " duplicate" : "",
                       done->replaced ? " replaced" : "", text(done->made));
  }
  if (const auto* done = std::get_if<jobs_leased>(&outcome)) {
    std::string out = "leased";
    for (const leased_job& one : done->jobs) {
      std::uint64_t& last = last_tokens_[one.what.id];
      if (!token_numbers_.contains(one.token)) {
        if (one.token <= last) offend("a token does not grow");
        last = one.token;
        runs_.push_back({one.what.id, one.token});
        std::erase_if(open_runs_, [&](const run& old) { return old.id == one.what.id; });
        open_runs_.push_back(runs_.back());
      }
      out += fmt::format("\n    {} until {}: {}", name_of(one.token), at(one.leased_until),
                         text(one.what));
    }
    return out;
  }
  if (const auto* done = std::get_if<job_changed>(&outcome)) {
    note_status(done->id, done->status);
    return fmt::format("changed {} {} attempts {} run at {} cancel {}", name_of(done->id),
                       to_string(done->status), done->attempts, at(done->run_at),
                       done->cancel_requested);
  }
  if (const auto* done = std::get_if<lease_extended>(&outcome)) {
    return fmt::format("extended until {} cancel {}", at(done->leased_until),
                       done->cancel_requested);
  }
  if (const auto* done = std::get_if<jobs_purged>(&outcome)) {
    return fmt::format("purged {}", done->count);
  }
  if (const auto* done = std::get_if<cron_fired>(&outcome)) {
    crons_[done->entry.name] = done->entry;
    return fmt::format("fired {} {}", done->made ? name_of(*done->made) : "nothing",
                       text(done->entry));
  }
  if (const auto* done = std::get_if<cache_stored>(&outcome)) return text(*done);
  if (const auto* done = std::get_if<cache_claimed>(&outcome)) return text(*done);
  if (const auto* done = std::get_if<cache_dropped>(&outcome)) {
    return fmt::format("dropped {}{}", done->count, done->cursor.empty() ? "" : " and more");
  }
  if (const auto* done = std::get_if<limits_checked>(&outcome)) {
    std::string out = fmt::format("limits {} {} at {} permit {}", done->allowed, done->granted,
                                  at(done->at), name_of(done->permit));
    note_permit(done->permit);
    for (const limit_state& one : done->limits) {
      out += fmt::format("\n    {} of {} left {} from {} to {} {} {}us blocked {}", one.count,
                         one.limit, one.remaining, at(one.window_start), at(one.reset_time),
                         one.allowed, one.retry_after.count(),
                         one.blocked_until > timestamp{} ? at(one.blocked_until) : "never");
    }
    return out;
  }
  if (const auto* done = std::get_if<session_changed>(&outcome)) return describe(*done, start_);
  if (const auto* done = std::get_if<sessions_ended>(&outcome)) return describe(*done, start_);
  if (auto group = describe_group_outcome(outcome, start_)) return std::move(*group);
  return describe_other(outcome, start_);
}

std::string describer::text(const commit_result& done) {
  if (!done) {
    return fmt::format("refused: {} {} at step {}", to_string(done.error().why.kind),
                       done.error().why.code, done.error().step_index);
  }
  std::string out = done->replayed ? "replayed" : "done";
  for (const outcome& one : done->outcomes) out += "\n  " + text(one);
  return out;
}

std::string describer::text(const result<answer>& answered) {
  if (!answered) return fmt::format("not answered: {}", answered.error().code);
  const auto lines = [this](const auto& items) {
    std::string out;
    for (const auto& one : items) out += "\n  " + text(one);
    return out;
  };
  return std::visit(
      [&](const auto& value) -> std::string {
        using type = std::decay_t<decltype(value)>;
        if constexpr (requires { describe(value, start_); }) {
          return describe(value, start_);
        } else if constexpr (std::is_same_v<type, timestamp>) {
          return at(value);
        } else if constexpr (std::is_same_v<type, probe_store::report>) {
          return "works";
        } else if constexpr (std::is_same_v<type, read_cache::found> ||
                             std::is_same_v<type, read_cache_stats::numbers>) {
          return text(value);
        } else if constexpr (std::is_same_v<type, list_cache::rows>) {
          // In no order of meaning.
          std::set<std::string> rows;
          for (const list_cache::row& row : value.items) {
            rows.insert(fmt::format("{} of {}", row.key, row.bytes));
          }
          return fmt::format("{}", fmt::join(rows, "\n  "));
        } else if constexpr (std::is_same_v<type, list_correlated::page>) {
          return lines(value.jobs) + describe_correlated(value.events, start_);
        } else if constexpr (std::is_same_v<type, due_crons::due>) {
          return lines(value.entries) + "\n  next " + at(value.next_at);
        } else if constexpr (requires { value.items; }) {
          return lines(value.items);
        } else if constexpr (requires { value.has_value(); }) {
          return value ? text(*value) : "nothing";
        } else {
          return lines(value);
        }
      },
      *answered);
}

std::optional<cron_entry> describer::cron(const std::string& name) const {
  const auto found = crons_.find(name);
  return found == crons_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace millrace::conformance
