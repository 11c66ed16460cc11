#pragma once

#include <millrace/engine/store.hpp>

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
  /// messages, for `poke`, for the moment `until`. False once the inbox is closed and empty.
  bool take(std::vector<message>& into, std::size_t enough, const deadline& until) {
    std::unique_lock lock(mutex_);
    if (into.empty()) {
      enough_ = enough;
      const auto something = [this] { return closing_ || poked_ || messages_.size() >= enough_; };
      waiting_ = true;
      if (until) {
        arrived_.wait_until(lock, *until, something);
      } else {
        arrived_.wait(lock, something);
      }
      waiting_ = false;
      poked_ = false;
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

  /// Ends the present wait, or the next one.
  void poke() {
    const std::lock_guard lock(mutex_);
    poked_ = true;
    if (waiting_) arrived_.notify_one();
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
    const bool wake = waiting_ && messages_.size() >= enough_;
    lock.unlock();
    if (wake) arrived_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<message> messages_;
  std::size_t pending_{0};
  std::size_t enough_{1};
  bool waiting_{false};
  bool poked_{false};
  bool closing_{false};
};

}  // namespace millrace::embedded
