#include "store_pulse.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/engine/async.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace millrace::cache {
namespace {

using moment = answer_count::moment;
using std::chrono::microseconds;

/// So much longer than mostly is no silence.
constexpr std::int64_t slower_than_mostly = 4;
/// Where this process was kept waiting itself, the answer may be there and not seen yet.
constexpr microseconds second_look{500};

std::int64_t micros_of(moment at) noexcept {
  return std::chrono::duration_cast<microseconds>(at.time_since_epoch()).count();
}

error silent_store() {
  return {errc::unavailable, "store_silent",
          "The store has not answered in the time that a reader of the cache waits for it.", "",
          std::chrono::seconds{1}};
}

// The first of an answer and of silence, brought to the executor of the caller.
template <class Answer, class Handler>
class race final : public std::enable_shared_from_this<race<Answer, Handler>> {
public:
  using late_answer = std::function<void(Answer)>;

  race(Handler handler, std::shared_ptr<answer_count> count, duration patience, Answer silence,
       late_answer late)
      : count_(std::move(count)),
        patience_(patience),
        silence_(std::move(silence)),
        late_(std::move(late)),
        executor_(asio::prefer(asio::get_associated_executor(handler),
                               asio::execution::outstanding_work.tracked)),
        timer_(std::in_place, executor_),
        handler_(std::move(handler)) {}

  // On any thread.
  void answer(Answer given) {
    if (won_.exchange(true)) {
      if (late_) late_(std::move(given));
      return;
    }
    {
      const std::scoped_lock held(mutex_);
      if (timer_) timer_->cancel();
    }
    finish(std::move(given));
  }

  void wait(duration span) {
    const std::scoped_lock held(mutex_);
    timer_->expires_after(span);
    timer_->async_wait(
        [self = this->shared_from_this()](const boost::system::error_code&) { self->look(); });
  }

private:
  void look() {
    if (!won_) {
      const duration left = count_->until_silent(patience_, std::chrono::steady_clock::now());
      if (left > duration{0}) return wait(left);
      if (!std::exchange(looked_, true)) return wait(second_look);
      if (!won_.exchange(true)) finish(std::move(silence_));
    }
    // The store may keep this object longer than there is an event loop.
    const std::scoped_lock held(mutex_);
    timer_.reset();
  }

  void finish(Answer with) {
    asio::post(executor_, [handler = std::move(handler_), with = std::move(with)]() mutable {
      std::move(handler)(std::move(with));
    });
    executor_ = asio::any_io_executor();
  }

  const std::shared_ptr<answer_count> count_;
  const duration patience_;
  Answer silence_;
  const late_answer late_;
  asio::any_io_executor executor_;
  // Guards the timer.
  std::mutex mutex_;
  std::optional<asio::steady_timer> timer_;
  Handler handler_;
  std::atomic<bool> won_{false};
  bool looked_{false};
};

bool was_served(const result<engine::answer>& given) { return given.has_value(); }

// A refusal is an answer of the store too.
bool was_served(const engine::commit_result& given) {
  return given || given.error().why.kind != errc::unavailable;
}

/// What is asked, how long it is waited for, and what is said otherwise.
template <class Answer>
struct question {
  std::shared_ptr<answer_count> count;
  duration patience{0};
  Answer silence;
  std::function<void(Answer)> late;
};

// `begin(done)` hands the question to the store.
template <class Answer, class Begin>
auto first_of(question<Answer> what, Begin begin) {
  return asio::async_initiate<const asio::deferred_t, void(Answer)>(
      []<class Handler>(Handler&& handler, question<Answer> of, Begin begins) {
        using running = race<Answer, std::decay_t<Handler>>;
        const auto at = std::chrono::steady_clock::now();
        auto count = of.count;
        auto one = std::make_shared<running>(std::forward<Handler>(handler), count, of.patience,
                                             std::move(of.silence), std::move(of.late));
        count->asked(at);
        one->wait(std::max<duration>(count->until_silent(of.patience, at), microseconds{1}));
        begins([one, count = std::move(count), at](Answer given) {
          count->answered(at, std::chrono::steady_clock::now(), was_served(given));
          one->answer(std::move(given));
        });
      },
      asio::deferred, std::move(what), std::move(begin));
}

}  // namespace

// ---- answer_count

void answer_count::asked(moment now) noexcept {
  if (open_.fetch_add(1, std::memory_order_relaxed) == 0) {
    heard_us_.store(micros_of(now), std::memory_order_relaxed);
  }
}

void answer_count::answered(moment asked_at, moment now, bool served) noexcept {
  open_.fetch_sub(1, std::memory_order_relaxed);
  heard_us_.store(micros_of(now), std::memory_order_relaxed);
  if (!served) return;
  const std::int64_t took = std::max<std::int64_t>(1, micros_of(now) - micros_of(asked_at));
  const std::int64_t before = mostly_us_.load(std::memory_order_relaxed);
  // One that was stopped for a while does not make it slow.
  const std::int64_t counts = std::min(took, slower_than_mostly * before);
  const std::int64_t mostly = before == 0 ? took : before + (counts - before) / 8;
  mostly_us_.store(std::max<std::int64_t>(1, mostly), std::memory_order_relaxed);
}

duration answer_count::until_silent(duration patience, moment now) const noexcept {
  const duration longest = std::max<duration>(
      patience, microseconds{slower_than_mostly * mostly_us_.load(std::memory_order_relaxed)});
  if (open_.load(std::memory_order_relaxed) == 0) return longest;
  const microseconds since{micros_of(now) - heard_us_.load(std::memory_order_relaxed)};
  return std::clamp<duration>(longest - since, duration{0}, longest);
}

bool answer_count::is_silent(duration patience, moment now) const noexcept {
  return until_silent(patience, now) == duration{0};
}

// ---- store_pulse

bool store_pulse::is_silent(duration patience) const noexcept {
  return patience > duration{0} && count_->is_silent(patience, std::chrono::steady_clock::now());
}

awaitable<result<engine::answer>> store_pulse::ask(engine::query what, duration patience) {
  if (patience == duration{0}) co_return co_await engine::ask_any(store_, std::move(what));
  if (is_silent(patience)) co_return std::unexpected(silent_store());
  question<result<engine::answer>> asked{.count = count_,
                                         .patience = patience,
                                         .silence = std::unexpected(silent_store()),
                                         .late = {}};
  co_return co_await first_of(std::move(asked),
                              [store = &store_, what = std::move(what)](auto done) mutable {
                                store->ask(std::move(what), std::move(done));
                              });
}

awaitable<engine::commit_result> store_pulse::commit(engine::transaction what, duration patience,
                                                     late_answer late) {
  if (patience == duration{0}) co_return co_await engine::commit(store_, std::move(what));
  engine::commit_result silence = std::unexpected(engine::refusal{.why = silent_store()});
  if (is_silent(patience)) co_return silence;
  question<engine::commit_result> asked{.count = count_,
                                        .patience = patience,
                                        .silence = std::move(silence),
                                        .late = std::move(late)};
  std::vector<engine::transaction> batch;
  batch.push_back(std::move(what));
  co_return co_await first_of(
      std::move(asked), [store = &store_, batch = std::move(batch)](auto done) mutable {
        store->submit(std::move(batch),
                      [done = std::move(done)](std::vector<engine::commit_result> given) mutable {
                        MILLRACE_ASSERT(given.size() == 1);
                        done(std::move(given.front()));
                      });
      });
}

}  // namespace millrace::cache
