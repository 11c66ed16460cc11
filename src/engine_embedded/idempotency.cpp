#include "group_writer.hpp"
#include "spec_json.hpp"

#include <millrace/engine/limits.hpp>

#include <sqlite3.h>

#include <utility>
#include <variant>

namespace millrace::embedded {

std::optional<engine::commit_result> group_writer::replay(const engine::transaction& what) {
  if (!what.idempotency) return std::nullopt;
  const auto refuse = [](errc kind, std::string_view code, std::string detail) {
    return std::unexpected(
        engine::refusal{error{kind, code, std::move(detail), "", std::nullopt}, 0});
  };
  const engine::idempotency_key& key = *what.idempotency;
  find_key_.put(key.project).put(key.route).put(key.key);
  const reset_after reset(find_key_);
  const bool found =
      find_key_.row() && from_micros(find_key_.integer(1)) + engine::idempotency_kept > now_;
  if (!found) {
    if (memory_->idempotency.size() < engine::idempotency_keys_max) return std::nullopt;
    auto full = refuse(errc::unavailable, "idempotency_store_full",
                       "The store keeps as many idempotency keys as it can.");
    full.error().why.retry_after = std::chrono::minutes{1};
    return full;
  }
  if (find_key_.natural(2) != key.fingerprint) {
    return refuse(errc::invalid_argument, "idempotency_mismatch",
                  "The idempotency key was used with another request.");
  }
  engine::committed answer{.level = static_cast<engine::durability>(find_key_.integer(3)),
                           .replayed = true};
  result<std::vector<engine::outcome>> outcomes = outcomes_from_json(find_key_.text(4));
  if (!outcomes) {
    db_->note(SQLITE_CORRUPT);
    return refuse(errc::unavailable, "storage_error", outcomes.error().detail);
  }
  answer.outcomes = std::move(*outcomes);
  for (engine::outcome& one : answer.outcomes) {
    if (auto* enqueued = std::get_if<engine::job_enqueued>(&one)) {
      refresh(enqueued->made);
    } else if (auto* leased = std::get_if<engine::jobs_leased>(&one)) {
      for (engine::leased_job& each : leased->jobs) refresh(each.what);
    }
  }
  return answer;
}

void group_writer::refresh(engine::job& kept) {
  if (std::optional<engine::job> job = view(kept.id)) kept = std::move(*job);
}

void group_writer::keep_answer(const engine::idempotency_key& key,
                               const engine::committed& answer) {
  const std::string outcomes = outcomes_to_json(answer.outcomes);
  const std::uint64_t stamp = stamps_.next(now_);
  static_cast<void>(to_write());
  insert_key_.put(stamp).put(now_).put(key.project).put(key.route).put(key.key);
  insert_key_.put(key.fingerprint).put(static_cast<int>(answer.level)).put(outcomes).run();
  memory_->idempotency.push_back({stamp, now_});
}

void group_writer::forget_keys() {
  constexpr int forgotten_max = 256;
  auto& keys = memory_->idempotency;
  for (int i = 0; i < forgotten_max && !keys.empty(); ++i) {
    if (keys.front().made_at + engine::idempotency_kept > now_) break;
    static_cast<void>(to_write());
    delete_key_.put(keys.front().stamp).run();
    keys.pop_front();
  }
}

}  // namespace millrace::embedded
