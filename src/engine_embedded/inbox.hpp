#pragma once

#include <millrace/engine/store.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::embedded {

struct submission {
  std::vector<engine::transaction> batch;
  engine::store::commit_handler done;
  /// More than zero: too many were waiting; so many transactions are refused.
  std::size_t refused{0};
};

struct question {
  engine::query what;
  engine::store::answer_handler done;
  std::chrono::steady_clock::time_point asked_at;
};

/// A question is large and rare: it stands apart.
using message = std::variant<submission, std::unique_ptr<question>>;

/// What callers hand to the writer.
///
/// Limits: `pending_transactions_max`; a submission beyond it is refused, in its turn.
class inbox final {
public:
  void push(submission what) {
    const std::size_t count = what.batch.size();
    std::unique_lock lock(mutex_);
    if (pending_ + count > engine::pending_transactions_max) {
      what.batch.clear();
      what.refused = count;
    } else {
      pending_ += count;
    }
    push(std::move(lock), std::move(what));
  }
  void push(std::unique_ptr<question> what) { push(std::unique_lock(mutex_), std::move(what)); }

  void close() {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    arrived_.notify_one();
  }

  using deadline = std::optional<std::chrono::steady_clock::time_point>;

  /// Moves what is there behind `into`. When `into` is empty it waits before: for `enough`
  /// messages (one, once `poke` was called), for the moment `until`. False once the inbox is closed
  /// and empty.
  bool take(std::vector<message>& into, std::size_t enough, const deadline& until) {
    std::unique_lock lock(mutex_);
    if (into.empty()) {
      enough_ = std::exchange(poked_, false) ? 1 : enough;
      until_ = until;
      const auto something = [this] {
        return !stood_in_ && (closing_ || early_ || messages_.size() >= enough_);
      };
      waiting_ = true;
      if (until) {
        arrived_.wait_until(lock, *until, something);
        arrived_.wait(lock, [this] { return !stood_in_; });
      } else {
        arrived_.wait(lock, something);
      }
      waiting_ = false;
      early_ = false;
    }
    const bool more = !closing_ || !messages_.empty() || !into.empty();
    if (into.empty()) {
      std::swap(into, messages_);
    } else {
      for (message& each : messages_) into.push_back(std::move(each));
      messages_.clear();
    }
    return more;
  }

  /// In the present wait, or the next one, one message is enough.
  void poke() {
    const std::lock_guard lock(mutex_);
    if (!waiting_) {
      poked_ = true;
      return;
    }
    enough_ = 1;
    if (!messages_.empty()) arrived_.notify_one();
  }

  /// The calling thread takes the place of the one that waits in `take`, which stays there, until
  /// `step_back`; so many transactions of its own count as taken from here. False, and nothing
  /// else, unless that one waits for a first message, and there is none.
  [[nodiscard]] bool stand_in(std::size_t transactions) {
    const std::lock_guard lock(mutex_);
    if (!waiting_ || stood_in_ || closing_ || enough_ != 1 || !messages_.empty()) return false;
    stood_in_ = true;
    pending_ += transactions;
    return true;
  }
  /// `take` goes on: at once if there is something, and at `until` at the latest.
  void step_back(const deadline& until) {
    std::unique_lock lock(mutex_);
    stood_in_ = false;
    early_ = until && (!until_ || *until < *until_);
    const bool wake = early_ || closing_ || !messages_.empty();
    lock.unlock();
    if (wake) arrived_.notify_one();
  }
  /// Moves into `into`, which is empty, what has come since `stand_in`: a few single transactions,
  /// or nothing.
  void take_meanwhile(std::vector<message>& into, std::size_t most) {
    const auto single = [](const message& what) {
      const auto* one = std::get_if<submission>(&what);
      return one != nullptr && one->batch.size() == 1;
    };
    const std::lock_guard lock(mutex_);
    if (messages_.size() <= most && std::ranges::all_of(messages_, single)) {
      std::swap(into, messages_);
    }
  }

  [[nodiscard]] bool empty() {
    const std::lock_guard lock(mutex_);
    return messages_.empty();
  }

  /// So many transactions have been answered, or are on their way.
  void taken(std::size_t transactions) {
    const std::lock_guard lock(mutex_);
    pending_ -= transactions;
  }

private:
  void push(std::unique_lock<std::mutex> lock, message what) {
    messages_.push_back(std::move(what));
    const bool wake = waiting_ && !stood_in_ && messages_.size() >= enough_;
    lock.unlock();
    if (wake) arrived_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<message> messages_;
  std::size_t pending_{0};
  std::size_t enough_{1};
  deadline until_;
  bool waiting_{false};
  bool poked_{false};
  /// Somebody stands in for the one that waits.
  bool stood_in_{false};
  /// The present wait has become longer than it may be.
  bool early_{false};
  bool closing_{false};
};

}  // namespace millrace::embedded
