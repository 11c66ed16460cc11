#include <millrace/conformance/faulty_store.hpp>

#include <millrace/base/assert.hpp>

#include <optional>
#include <utility>

namespace millrace::conformance {

fault fault::unavailable() {
  return {kind::fail,
          {.kind = errc::unavailable,
           .code = "store_unavailable",
           .detail = "The store does not answer.",
           .retry_after = std::chrono::seconds{1}}};
}

fault fault::full() {
  return {kind::fail,
          {.kind = errc::storage_full, .code = "storage_full", .detail = "The disk is full."}};
}

fault fault::cut() {
  return {kind::cut,
          {.kind = errc::outcome_unknown,
           .code = "outcome_unknown",
           .detail = "The connection broke before the answer."}};
}

fault fault::hold() { return {.what = kind::hold}; }

void faulty_store::plan::add(std::size_t nth, fault what, std::size_t count) {
  MILLRACE_ASSERT(nth > 0 && count > 0);
  const std::size_t first = calls + nth;
  const std::size_t last = count < always - first ? first + count - 1 : always;
  faults.push_back({first, last, std::move(what)});
}

const fault* faulty_store::plan::next() {
  ++calls;
  for (const planned& one : faults) {
    if (one.first <= calls && calls <= one.last) return &one.what;
  }
  return nullptr;
}

faulty_store::faulty_store(engine::store& inner) noexcept : inner_(inner) {}

faulty_store::~faulty_store() { release(); }

void faulty_store::on_submit(std::size_t nth, fault what, std::size_t count) {
  const std::lock_guard lock(mutex_);
  submits_.add(nth, std::move(what), count);
}

void faulty_store::on_ask(std::size_t nth, fault what, std::size_t count) {
  const std::lock_guard lock(mutex_);
  asks_.add(nth, std::move(what), count);
}

void faulty_store::recover() {
  const std::lock_guard lock(mutex_);
  submits_.faults.clear();
  asks_.faults.clear();
}

void faulty_store::release() {
  std::unique_lock lock(mutex_);
  while (!held_.empty()) {
    std::move_only_function<void()> go_on = std::move(held_.front());
    held_.pop_front();
    lock.unlock();
    go_on();
    lock.lock();
  }
}

std::size_t faulty_store::held() const {
  const std::lock_guard lock(mutex_);
  return held_.size();
}

std::size_t faulty_store::submits() const {
  const std::lock_guard lock(mutex_);
  return submits_.calls;
}

std::size_t faulty_store::asks() const {
  const std::lock_guard lock(mutex_);
  return asks_.calls;
}

void faulty_store::lose_hints() noexcept { hints_lost_ = true; }

engine::wakeups& faulty_store::hints() noexcept { return hints_lost_ ? silent_ : inner_.hints(); }

namespace {

std::vector<engine::commit_result> all_refused(std::size_t transactions, const error& why) {
  std::vector<engine::commit_result> results;
  for (std::size_t i = 0; i < transactions; ++i) {
    results.push_back(std::unexpected(engine::refusal{why, 0}));
  }
  return results;
}

}  // namespace

void faulty_store::submit(std::vector<engine::transaction> batch, commit_handler done) {
  std::unique_lock lock(mutex_);
  const fault* const planned = submits_.next();
  if (planned == nullptr) {
    lock.unlock();
    inner_.submit(std::move(batch), std::move(done));
    return;
  }
  const fault now = *planned;
  if (now.what == fault::kind::hold) {
    held_.emplace_back([this, batch = std::move(batch), done = std::move(done)]() mutable {
      inner_.submit(std::move(batch), std::move(done));
    });
    return;
  }
  lock.unlock();
  if (now.what == fault::kind::fail) {
    done(all_refused(batch.size(), now.why));
    return;
  }
  inner_.submit(std::move(batch), [why = now.why, done = std::move(done)](auto results) mutable {
    done(all_refused(results.size(), why));
  });
}

void faulty_store::ask(engine::query what, answer_handler done) {
  std::unique_lock lock(mutex_);
  const fault* const planned = asks_.next();
  if (planned == nullptr) {
    lock.unlock();
    inner_.ask(std::move(what), std::move(done));
    return;
  }
  const fault now = *planned;
  if (now.what == fault::kind::hold) {
    held_.emplace_back([this, what = std::move(what), done = std::move(done)]() mutable {
      inner_.ask(std::move(what), std::move(done));
    });
    return;
  }
  lock.unlock();
  // A question has no effect, so that failing and cutting it come to the same.
  done(std::unexpected(now.why));
}

}  // namespace millrace::conformance
