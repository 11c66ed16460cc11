#include "check_cache.hpp"
#include "check_event_steps.hpp"
#include "check_limits.hpp"
#include "check_sessions.hpp"
#include "check_values.hpp"

#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/engine/limits.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace millrace::engine {
namespace {

constexpr std::uint64_t token_end = std::uint64_t{1} << 53U;

result<void> check_token(std::uint64_t token) {
  if (token > 0 && token < token_end) return {};
  return invalid("token", fmt::format("token must be the integer that came with the lease, above 0 "
                                      "and below 2^53; {} was given.",
                                      token));
}

result<void> check_one(const enqueue_job& s) {
  if (auto ok = check_queue_key(s.queue); !ok) return ok;
  return check_job_spec(s.spec);
}

result<void> check_one(const lease_jobs& s) {
  if (auto ok = check_range(s.max, 1, lease_jobs_max, {{}, "max"}); !ok) return ok;
  if (auto ok = check_range(s.queues.size(), 1, lease_queues_max, {{}, "queues"}); !ok) return ok;
  for (const queue_key& queue : s.queues) {
    if (auto ok = check_queue_key(queue); !ok) return ok;
    if (queue.project != s.queues.front().project) {
      return invalid("queues", "queues must all belong to one project.");
    }
  }
  if (auto ok = check_lease(s.lease, {{}, "lease"}); !ok) return ok;
  return check_line(s.worker, type_bytes_max, {{}, "worker"});
}

result<void> check_one(const ack_job& s) {
  if (auto ok = check_token(s.token); !ok) return ok;
  if (s.result.empty()) return {};
  return check_item(s.result, {{}, "result"});
}

result<void> check_one(const fail_job& s) {
  if (auto ok = check_token(s.token); !ok) return ok;
  // No bound of its own: what is too long is cut by the store.
  if (!is_utf8(s.error)) return invalid("error", "error must be valid UTF-8.");
  if (!s.retry_in) return {};
  return check_range(*s.retry_in, duration{0}, delay_max, {{}, "retry_in"});
}

result<void> check_one(const extend_lease& s) {
  if (auto ok = check_token(s.token); !ok) return ok;
  if (auto ok = check_lease(s.lease, {{}, "lease"}); !ok) return ok;
  if (!s.checkpoint || s.checkpoint->empty()) return {};
  return check_item(*s.checkpoint, {{}, "checkpoint"});
}

result<void> check_one(const snooze_job& s) {
  if (auto ok = check_token(s.token); !ok) return ok;
  return check_range(s.delay, duration{0}, delay_max, {{}, "delay"});
}

result<void> check_one(const report_progress& s) {
  if (auto ok = check_token(s.token); !ok) return ok;
  // Written so that NaN is refused as well.
  if (s.value && !(*s.value >= 0 && *s.value <= 1)) {
    return invalid("progress", fmt::format("progress must be 0 to 1; {} was given.", *s.value));
  }
  if (s.message) {
    if (auto ok = check_text(*s.message, message_bytes_max, {{}, "message"}); !ok) return ok;
  }
  if (s.log.size() > log_lines_max) {
    return fail(errc::too_large, "too_many_lines",
                fmt::format("log has {} lines: at most {} are kept, so more are refused.",
                            s.log.size(), log_lines_max),
                "log");
  }
  for (const std::string& line : s.log) {
    if (auto ok = check_text(line, log_line_bytes_max, {{}, "log"}); !ok) return ok;
  }
  return {};
}

result<void> check_one(const cancel_job&) { return {}; }
result<void> check_one(const delete_job&) { return {}; }
result<void> check_one(const requeue_dead&) { return {}; }

result<void> check_one(const purge_jobs& s) {
  if (auto ok = check_queue_key(s.queue); !ok) return ok;
  return check_range(s.max, 1, steps_max, {{}, "max"});
}

result<void> check_one(const configure_queue& s) {
  if (auto ok = check_queue_key(s.queue); !ok) return ok;
  if (!s.settings) return {};
  return check_queue_settings(*s.settings);
}

result<void> check_one(const put_cron& s) { return check_cron_entry(s.entry); }

result<void> check_one(const delete_cron& s) {
  if (auto ok = check_name(s.project, "project"); !ok) return ok;
  return check_name(s.name, "name");
}

result<void> check_one(const fire_cron& s) {
  if (auto ok = check_name(s.project, "project"); !ok) return ok;
  if (auto ok = check_name(s.name, "name"); !ok) return ok;
  if (auto ok = check_time(s.slot, {{}, "slot"}); !ok) return ok;
  if (!s.next_at) return {};
  return check_time(*s.next_at, {{}, "next_at"});
}

// Those of other capabilities are checked in files of their own.
template <class Step>
  requires requires(const Step& s) { check_cache_step(s); }
result<void> check_one(const Step& s) {
  return check_cache_step(s);
}

result<void> check_idempotency(const idempotency_key& key) {
  if (auto ok = check_name(key.project, "project"); !ok) return ok;
  if (auto ok = check_key(key.route, "route"); !ok) return ok;
  return check_key(key.key, "Idempotency-Key");
}

// The record a step addresses. Views into the transaction.
struct target {
  enum class kind : std::uint8_t {
    none,
    job,
    unique_key,
    settings,
    cron,
    lease,
    purge,
    cache,
    tag,
    limits,
    event_id,
    stream,
    lock,
    progress,
    agent,
    connection,
    sessions,
    fence,
    group,
  };
  kind what{kind::none};
  std::uint64_t stamp{0};
  std::string_view project{};
  std::string_view name{};
  std::string_view key{};
  std::size_t step_index{0};

  [[nodiscard]] auto identity() const { return std::tie(what, stamp, project, name, key); }
};

target job_target(const job_id& id) {
  return {.what = target::kind::job, .stamp = id.stamp, .name = id.tag};
}

target lock_target(const lock_key& key) {
  return {.what = target::kind::lock, .project = key.project, .name = key.resource};
}

target group_target(const group_key& of) {
  return {.what = target::kind::group,
          .project = of.stream.project,
          .name = of.stream.name,
          .key = of.group};
}

struct target_of {
  target operator()(const enqueue_job& s) const {
    if (!s.spec.unique) return {};
    return {.what = target::kind::unique_key,
            .project = s.queue.project,
            .name = s.queue.name,
            .key = s.spec.unique->key};
  }
  target operator()(const lease_jobs&) const { return {.what = target::kind::lease}; }
  target operator()(const purge_jobs& s) const {
    return {.what = target::kind::purge,
            .stamp = static_cast<std::uint64_t>(s.target),
            .project = s.queue.project,
            .name = s.queue.name};
  }
  target operator()(const configure_queue& s) const {
    return {.what = target::kind::settings, .project = s.queue.project, .name = s.queue.name};
  }
  target operator()(const put_cron& s) const {
    return {.what = target::kind::cron, .project = s.entry.project, .name = s.entry.name};
  }
  target operator()(const delete_cron& s) const {
    return {.what = target::kind::cron, .project = s.project, .name = s.name};
  }
  target operator()(const fire_cron& s) const {
    return {.what = target::kind::cron, .project = s.project, .name = s.name};
  }
  template <class Step>
    requires requires(const Step& s) { s.at.key; }
  target operator()(const Step& s) const {
    return {.what = target::kind::cache, .project = s.at.project, .name = s.at.key};
  }
  target operator()(const invalidate_tag& s) const {
    return {.what = target::kind::tag, .project = s.project, .name = s.tag};
  }
  target operator()(const delete_matching&) const { return {}; }
  target operator()(const clear_cache&) const { return {}; }
  target operator()(const take_limits&) const { return {.what = target::kind::limits}; }
  target operator()(const refund_limits&) const { return {.what = target::kind::limits}; }
  target operator()(const reset_limits&) const { return {.what = target::kind::limits}; }
  target operator()(const block_limit&) const { return {.what = target::kind::limits}; }
  target operator()(const renew_limit_permit&) const { return {.what = target::kind::limits}; }
  target operator()(const release_limit_permit&) const { return {.what = target::kind::limits}; }
  target operator()(const publish_event& s) const {
    if (s.what.id.empty()) return {};
    return {.what = target::kind::event_id,
            .project = s.stream.project,
            .name = s.stream.name,
            .key = s.what.id};
  }
  target operator()(const configure_stream& s) const {
    return {.what = target::kind::stream, .project = s.stream.project, .name = s.stream.name};
  }
  target operator()(const acquire_lock& s) const { return lock_target(s.key); }
  target operator()(const extend_lock& s) const { return lock_target(s.key); }
  target operator()(const release_lock& s) const { return lock_target(s.key); }
  target operator()(const put_progress& s) const {
    return {.what = target::kind::progress, .project = s.project, .name = s.correlation_id};
  }
  target operator()(const delete_progress& s) const {
    return {.what = target::kind::progress, .project = s.project, .name = s.correlation_id};
  }
  target operator()(const put_agent& s) const {
    return {
        .what = target::kind::agent, .project = s.project, .name = s.flow_id, .key = s.what.agent};
  }
  target operator()(const put_connection& s) const {
    return {.what = target::kind::connection, .project = s.project, .name = s.what.id};
  }
  target operator()(const drop_connection& s) const {
    return {.what = target::kind::connection, .project = s.project, .name = s.connection};
  }
  target operator()(const create_session&) const { return {.what = target::kind::sessions}; }
  target operator()(const touch_session&) const { return {.what = target::kind::sessions}; }
  target operator()(const change_session&) const { return {.what = target::kind::sessions}; }
  target operator()(const rotate_session&) const { return {.what = target::kind::sessions}; }
  target operator()(const end_session&) const { return {.what = target::kind::sessions}; }
  target operator()(const end_user_sessions&) const { return {.what = target::kind::sessions}; }
  target operator()(const pass_fence& s) const {
    return {.what = target::kind::fence, .project = s.key.project, .name = s.key.resource};
  }
  target operator()(const put_group& s) const { return group_target(s.group); }
  target operator()(const delete_group& s) const { return group_target(s.group); }
  target operator()(const read_group& s) const { return group_target(s.group); }
  target operator()(const settle_deliveries& s) const { return group_target(s.group); }
  // All others address one job.
  template <class Step>
  target operator()(const Step& s) const {
    return job_target(s.id);
  }
};

std::string_view described(target::kind what) {
  switch (what) {
    case target::kind::job: return "the same job";
    case target::kind::unique_key: return "the same unique key of one queue";
    case target::kind::settings: return "the settings of the same queue";
    case target::kind::cron: return "the same recurring job";
    case target::kind::lease: return "leases, which one step has to take together,";
    case target::kind::purge: return "the same jobs to purge";
    case target::kind::cache: return "the same key of the cache";
    case target::kind::tag: return "the same tag of the cache";
    case target::kind::limits: return "limits, which one step has to name together,";
    case target::kind::event_id: return "the same event id of one stream";
    case target::kind::stream: return "the settings of the same stream";
    case target::kind::lock: return "the same lock";
    case target::kind::progress: return "the same progress";
    case target::kind::agent: return "the same agent";
    case target::kind::connection: return "the same connection";
    case target::kind::sessions: return "sessions, of which a commit changes one,";
    case target::kind::fence: return "the fence of the same resource";
    case target::kind::group: return "the same group of consumers";
    case target::kind::none: break;
  }
  return "the same record";
}

std::optional<refusal> find_duplicate(const std::vector<step>& steps) {
  std::vector<target> targets;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    target each = std::visit(target_of{}, steps[i]);
    each.step_index = i;
    if (each.what != target::kind::none) targets.push_back(each);
  }
  const auto before = [](const target& a, const target& b) {
    return std::tuple{a.identity(), a.step_index} < std::tuple{b.identity(), b.step_index};
  };
  std::ranges::sort(targets, before);
  const auto same = [](const target& a, const target& b) { return a.identity() == b.identity(); };
  const auto at = std::ranges::adjacent_find(targets, same);
  if (at == targets.end()) return std::nullopt;
  const std::size_t second = std::next(at)->step_index;
  return refusal{
      {.kind = errc::invalid_argument,
       .code = "duplicate_target",
       .detail = fmt::format("Steps {} and {} address {}: a record may be addressed once in a "
                             "commit.",
                             at->step_index, second, described(at->what)),
       .field = "steps"},
      second};
}

}  // namespace

result<void> check_step(const step& what) {
  return std::visit([](const auto& each) { return check_one(each); }, what);
}

std::optional<refusal> check_transaction(const transaction& what) {
  if (what.steps.empty()) {
    return refusal{{.kind = errc::invalid_argument,
                    .code = "invalid_value",
                    .detail = "A commit needs at least one step.",
                    .field = "steps"},
                   0};
  }
  if (what.steps.size() > steps_max) {
    return refusal{{.kind = errc::too_large,
                    .code = "too_many_steps",
                    .detail = fmt::format("A commit has at most {} steps; {} were given.",
                                          steps_max, what.steps.size()),
                    .field = "steps"},
                   0};
  }
  if (what.idempotency) {
    if (auto ok = check_idempotency(*what.idempotency); !ok) return refusal{ok.error(), 0};
  }
  for (std::size_t i = 0; i < what.steps.size(); ++i) {
    if (auto ok = check_step(what.steps[i]); !ok) return refusal{std::move(ok.error()), i};
  }
  if (what.steps.size() == 1) return std::nullopt;
  return find_duplicate(what.steps);
}

}  // namespace millrace::engine
