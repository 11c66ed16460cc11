#pragma once

#include <millrace/base/backoff.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <cstdint>
#include <mutex>
#include <set>
#include <vector>

namespace millrace::cli {

/// What the configuration says about jobs and queues that say nothing themselves.
struct store_defaults {
  /// Of a job in a queue that says nothing either.
  std::uint32_t max_attempts{4};
  backoff_spec backoff;
  /// What a queue is given at its first use.
  engine::queue_settings queue;
};

/// A store under which what nobody has said is as the configuration says.
///
/// A queue that was there before keeps its settings, but for retention and depth where those are
/// the built-in ones: whoever changes the configuration means those queues too.
///
/// Threading and lifetime: as the store beneath, which must outlive it.
/// Cost: for each step a look at its kind; where queues have defaults, a look-up of its queue too.
class configured_store final : public engine::store {
public:
  configured_store(engine::store& beneath, store_defaults defaults);

  /// Gives the queues that there are their defaults. Blocks; call once, before the store is used.
  [[nodiscard]] result<void> prepare();

  void submit(std::vector<engine::transaction> batch, commit_handler done) override;
  void ask(engine::query what, answer_handler done) override;
  [[nodiscard]] engine::wakeups& hints() noexcept override { return beneath_.hints(); }
  [[nodiscard]] engine::store_traits traits() const noexcept override { return beneath_.traits(); }

private:
  /// Adds the queues of a step that have not been seen to `fresh`. Requires: the lock.
  void note_queues(const engine::step& step, std::vector<engine::queue_key>& fresh);
  [[nodiscard]] std::vector<engine::queue_key> fresh_queues(
      const std::vector<engine::transaction>& batch);
  void forget(const std::vector<engine::queue_key>& queues);
  [[nodiscard]] result<void> prepare_queue(const engine::queue_info& queue);

  engine::store& beneath_;
  const store_defaults defaults_;
  const bool queues_have_defaults_;

  std::mutex guard_;
  /// Queues that exist, or are made by something that is under way. At most `queues_max` of them
  /// exist. Guarded by `guard_`.
  std::set<engine::queue_key> seen_;
};

}  // namespace millrace::cli
