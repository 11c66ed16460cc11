#include "model_state.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/engine/checks.hpp>

#include <utility>
#include <variant>

namespace millrace::model {

using engine::refusal;

namespace {

std::array<std::string, 3> name_of(const engine::idempotency_key& key) {
  return {key.project, key.route, key.key};
}

}  // namespace

std::vector<stamp> model_state::addressed_by(const engine::step& what) const {
  std::vector<stamp> out;
  const auto add = [&](const job_record* job) {
    if (job != nullptr) out.push_back(job->what.id.stamp);
  };
  if (const auto* enqueue = std::get_if<engine::enqueue_job>(&what)) {
    add(unique_holder(enqueue->queue, enqueue->spec));
  } else if (const auto* cron = std::get_if<engine::fire_cron>(&what)) {
    const auto at = crons_.find({cron->project, cron->name});
    if (at == crons_.end() || cron->pass_over) return out;
    const engine::cron_entry& entry = at->second;
    const job_record* before = predecessor(entry);
    const job_record* holder = unique_holder({entry.project, entry.queue}, entry.job);
    add(before);
    if (holder != before) add(holder);
  } else {
    std::visit(
        [&](const auto& step) {
          if constexpr (requires { step.id; }) add(find(step.id));
        },
        what);
  }
  return out;
}

std::expected<plan, refusal> model_state::check_all(const engine::transaction& what) const {
  plan with{.level = what.level};
  for (std::size_t i = 0; i < what.steps.size(); ++i) {
    for (const stamp id : addressed_by(what.steps[i])) {
      if (with.addressed.insert(id).second) continue;
      return std::unexpected(
          refusal{error{errc::invalid_argument, "duplicate_target",
                        "Two steps of the transaction address the same job.", "", std::nullopt},
                  i});
    }
    refused why = std::visit([&](const auto& step) { return check(step, with); }, what.steps[i]);
    if (why) return std::unexpected(refusal{std::move(*why), i});
  }
  return with;
}

std::optional<engine::commit_result> model_state::replay(const engine::transaction& what) const {
  if (!what.idempotency) return std::nullopt;
  const auto refuse = [](errc kind, std::string_view code, std::string detail) {
    return std::unexpected(refusal{error{kind, code, std::move(detail), "", std::nullopt}, 0});
  };
  const auto at = idempotency_.find(name_of(*what.idempotency));
  if (at == idempotency_.end()) {
    if (idempotency_.size() < limits_.idempotency_keys_max) return std::nullopt;
    auto full = refuse(errc::unavailable, "idempotency_store_full",
                       "The store keeps as many idempotency keys as it can.");
    full.error().why.retry_after = std::chrono::minutes{1};
    return full;
  }
  if (at->second.fingerprint != what.idempotency->fingerprint) {
    return refuse(errc::invalid_argument, "idempotency_mismatch",
                  "The idempotency key was used with another request.");
  }
  engine::committed answer = at->second.answer;
  for (engine::outcome& one : answer.outcomes) refresh(one);
  answer.replayed = true;
  return answer;
}

void model_state::refresh(engine::job& kept) const {
  const job_record* job = find(kept.id);
  kept = job != nullptr ? job->what : engine::job{.id = kept.id};
}

void model_state::refresh(engine::outcome& kept) const {
  if (auto* enqueued = std::get_if<engine::job_enqueued>(&kept)) {
    refresh(enqueued->made);
  } else if (auto* leased = std::get_if<engine::jobs_leased>(&kept)) {
    for (engine::leased_job& one : leased->jobs) refresh(one.what);
  } else if (auto* stored = std::get_if<engine::cache_stored>(&kept)) {
    stored->evicted.clear();
  }
}

engine::commit_result model_state::commit(const engine::transaction& what) {
  if (auto why = engine::check_transaction(what)) return std::unexpected(std::move(*why));
  if (auto before = replay(what)) return std::move(*before);
  const auto checked = check_all(what);
  if (!checked) return std::unexpected(checked.error());

  engine::committed done{.level = engine::durability::memory};
  for (const engine::step& step : what.steps) {
    done.outcomes.push_back(
        std::visit([&](const auto& one) { return apply(one, *checked); }, step));
  }
  trim_finished();
  if (what.idempotency) {
    idempotency_[name_of(*what.idempotency)] = {
        .fingerprint = what.idempotency->fingerprint, .made_at = now_, .answer = done};
    happens_at(now_ + engine::idempotency_kept);
  }
  return done;
}

}  // namespace millrace::model
