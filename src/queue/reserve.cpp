#include "queue_order.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/queue/limits.hpp>
#include <millrace/queue/queue.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

namespace millrace {
namespace {

using engine::jobs_leased;
using engine::leased_job;
using steady = std::chrono::steady_clock;

engine::lease_jobs lease_step(const reserve_request& request) {
  engine::lease_jobs step{
      .queues = {}, .max = request.max, .lease = request.lease, .worker = request.worker};
  step.queues = in_weighted_order(request.queues);
  return step;
}

result<void> check_reserve(const reserve_request& request) {
  if (request.wait < duration{0} || request.wait > reserve_wait_max) {
    return invalid("wait", fmt::format("wait is 0 to {} seconds", reserve_wait_max.count()));
  }
  for (const auto& queue : request.queues) {
    if (queue.weight < 1 || queue.weight > queue_weight_max) {
      return invalid("queues", fmt::format("the weight of a queue is 1 to {}", queue_weight_max));
    }
  }
  return engine::check_step(lease_step(request));
}

std::vector<engine::topic> topics_of(const reserve_request& request) {
  std::vector<engine::topic> topics;
  topics.reserve(request.queues.size());
  for (const auto& [queue, weight] : request.queues) {
    topics.push_back(engine::queue_topic(queue.project, queue.name));
  }
  return topics;
}

// Nobody waits for the answer: whoever reserved has been cancelled. A lease that cannot be handed
// back, because the store is away, ends by itself.
void hand_back(engine::store& store, std::vector<leased_job> jobs) {
  if (jobs.empty()) return;
  std::vector<engine::transaction> batch;
  for (auto& job : jobs) {
    engine::transaction one{.steps = {}, .level = store.traits().strongest, .idempotency = {}};
    one.steps.emplace_back(
        engine::snooze_job{.id = std::move(job.what.id), .token = job.token, .delay = duration{0}});
    batch.push_back(std::move(one));
  }
  store.submit(std::move(batch), [](std::vector<engine::commit_result>) {});
}

result<jobs_leased> only_one(std::vector<engine::commit_result> results) {
  engine::commit_result& one = results.front();
  if (!one) return std::unexpected(std::move(one.error().why));
  return std::get<jobs_leased>(std::move(one->outcomes.front()));
}

// A look that begins on the thread that hints, so that no event loop has to wake up before the
// store is asked: a job that comes while somebody waits is on its way to them at once.
class hinted_look final : public std::enable_shared_from_this<hinted_look> {
public:
  hinted_look(engine::store& store, engine::lease_jobs step)
      : store_(store), step_(std::move(step)) {}

  void begin() {
    engine::transaction one{.steps = {}, .level = engine::durability::async, .idempotency = {}};
    one.steps.emplace_back(std::move(step_));
    std::vector<engine::transaction> batch;
    batch.push_back(std::move(one));
    store_.submit(std::move(batch), [self = shared_from_this()](auto results) {
      self->end(only_one(std::move(results)));
    });
  }

  // Until the look is answered, or for so long; one wait at a time.
  awaitable<void> wait(steady::duration longest) {
    const std::shared_ptr<hinted_look> self = shared_from_this();
    asio::steady_timer timer(co_await asio::this_coro::executor);
    const auto rest = [](auto handler, hinted_look* what, asio::steady_timer* until, auto span) {
      const std::lock_guard lock(what->mutex_);
      if (what->answer_) {
        asio::post(asio::append(std::move(handler), boost::system::error_code{}));
        return;
      }
      what->until_ = until;
      until->expires_after(span);
      until->async_wait(std::move(handler));
    };
    const resting guard(*this);
    co_await asio::async_initiate<const asio::as_tuple_t<asio::deferred_t>,
                                  void(boost::system::error_code)>(
        rest, asio::as_tuple(asio::deferred), this, &timer, longest);
  }

  [[nodiscard]] std::optional<result<jobs_leased>> take_answer() {
    const std::lock_guard lock(mutex_);
    return std::exchange(answer_, std::nullopt);
  }

  // Nobody waits any more: what it has leased, or will, is handed back.
  void abandon() {
    std::unique_lock lock(mutex_);
    abandoned_ = true;
    auto leased = std::exchange(answer_, std::nullopt);
    lock.unlock();
    if (leased && *leased) hand_back(store_, std::move((*leased)->jobs));
  }

private:
  // However the wait ends, be it with the event loop, its timer is not touched any more.
  class resting final {
  public:
    explicit resting(hinted_look& who) noexcept : who_(who) {}
    resting(const resting&) = delete;
    resting& operator=(const resting&) = delete;
    ~resting() {
      const std::lock_guard lock(who_.mutex_);
      who_.until_ = nullptr;
    }

  private:
    hinted_look& who_;
  };

  void end(result<jobs_leased> leased) {
    std::unique_lock lock(mutex_);
    if (!abandoned_) {
      answer_ = std::move(leased);
      if (until_ != nullptr) until_->cancel();
      return;
    }
    lock.unlock();
    if (leased) hand_back(store_, std::move(leased->jobs));
  }

  engine::store& store_;
  engine::lease_jobs step_;
  std::mutex mutex_;
  // Guarded by the mutex, as is what follows: of the wait that is under way.
  asio::steady_timer* until_{nullptr};
  std::optional<result<jobs_leased>> answer_;
  bool abandoned_{false};
};

// How long to wait before the next look that nobody asks for.
//
// The store itself hints at what becomes due; the waiter's own timer is the second line, and where
// many wait for one due time, all their timers go off while one of them gets the job. So whoever
// comes away empty from such a look leaves more room each time.
class own_looks final {
public:
  [[nodiscard]] steady::duration pause(std::optional<duration> until_due) {
    due_next_ = until_due && *until_due < reserve_safety_tick;
    if (!due_next_) return reserve_safety_tick;
    return std::clamp<steady::duration>(*until_due + slack_, std::chrono::milliseconds{1},
                                        reserve_safety_tick);
  }

  void came_away_empty(bool hinted) {
    if (!due_next_ || hinted) return;
    slack_ = std::clamp<std::chrono::milliseconds>(slack_ * 2, std::chrono::milliseconds{4},
                                                   reserve_slack_max);
  }

private:
  bool due_next_{false};
  std::chrono::milliseconds slack_{0};
};

// borrows: awaited in place
awaitable<result<std::optional<duration>>> time_until(engine::store& store,
                                                      std::optional<timestamp> moment) {
  if (!moment) co_return std::nullopt;
  const auto now = co_await engine::ask(store, engine::read_clock{});
  if (!now) co_return std::unexpected(now.error());
  co_return std::max(duration{0}, *moment - *now);
}

}  // namespace

awaitable<result<std::vector<leased_job>>> queues::reserve(reserve_request request) {
  if (auto ok = check_reserve(request); !ok) co_return std::unexpected(std::move(ok.error()));
  const auto cancelled = [](asio::cancellation_state state) {
    return state.cancelled() != asio::cancellation_type::none;
  };
  const auto deadline = steady::now() + request.wait;
  // Before the first look, so that no hint falls between a look and the wait.
  auto listener = store_.hints().listen(topics_of(request));
  own_looks looks;
  std::optional<result<jobs_leased>> leased;
  // Whoever is cancelled may not await again, so the state is asked for after every suspension.
  while (true) {
    const bool hinted = leased.has_value();
    if (!hinted) {
      leased = co_await engine::commit_step<jobs_leased>(store_, lease_step(request),
                                                         engine::durability::async);
      if (cancelled(co_await asio::this_coro::cancellation_state)) {
        if (*leased) hand_back(store_, std::move((*leased)->jobs));
        break;
      }
    }
    if (!*leased) co_return std::unexpected(std::move(leased->error()));
    if (std::vector<leased_job>& jobs = (*leased)->jobs; !jobs.empty()) {
      // Full hands may have left something behind in another queue, whose hint is then not used up.
      const bool all_taken = request.queues.size() == 1 || jobs.size() < request.max;
      if (all_taken) listener.consume();
      co_return std::move(jobs);
    }
    looks.came_away_empty(hinted);

    if (steady::now() >= deadline) co_return std::vector<leased_job>{};
    const auto until_due = co_await time_until(store_, (*leased)->next_at);
    if (cancelled(co_await asio::this_coro::cancellation_state)) break;
    if (!until_due) co_return std::unexpected(until_due.error());
    const auto left = std::max(deadline - steady::now(), steady::duration::zero());
    const auto look = std::make_shared<hinted_look>(store_, lease_step(request));
    listener.call_at_hint([look] { look->begin(); });
    co_await look->wait(std::min(left, looks.pause(*until_due)));
    leased = look->take_answer();
    const bool begun = leased || !listener.call_off();
    if (begun && !leased && !cancelled(co_await asio::this_coro::cancellation_state)) {
      // The store answers soon.
      co_await look->wait(std::chrono::hours{1});
      leased = look->take_answer();
    }
    if (cancelled(co_await asio::this_coro::cancellation_state)) {
      if (leased && *leased) hand_back(store_, std::move((*leased)->jobs));
      if (begun) look->abandon();
      break;
    }
  }
  co_return millrace::fail(errc::cancelled, "reserve_cancelled", "the reserve was cancelled");
}

}  // namespace millrace
