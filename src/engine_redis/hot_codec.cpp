#include "hot_codec.hpp"

#include "job_codec.hpp"

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
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
constexpr int kind_row_of_runs = 3;
constexpr int kind_row_of_jobs = 4;
constexpr int kind_carried = 5;

constexpr std::size_t hot_steps_max = 1000;
/// Of an id as text.
constexpr std::size_t id_digits = 16;
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

/// A transaction that makes one job.
const enqueue_job* one_job(const engine::transaction& what) {
  return what.steps.size() == 1 ? std::get_if<enqueue_job>(&what.steps.front()) : nullptr;
}

/// A transaction in which one run ends, one begins, or both.
struct one_run {
  const ack_job* ack{nullptr};
  const lease_jobs* lease{nullptr};
};
std::optional<one_run> as_one_run(const engine::transaction& what) {
  if (what.steps.empty() || what.steps.size() > 2) return std::nullopt;
  one_run out{std::get_if<ack_job>(&what.steps.front()),
              std::get_if<lease_jobs>(&what.steps.back())};
  const std::size_t steps = (out.ack != nullptr ? 1U : 0U) + (out.lease != nullptr ? 1U : 0U);
  if (steps != what.steps.size() || (out.lease != nullptr && out.lease->max != 1)) {
    return std::nullopt;
  }
  return out;
}

bool in_one_row(const one_run& one, const one_run& other) {
  if ((one.ack == nullptr) != (other.ack == nullptr)) return false;
  if ((one.lease == nullptr) != (other.lease == nullptr)) return false;
  if (one.ack != nullptr && one.ack->id.tag != other.ack->id.tag) return false;
  return one.lease == nullptr ||
         (one.lease->queues == other.lease->queues && one.lease->lease == other.lease->lease);
}

/// Whether both are written down as one.
bool in_one_row(const engine::transaction& one, const engine::transaction& other) {
  if (const enqueue_job* const job = one_job(one)) {
    const enqueue_job* const its_job = one_job(other);
    return its_job != nullptr && its_job->queue == job->queue;
  }
  const auto run = as_one_run(one);
  const auto its_run = as_one_run(other);
  return run && its_run && in_one_row(*run, *its_run);
}

bool may_be_in_row(const engine::transaction& what) {
  return one_job(what) != nullptr || as_one_run(what).has_value();
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
  if (may_be_in_row(what)) return add_to_row(what);
  end_row();
  if (std::holds_alternative<enqueue_job>(what.steps.front())) {
    add_jobs(what);
  } else {
    add_runs(what);
  }
}

void hot_encoder::add_to_row(const engine::transaction& what) {
  if (row_.like == nullptr || !in_one_row(*row_.like, what)) {
    end_row();
    row_.like = &what;
  }
  ++row_.count;
  if (const enqueue_job* const job = one_job(what)) {
    row_.carried.push_back(job->spec.correlation_id);
    return add_job(row_.body, *job);
  }
  const one_run run = *as_one_run(what);
  if (run.ack != nullptr) add_run_id(row_.body, *run.ack);
  if (run.lease != nullptr) ++asked_;
  put_text(row_.body, run.lease != nullptr ? std::string_view(run.lease->worker) : "", 1);
}

void hot_encoder::end_row() {
  if (row_.like == nullptr) return;
  add_carried(row_.carried);
  ++parts_;
  const auto begin = [&](int kind, std::size_t queue) {
    put_number(body_, kind, 1);
    put_number(body_, static_cast<std::int64_t>(queue), 2);
    put_number(body_, static_cast<std::int64_t>(row_.count), 2);
  };
  if (const enqueue_job* const job = one_job(*row_.like)) {
    begin(kind_row_of_jobs, call_.number_of(job->queue));
  } else {
    const one_run run = *as_one_run(*row_.like);
    const bool leases = run.lease != nullptr;
    begin(kind_row_of_runs, leases ? call_.number_of(run.lease->queues.front()) : 0);
    put_number(body_, (run.ack != nullptr ? 1 : 0) + (leases ? 2 : 0), 1);
    put_number(body_, leases ? run.lease->lease.count() : 0, 6);
    put_text(body_, run.ack != nullptr ? std::string_view(run.ack->id.tag) : "", 1);
  }
  body_ += row_.body;
  row_ = {};
}

// Where there is anything: of the jobs of the part that follows.
void hot_encoder::add_carried(const std::vector<std::string_view>& ids) {
  if (std::ranges::all_of(ids, &std::string_view::empty)) return;
  ++parts_;
  put_number(body_, kind_carried, 1);
  put_number(body_, std::ssize(ids), 2);
  for (const std::string_view id : ids) put_text(body_, id, 2);
}

void hot_encoder::add_jobs(const engine::transaction& what) {
  std::vector<std::string_view> carried;
  for (const engine::step& each : what.steps) {
    carried.push_back(std::get<enqueue_job>(each).spec.correlation_id);
  }
  add_carried(carried);
  ++parts_;
  put_number(body_, kind_jobs, 1);
  const engine::queue_key& queue = std::get<enqueue_job>(what.steps.front()).queue;
  put_number(body_, static_cast<std::int64_t>(call_.number_of(queue)), 2);
  put_number(body_, std::ssize(what.steps), 2);
  for (const engine::step& each : what.steps) add_job(body_, std::get<enqueue_job>(each));
}

void hot_encoder::add_job(std::string& out, const enqueue_job& step) const {
  const int left = (step.default_attempts ? 1 : 0) + (step.default_backoff ? 2 : 0) +
                   (step.default_level ? 4 : 0);
  put_number(out, left, 1);
  put_number(out, step.spec.priority, 1);
  put_text(out, pack_record(step.spec, std::min(step.level, strongest_)), 4);
}

void hot_encoder::add_runs(const engine::transaction& what) {
  ++parts_;
  const bool leases = std::holds_alternative<lease_jobs>(what.steps.back());
  const std::size_t acks = what.steps.size() - (leases ? 1 : 0);
  put_number(body_, kind_runs, 1);
  put_number(body_, static_cast<std::int64_t>(acks), 2);
  put_number(body_, leases ? 1 : 0, 1);
  for (std::size_t i = 0; i < acks; ++i) add_ack(std::get<ack_job>(what.steps[i]));
  if (leases) add_lease(std::get<lease_jobs>(what.steps.back()));
}

void hot_encoder::add_ack(const ack_job& step) {
  put_text(body_, step.id.tag, 1);
  add_run_id(body_, step);
}

void hot_encoder::add_run_id(std::string& out, const ack_job& step) {
  put_number(out, static_cast<std::int64_t>(step.id.stamp), 7);
  fmt::format_to(std::back_inserter(out), "{:016}", step.id.stamp);
  put_number(out, static_cast<std::int64_t>(step.token), 7);
  put_text(out, packed_result(step), 4);
}

void hot_encoder::add_lease(const lease_jobs& step) {
  asked_ += step.max;
  put_number(body_, static_cast<std::int64_t>(call_.number_of(step.queues.front())), 2);
  put_number(body_, step.max, 4);
  put_number(body_, step.lease.count(), 6);
  put_text(body_, step.worker, 1);
}

std::string hot_encoder::take() {
  end_row();
  std::string out;
  out.reserve(9 + bytes());
  put_number(out, kind_many, 1);
  for (const std::size_t each : {parts_, std::min<std::size_t>(asked_, 1U << 20U)}) {
    put_number(out, static_cast<std::int64_t>(each), 4);
  }
  out.append(body_);
  body_.clear();
  count_ = parts_ = asked_ = 0;
  return out;
}

hot_decoder::hot_decoder(const redis::reply_view& answered, engine::durability strongest)
    : in_(answered.is_aggregate() && answered.size() > 0 ? answered[0].text() : answered.text()),
      strongest_(strongest),
      now_(from_micros(in_.distance())) {
  records_.reserve(answered.size());
  for (const redis::reply_view& each : answered) records_.push_back(each.text());
  if (!records_.empty()) next_record_ = 1;
}

hot_decoder::made_jobs hot_decoder::begin_jobs() {
  const bool had_a_say = in_.number(1) == 1;
  return {had_a_say, static_cast<std::uint64_t>(in_.number(7))};
}

engine::job_enqueued hot_decoder::made(const enqueue_job& step, made_jobs& from) {
  // An id, when it became available, its version.
  constexpr std::uint64_t stamps = 3;
  engine::job_enqueued out;
  engine::job& made = out.made;
  made.spec = step.spec;
  made.queue = step.queue;
  made.id = {.tag = std::string(routing_tag(step.queue.name)), .stamp = from.next_id};
  from.next_id += stamps;
  made.created_at = made.run_at = now_;
  made.version = made.id.stamp + 2;
  made.level = std::min(step.level, strongest_);
  if (from.had_a_say && in_.number(1) == 1) {
    made.level = static_cast<engine::durability>(in_.number(1));
    made.spec.max_attempts = static_cast<std::uint32_t>(in_.number(2));
    made.spec.backoff = {};
    unpack_backoff(in_.counted(1), made.spec.backoff);
  }
  return out;
}

engine::job_changed hot_decoder::acked(fields& in, const ack_job& step, std::int64_t attempts) {
  engine::job_changed out{.id = step.id, .status = engine::job_status::completed};
  out.attempts = static_cast<std::uint32_t>(attempts);
  out.cancel_requested = in.number(1) == 1;
  out.run_at = from_micros(in.distance());
  return out;
}

engine::leased_job hot_decoder::leased_one(const lease_jobs& step) {
  engine::leased_job one;
  const engine::queue_key& queue = step.queues.front();
  one.what.queue = queue;
  one.what.id = {.tag = std::string(routing_tag(queue.name)), .stamp = in_.digits(id_digits)};
  one.token = static_cast<std::uint64_t>(in_.number(7));
  begun_run run{.token = one.token, .worker = step.worker, .started_at = now_};
  run.attempts = static_cast<std::uint32_t>(in_.number(2));
  run.leased_until = one.leased_until = from_micros(in_.distance());
  if (next_record_ == records_.size() || !unpack_record(records_[next_record_++], one.what)) {
    in_.fail();
  }
  note_run(run, one.what);
  return one;
}

engine::jobs_leased hot_decoder::leased(const lease_jobs& step) {
  engine::jobs_leased out;
  const std::int64_t next = in_.distance();
  if (next != nothing) out.next_at = from_micros(next);
  for (std::int64_t left = in_.number(4); left > 0 && !in_.failed(); --left) {
    out.jobs.push_back(leased_one(step));
  }
  return out;
}

engine::refusal hot_decoder::refused(fields& in) const {
  error why = refused_as(in.counted(1));
  const auto at = static_cast<std::size_t>(in.number(2));
  if (in.failed()) return {bad_answer(), 0};
  return {std::move(why), at};
}

engine::commit_result hot_decoder::next(const engine::transaction& asked) {
  const bool goes_on = row_ != nullptr && in_one_row(*row_, asked);
  if (!goes_on) row_ = may_be_in_row(asked) ? &asked : nullptr;
  const bool of_jobs = row_ != nullptr && one_job(asked) != nullptr;
  engine::commit_result out = row_ == nullptr ? read(asked)
                              : of_jobs       ? read_of_jobs(asked, !goes_on)
                                              : read_of_runs(asked, !goes_on);
  if (in_.failed() || acks_.failed()) {
    return std::unexpected(engine::refusal{bad_answer(), 0});
  }
  return out;
}

engine::commit_result hot_decoder::read_of_jobs(const engine::transaction& asked, bool first) {
  if (first) {
    left_ = in_.number(2);
    why_ = in_.counted(1);
    made_ = begin_jobs();
  }
  if (left_ == 0) return std::unexpected(engine::refusal{refused_as(why_), 0});
  --left_;
  engine::committed done{.level = std::min(asked.level, strongest_)};
  engine::job_enqueued one = made(std::get<enqueue_job>(asked.steps.front()), made_);
  done.level = std::max(done.level, one.made.level);
  done.outcomes.emplace_back(std::move(one));
  return done;
}

engine::commit_result hot_decoder::read_of_runs(const engine::transaction& asked, bool first) {
  const one_run run = *as_one_run(asked);
  if (first) {
    // Behind the acknowledgements come the leases.
    if (run.ack != nullptr) acks_ = fields(in_.counted(4));
    if (run.lease != nullptr) {
      left_ = in_.number(2);
      next_at_ = in_.distance();
    }
  }
  engine::committed done{.level = std::min(asked.level, strongest_)};
  done.outcomes.reserve(2);
  if (run.ack != nullptr) {
    const std::int64_t attempts = acks_.number(2);
    if (attempts == 0) return std::unexpected(engine::refusal{refused_as(acks_.counted(1)), 0});
    done.outcomes.emplace_back(acked(acks_, *run.ack, attempts));
  }
  if (run.lease == nullptr) return done;
  if (left_ == 0) {
    done.outcomes.emplace_back(leased(*run.lease));
    return done;
  }
  --left_;
  engine::jobs_leased out;
  if (next_at_ != nothing) out.next_at = from_micros(next_at_);
  out.jobs.push_back(leased_one(*run.lease));
  done.outcomes.emplace_back(std::move(out));
  return done;
}

engine::commit_result hot_decoder::read(const engine::transaction& asked) {
  if (in_.number(1) != 0) return std::unexpected(refused(in_));
  engine::committed done{.level = std::min(asked.level, strongest_)};
  done.outcomes.reserve(asked.steps.size());
  if (std::holds_alternative<enqueue_job>(asked.steps.front())) made_ = begin_jobs();
  for (const engine::step& each : asked.steps) {
    if (const auto* const step = std::get_if<enqueue_job>(&each)) {
      engine::job_enqueued out = made(*step, made_);
      done.level = std::max(done.level, out.made.level);
      done.outcomes.emplace_back(std::move(out));
    } else if (const auto* const ack = std::get_if<ack_job>(&each)) {
      done.outcomes.emplace_back(acked(in_, *ack, in_.number(2)));
    } else {
      done.outcomes.emplace_back(leased(std::get<lease_jobs>(each)));
    }
  }
  return done;
}

}  // namespace millrace::engine_redis
