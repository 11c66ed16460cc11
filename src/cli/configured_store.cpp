#include "configured_store.hpp"

#include <millrace/engine/async.hpp>

#include <algorithm>
#include <utility>
#include <variant>

namespace millrace::cli {
namespace {

template <class Value>
void replace_default(Value& held, const Value& built_in, const Value& wanted) {
  if (held == built_in) held = wanted;
}

engine::transaction make_queues(const std::vector<engine::queue_key>& keys,
                                const engine::queue_settings& settings, engine::durability level) {
  engine::transaction made{.level = level};
  for (const engine::queue_key& key : keys) {
    made.steps.emplace_back(engine::configure_queue{.queue = key, .settings = settings});
  }
  return made;
}

}  // namespace

configured_store::configured_store(engine::store& beneath, store_defaults defaults)
    : beneath_(beneath),
      defaults_(defaults),
      queues_have_defaults_(defaults_.queue != engine::queue_settings{}) {}

result<void> configured_store::prepare() {
  if (!queues_have_defaults_) return {};
  engine::list_queues listing;
  do {
    auto page = engine::blocking::ask(beneath_, listing);
    if (!page) return std::unexpected(std::move(page.error()));
    for (const engine::queue_info& queue : page->items) {
      if (auto prepared = prepare_queue(queue); !prepared) return prepared;
    }
    listing.cursor = std::move(page->cursor);
  } while (!listing.cursor.empty());
  return {};
}

result<void> configured_store::prepare_queue(const engine::queue_info& queue) {
  const engine::queue_settings built_in;
  engine::queue_settings wanted = queue.settings;
  replace_default(wanted.keep_dead, built_in.keep_dead, defaults_.queue.keep_dead);
  replace_default(wanted.keep_finished, built_in.keep_finished, defaults_.queue.keep_finished);
  replace_default(wanted.depth_max, built_in.depth_max, defaults_.queue.depth_max);
  {
    const std::lock_guard lock{guard_};
    seen_.insert(queue.queue);
  }
  if (wanted == queue.settings) return {};
  auto done =
      engine::blocking::commit(beneath_, make_queues({queue.queue}, wanted, traits().strongest));
  if (!done) return std::unexpected(std::move(done.error().why));
  return {};
}

void configured_store::submit(std::vector<engine::transaction> batch, commit_handler done) {
  for (engine::transaction& one : batch) {
    for (engine::step& step : one.steps) {
      // What the step holds counts where the queue has no setting of its own.
      if (auto* enqueue = std::get_if<engine::enqueue_job>(&step)) {
        if (enqueue->default_attempts) enqueue->spec.max_attempts = defaults_.max_attempts;
        if (enqueue->default_backoff) enqueue->spec.backoff = defaults_.backoff;
      } else if (auto* cron = std::get_if<engine::put_cron>(&step)) {
        if (cron->entry.default_attempts) cron->entry.job.max_attempts = defaults_.max_attempts;
        if (cron->entry.default_backoff) cron->entry.job.backoff = defaults_.backoff;
      }
    }
  }
  std::vector<engine::queue_key> fresh;
  if (queues_have_defaults_) fresh = fresh_queues(batch);
  if (fresh.empty()) {
    beneath_.submit(std::move(batch), std::move(done));
    return;
  }
  batch.insert(batch.begin(), make_queues(fresh, defaults_.queue, traits().strongest));
  beneath_.submit(std::move(batch), [this, fresh = std::move(fresh), done = std::move(done)](
                                        std::vector<engine::commit_result> results) mutable {
    if (!results.front()) forget(fresh);
    results.erase(results.begin());
    done(std::move(results));
  });
}

void configured_store::ask(engine::query what, answer_handler done) {
  beneath_.ask(std::move(what), std::move(done));
}

std::vector<engine::queue_key> configured_store::fresh_queues(
    const std::vector<engine::transaction>& batch) {
  std::vector<engine::queue_key> fresh;
  const std::lock_guard lock{guard_};
  for (const engine::transaction& one : batch) {
    for (const engine::step& step : one.steps) note_queues(step, fresh);
  }
  return fresh;
}

void configured_store::note_queues(const engine::step& step,
                                   std::vector<engine::queue_key>& fresh) {
  const auto note = [this, &fresh](const engine::queue_key& key) {
    if (seen_.insert(key).second) fresh.push_back(key);
  };
  if (const auto* enqueue = std::get_if<engine::enqueue_job>(&step)) {
    note(enqueue->queue);
  } else if (const auto* lease = std::get_if<engine::lease_jobs>(&step)) {
    std::ranges::for_each(lease->queues, note);
  } else if (const auto* cron = std::get_if<engine::put_cron>(&step)) {
    note({.project = cron->entry.project, .name = cron->entry.queue});
  } else if (const auto* configure = std::get_if<engine::configure_queue>(&step)) {
    // Settings that come with it are what somebody wants; a pause alone says nothing about them.
    if (configure->settings) {
      seen_.insert(configure->queue);
    } else {
      note(configure->queue);
    }
  }
}

void configured_store::forget(const std::vector<engine::queue_key>& queues) {
  const std::lock_guard lock{guard_};
  for (const engine::queue_key& key : queues) seen_.erase(key);
}

}  // namespace millrace::cli
