#include "cache_codec.hpp"
#include "call_codec.hpp"
#include "correlation_codec.hpp"
#include "event_codec.hpp"
#include "group_codec.hpp"
#include "job_codec.hpp"
#include "limit_codec.hpp"
#include "lock_codec.hpp"
#include "session_codec.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/engine/fingerprint.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/engine/session_rules.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <type_traits>
#include <utility>
#include <variant>

namespace millrace::engine_redis {

namespace {

// The numbers of lua/dispatch.lua.
constexpr int kind_transaction = 1;
constexpr int kind_query = 2;

std::uint32_t page_size(std::uint32_t limit) {
  return std::clamp<std::uint32_t>(limit, 1, engine::page_items_max);
}

void pack_time(packer& out, const std::optional<timestamp>& at) {
  if (at) {
    out.add(to_micros(*at));
  } else {
    out.nil();
  }
}

// The part of a recurring job that scripts do not look at.
std::string pack_rest(const engine::cron_entry& entry) {
  packer out;
  out.add(entry.schedule).add(entry.time_zone).add(std::to_underlying(entry.catch_up));
  return out.take();
}

}  // namespace

/// Appends a step: its number, then its values.
struct step_encoder {
  call_encoder& call;
  packer& out;

  packer& run(int number, const engine::job_id& id, std::uint64_t token) {
    return job(number, id).add(token);
  }
  packer& job(int number, const engine::job_id& id) {
    call.jobs_.add(id.tag).add(id.stamp);
    return out.add(number).add(id.tag).add(id.stamp);
  }

  void operator()(const engine::enqueue_job& step) {
    out.add(1);
    pack_spec(out, call.number_of(step.queue), step.spec, step.level,
              {step.default_attempts, step.default_backoff, step.default_level});
  }
  void operator()(const engine::lease_jobs& step) {
    out.add(2).array(step.queues.size());
    for (const engine::queue_key& queue : step.queues) out.add(call.number_of(queue));
    out.add(step.max).add_unless(step.lease.count(), 0).add_unless_empty(step.worker);
  }
  void operator()(const engine::ack_job& step) {
    run(3, step.id, step.token).add(step.result.empty() ? "null" : std::string_view(step.result));
  }
  void operator()(const engine::fail_job& step) {
    const std::string_view text = cut_utf8(step.error, engine::error_bytes_max);
    run(4, step.id, step.token).add(text).add(engine::error_fingerprint(text)).add(step.permanent);
    if (step.retry_in) {
      out.add(step.retry_in->count());
    } else {
      out.nil();
    }
  }
  void operator()(const engine::extend_lease& step) {
    run(5, step.id, step.token).add_unless(step.lease.count(), 0);
    out.add_unless_empty(step.checkpoint ? std::string_view(*step.checkpoint) : std::string_view());
  }
  void operator()(const engine::snooze_job& step) {
    run(6, step.id, step.token).add(step.delay.count());
  }
  void operator()(const engine::report_progress& step) {
    run(7, step.id, step.token).add(step.value).add(step.message).array(step.log.size());
    for (const std::string& line : step.log) out.add(line);
  }
  void operator()(const engine::cancel_job& step) { job(8, step.id); }
  void operator()(const engine::delete_job& step) { job(9, step.id); }
  void operator()(const engine::requeue_dead& step) { job(10, step.id); }
  void operator()(const engine::purge_jobs& step) {
    out.add(11).add(call.number_of(step.queue)).add(std::to_underlying(step.target)).add(step.max);
  }
  void operator()(const engine::configure_queue& step) {
    out.add(12).add(call.number_of(step.queue));
    if (step.settings) {
      out.add(settings_to_json(*step.settings));
    } else {
      out.nil();
    }
    out.add(step.paused).add(step.draining);
  }
  void operator()(const engine::put_cron& step) {
    const engine::cron_entry& entry = step.entry;
    const std::size_t queue = call.number_of({.project = entry.project, .name = entry.queue});
    packer job;
    pack_spec(job, queue, entry.job, engine::durability::durable,
              {entry.default_attempts, entry.default_backoff, entry.default_level});
    out.add(13).add(entry.project).add(entry.name).add(queue);
    pack_time(out, entry.next_at);
    out.add(entry.paused).add(std::to_underlying(entry.overlap)).add(job.text());
    out.add(pack_rest(entry));
  }
  void operator()(const engine::delete_cron& step) { out.add(14).add(step.project).add(step.name); }
  void operator()(const engine::take_limits& step) {
    out.add(step.required ? 46 : 40).add(std::to_underlying(step.mode));
    out.array(step.checks.size());
    for (const engine::limit_check& each : step.checks) pack_limit(out, step.project, each);
  }
  void operator()(const engine::refund_limits& step) {
    out.add(41);
    pack_time(out, step.taken_at);
    out.array(step.checks.size());
    for (const engine::limit_check& each : step.checks) pack_limit(out, step.project, each);
  }
  void operator()(const engine::reset_limits& step) {
    out.add(42).array(step.checks.size());
    for (const engine::limit_check& each : step.checks) pack_limit(out, step.project, each);
  }
  void operator()(const engine::block_limit& step) {
    out.add(43);
    pack_block(out, step);
  }
  void operator()(const engine::renew_limit_permit& step) { pack_permit(44, step); }
  void operator()(const engine::release_limit_permit& step) { pack_permit(45, step); }
  template <class Step>
  void pack_permit(int number, const Step& step) {
    out.add(number).add(step.permit).array(step.checks.size());
    for (const engine::limit_check& each : step.checks) pack_limit(out, step.project, each);
  }
  void operator()(const engine::fire_cron& step) {
    out.add(15).add(step.project).add(step.name).add(step.version).add(to_micros(step.slot));
    pack_time(out, step.next_at);
    out.add(step.pass_over);
  }
  template <class Step>
    requires requires(packer& into, const Step& step) { pack_cache_step(into, step); }
  void operator()(const Step& step) {
    pack_cache_step(out, step);
  }
  template <class Step>
    requires requires(packer& to, const Step& step) { pack_step(to, step); }
  void operator()(const Step& step) {
    pack_step(out, step);
  }
};

/// Appends a query: its number, then its values.
struct query_encoder {
  call_encoder& call;
  packer& out;

  void operator()(const engine::find_job& what) { out.add(1).add(what.id.tag).add(what.id.stamp); }
  void operator()(const engine::read_job_log& what) {
    // Stamps are less than 2^53, and so is what the scripts can count with.
    constexpr std::uint64_t stamp_max = (std::uint64_t{1} << 53U) - 1;
    out.add(2).add(what.id.tag).add(what.id.stamp).add(std::min(what.after, stamp_max));
  }
  void operator()(const engine::list_jobs& what) {
    const engine::job_filter& filter = what.filter;
    out.add(3).add(call.number_of(what.queue));
    if (filter.status) {
      out.add(std::to_underlying(*filter.status));
    } else {
      out.nil();
    }
    out.add(filter.type).array(filter.labels.size() * 2);
    for (const auto& [key, value] : filter.labels) out.add(key).add(value);
    out.add(filter.fingerprint).add(page_size(what.limit));
    const std::optional<listing_place> after = parse_place(what.cursor);
    if (after) {
      out.add(after->order).add(after->id);
    } else {
      out.nil().nil();
    }
  }
  void operator()(const engine::dead_at& what) {
    out.add(4).add(call.number_of(what.queue));
    out.add(std::min<std::uint64_t>(what.index, std::numeric_limits<std::int32_t>::max()));
  }
  void operator()(const engine::find_queue& what) { out.add(5).add(call.number_of(what.queue)); }
  void operator()(const engine::list_queues& what) {
    by_name(6, what.project, what.cursor, what.limit);
  }
  void operator()(const engine::read_dead_stats& what) { out.add(7).add(what.project); }
  void operator()(const engine::find_cron& what) { out.add(8).add(what.project).add(what.name); }
  void operator()(const engine::list_crons& what) {
    by_name(9, what.project, what.cursor, what.limit);
  }
  void operator()(const engine::due_crons& what) { out.add(10).add(page_size(what.limit)); }
  // Read by a script of its own.
  void operator()(const engine::read_cache&) {}
  void operator()(const engine::list_cache& what) {
    out.add(21).add(what.project).add(what.pattern.empty() ? "*" : std::string_view(what.pattern));
    out.add(page_size(what.limit));
    out.add(what.cursor.empty() ? std::string_view() : std::string_view(what.cursor).substr(1));
  }
  void operator()(const engine::read_cache_stats& what) { out.add(22).add(what.project); }
  void operator()(const engine::read_clock&) { out.add(11); }
  void operator()(const engine::probe_store&) { out.add(12); }
  template <class Query>
    requires requires(packer& to, const Query& what) { pack_query(to, what); }
  void operator()(const Query& what) {
    pack_query(out, what);
  }

  void by_name(int number, const std::string& project, std::string_view cursor,
               std::uint32_t limit) {
    out.add(number).add(project);
    if (cursor.empty()) {
      out.nil();
    } else {
      out.add(cursor.substr(1));
    }
    out.add(page_size(limit));
  }
};

std::size_t call_encoder::number_of(const engine::queue_key& queue) {
  const auto [at, is_new] = numbers_.try_emplace(queue, numbers_.size() + 1);
  if (is_new) in_order_.push_back(&at->first);
  return at->second;
}

std::string call_encoder::names() const {
  if (in_order_.empty() && jobs_.text().empty()) return {};
  packer out;
  out.add(in_order_.size());
  for (const engine::queue_key* each : in_order_) {
    out.add(each->project).add(each->name).add(routing_tag(each->name));
  }
  return out.raw(jobs_.text()).take();
}

std::string call_encoder::encode(const engine::transaction& what) {
  packer out;
  out.add(kind_transaction).add(what.steps.size()).add(std::to_underlying(what.level));
  if (what.idempotency) {
    const engine::idempotency_key& key = *what.idempotency;
    std::string name = key.project;
    name.append(1, '\0').append(key.route).append(1, '\0').append(key.key);
    out.add(name).add(fmt::format("{:016x}", key.fingerprint));
  } else {
    out.nil().nil();
  }
  step_encoder encoder{*this, out};
  for (const engine::step& each : what.steps) std::visit(encoder, each);
  return out.take();
}

std::string call_encoder::encode(const engine::query& what) {
  packer out;
  out.add(kind_query);
  std::visit(query_encoder{*this, out}, what);
  return out.take();
}

std::optional<listing_place> parse_place(std::string_view cursor) {
  listing_place at;
  const char* const end = cursor.data() + cursor.size();
  const auto first = std::from_chars(cursor.data(), end, at.order);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, at.id);
  if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
  return at;
}

result<void> check_query(const engine::query& what) {
  if (const auto* const read = std::get_if<engine::read_cache>(&what)) {
    return engine::check_read(*read);
  }
  const auto is_bad = [](const auto& query) {
    using type = std::decay_t<decltype(query)>;
    if constexpr (std::is_same_v<type, engine::list_jobs>) {
      return !query.cursor.empty() && !parse_place(query.cursor);
    } else if constexpr (std::is_same_v<type, engine::list_cache>) {
      return !query.cursor.empty() &&
             (query.cursor.front() != '@' || query.cursor.size() > 21 ||
              query.cursor.find_first_not_of("0123456789", 1) != std::string::npos);
    } else if constexpr (std::is_same_v<type, engine::list_sessions>) {
      return !engine::parse_session_cursor(query.cursor);
    } else if constexpr (std::is_same_v<type, engine::list_correlated>) {
      return !engine::stamp_bound(query);
    } else if constexpr (std::is_same_v<type, engine::list_limit_blocks>) {
      return !engine::parse_block_cursor(query.cursor);
    } else if constexpr (requires { query.cursor; }) {
      return !query.cursor.empty() && query.cursor.front() != '@';
    } else {
      return false;
    }
  };
  if (!std::visit(is_bad, what)) return {};
  return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
}

}  // namespace millrace::engine_redis
