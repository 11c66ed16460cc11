#include "hot_codec.hpp"

#include "job_codec.hpp"

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

namespace millrace::engine_redis {

using engine::ack_job;
using engine::enqueue_job;
using engine::lease_jobs;

namespace {

// The numbers of lua/hot.lua.
constexpr int kind_many = 3;
constexpr int kind_jobs = 1;
constexpr int kind_runs = 2;

constexpr std::size_t hot_steps_max = 1000;
/// What the scripts can count with.
constexpr std::uint64_t stamp_max = (std::uint64_t{1} << 53U) - 1;

bool is_hot_enqueue(const enqueue_job& step, const engine::queue_key& queue) {
  return step.queue == queue && !step.spec.unique && !step.spec.run_at &&
         step.spec.delay == duration{0};
}

bool makes_jobs(const std::vector<engine::step>& steps) {
  const auto& first = std::get<enqueue_job>(steps.front());
  return std::ranges::all_of(steps, [&](const engine::step& each) {
    const auto* const step = std::get_if<enqueue_job>(&each);
    return step != nullptr && is_hot_enqueue(*step, first.queue);
  });
}

bool runs_jobs(const std::vector<engine::step>& steps) {
  std::vector<std::uint64_t> met;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (const auto* const ack = std::get_if<ack_job>(&steps[i])) {
      if (ack->id.stamp > stamp_max || ack->token > stamp_max) return false;
      met.push_back(ack->id.stamp);
    } else if (const auto* const lease = std::get_if<lease_jobs>(&steps[i])) {
      if (i + 1 != steps.size() || lease->queues.size() != 1) return false;
    } else {
      return false;
    }
  }
  // The same job twice is refused elsewhere.
  std::ranges::sort(met);
  return std::ranges::adjacent_find(met) == met.end();
}

std::string packed_result(const ack_job& step) {
  packer out;
  out.add(step.result.empty() ? "null" : std::string_view(step.result));
  return out.take();
}

}  // namespace

bool is_hot(const engine::transaction& what) {
  if (what.idempotency || what.steps.empty() || what.steps.size() > hot_steps_max) return false;
  return std::holds_alternative<enqueue_job>(what.steps.front()) ? makes_jobs(what.steps)
                                                                 : runs_jobs(what.steps);
}

void hot_encoder::add(const engine::transaction& what) {
  ++count_;
  if (std::holds_alternative<enqueue_job>(what.steps.front())) {
    add_jobs(what);
  } else {
    add_runs(what);
  }
}

void hot_encoder::add_jobs(const engine::transaction& what) {
  put_number(body_, kind_jobs, 1);
  const engine::queue_key& queue = std::get<enqueue_job>(what.steps.front()).queue;
  put_number(body_, static_cast<std::int64_t>(call_.number_of(queue)), 2);
  put_number(body_, std::ssize(what.steps), 2);
  for (const engine::step& each : what.steps) {
    const auto& step = std::get<enqueue_job>(each);
    const int left = (step.default_attempts ? 1 : 0) + (step.default_backoff ? 2 : 0) +
                     (step.default_level ? 4 : 0);
    put_number(body_, left, 1);
    put_number(body_, step.spec.priority, 1);
    put_text(body_, pack_record(step.spec, std::min(step.level, strongest_)), 4);
  }
}

void hot_encoder::add_runs(const engine::transaction& what) {
  const bool leases = std::holds_alternative<lease_jobs>(what.steps.back());
  const std::size_t acks = what.steps.size() - (leases ? 1 : 0);
  put_number(body_, kind_runs, 1);
  put_number(body_, static_cast<std::int64_t>(acks), 2);
  put_number(body_, leases ? 1 : 0, 1);
  for (std::size_t i = 0; i < acks; ++i) add_ack(std::get<ack_job>(what.steps[i]));
  if (leases) add_lease(std::get<lease_jobs>(what.steps.back()));
}

void hot_encoder::add_ack(const ack_job& step) {
  ++acks_;
  put_text(heads_, step.id.tag, 1);
  put_number(heads_, static_cast<std::int64_t>(step.id.stamp), 7);
  fmt::format_to(std::back_inserter(heads_), "{:016}", step.id.stamp);
  put_number(heads_, static_cast<std::int64_t>(step.token), 7);
  put_text(body_, packed_result(step), 4);
}

void hot_encoder::add_lease(const lease_jobs& step) {
  asked_ += step.max;
  put_number(body_, static_cast<std::int64_t>(call_.number_of(step.queues.front())), 2);
  put_number(body_, step.max, 4);
  put_number(body_, step.lease.count(), 6);
  put_text(body_, step.worker, 1);
}

std::string hot_encoder::take() {
  std::string out;
  out.reserve(13 + bytes());
  put_number(out, kind_many, 1);
  for (const std::size_t each : {acks_, count_, std::min<std::size_t>(asked_, 1U << 20U)}) {
    put_number(out, static_cast<std::int64_t>(each), 4);
  }
  out.append(heads_).append(body_);
  heads_.clear();
  body_.clear();
  count_ = acks_ = asked_ = 0;
  return out;
}

engine::job_enqueued hot_decoder::made(const enqueue_job& step) {
  engine::job_enqueued out;
  engine::job& made = out.made;
  made.spec = step.spec;
  made.queue = step.queue;
  made.id = {.tag = std::string(routing_tag(step.queue.name)),
             .stamp = static_cast<std::uint64_t>(in_.number(7))};
  made.created_at = made.run_at = now_;
  made.version = made.id.stamp + 2;
  made.level = std::min(step.level, strongest_);
  if (in_.number(1) == 1) {
    made.level = static_cast<engine::durability>(in_.number(1));
    made.spec.max_attempts = static_cast<std::uint32_t>(in_.number(2));
    made.spec.backoff = {};
    unpack_backoff(in_.counted(1), made.spec.backoff);
  }
  return out;
}

engine::job_changed hot_decoder::acked(const ack_job& step) {
  engine::job_changed out{.id = step.id, .status = engine::job_status::completed};
  out.attempts = static_cast<std::uint32_t>(in_.number(2));
  out.cancel_requested = in_.number(1) == 1;
  out.run_at = from_micros(in_.distance());
  return out;
}

engine::jobs_leased hot_decoder::leased(const lease_jobs& step) {
  engine::jobs_leased out;
  const std::int64_t next = in_.distance();
  if (next != nothing) out.next_at = from_micros(next);
  const engine::queue_key& queue = step.queues.front();
  for (std::int64_t left = in_.number(4); left > 0 && !in_.failed(); --left) {
    engine::leased_job& one = out.jobs.emplace_back();
    one.what.queue = queue;
    one.what.id = {.tag = std::string(routing_tag(queue.name)),
                   .stamp = static_cast<std::uint64_t>(in_.number(7))};
    unpack_record(in_.counted(4), one.what);
    one.token = one.what.token;
    if (one.what.leased_until) one.leased_until = *one.what.leased_until;
    if (one.token == 0) in_.fail();
  }
  return out;
}

engine::commit_result hot_decoder::next(const engine::transaction& asked) {
  const std::int64_t refused = in_.number(1);
  if (refused != 0) {
    error why = refused_as(in_.counted(1));
    const auto at = static_cast<std::size_t>(in_.number(2));
    if (in_.failed()) return std::unexpected(engine::refusal{bad_answer(), 0});
    return std::unexpected(engine::refusal{std::move(why), at});
  }
  engine::committed done{.level = std::min(asked.level, strongest_)};
  done.outcomes.reserve(asked.steps.size());
  for (const engine::step& each : asked.steps) {
    if (const auto* const step = std::get_if<enqueue_job>(&each)) {
      engine::job_enqueued out = made(*step);
      done.level = std::max(done.level, out.made.level);
      done.outcomes.emplace_back(std::move(out));
    } else if (const auto* const ack = std::get_if<ack_job>(&each)) {
      done.outcomes.emplace_back(acked(*ack));
    } else {
      done.outcomes.emplace_back(leased(std::get<lease_jobs>(each)));
    }
  }
  if (in_.failed()) return std::unexpected(engine::refusal{bad_answer(), 0});
  return done;
}

}  // namespace millrace::engine_redis
