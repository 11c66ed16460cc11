#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/clock.hpp>

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::engine {

/// Something that can change, told to whoever waits for it.
struct topic {
  enum class kind : std::uint8_t {
    /// Jobs became available. Made by `queue_topic`.
    queue,
    /// A job changed. `name`: the id's text (`job_topic`).
    job,
    /// The recurring jobs changed (`cron_topic`).
    cron,
    /// The key of a cache was filled or given up (`cache_topic`).
    cache,
    /// A stream has new events (`stream_topic`).
    stream,
    /// A lock became free (`lock_topic`).
    lock,
    /// A progress changed (`progress_topic`), or an agent of a flow (`flow_topic`).
    progress,
    flow,
  };
  static constexpr std::size_t kinds = 8;
  kind what{kind::queue};
  std::string name;

  friend bool operator==(const topic&, const topic&) = default;
};

/// Hints that something may have changed. A hint carries no truth: whoever is woken reads the store
/// from its own position, so that a lost, doubled or late hint changes nothing but the latency.
/// Every waiter therefore also wakes by itself after a while (its deadline).
///
/// Threading: every member from any thread; `wait` resumes on the executor of its caller.
class wakeups final {
public:
  static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

  wakeups();
  ~wakeups();
  wakeups(const wakeups&) = delete;
  wakeups& operator=(const wakeups&) = delete;

  /// Wakes up to `count` of those who wait for the topic, longest waiting first. Who listens but is
  /// between two waits hears of it at its next one, and is not counted. Never blocks long.
  ///
  /// Cost: one atomic load where nobody listens to a topic of this kind.
  void notify(const topic& what, std::size_t count = all);

  /// Somebody listens to a topic of this kind: names of topics need not be made for nobody.
  [[nodiscard]] bool heard(topic::kind what) const noexcept;

  /// One who listens. While it exists, hints for its topics are remembered, so that nothing between
  /// a look at the store and the wait is missed:
  ///
  ///   auto listener = hints.listen({topic…});
  ///   while (nothing there) co_await listener.wait(deadline);
  ///
  /// A listener that ends while it holds a hint it did not act on passes it to the next one.
  class listener final {
  public:
    listener(listener&&) noexcept;
    listener& operator=(listener&&) noexcept;
    ~listener();

    /// Until a hint, or `longest` has passed: true for a hint. One wait at a time.
    ///
    /// Cancellation: terminal, partial and total, by `operation_aborted`; a hint that came first
    /// is not lost: the listener's end passes it to the next one.
    [[nodiscard]] awaitable<bool> wait(std::chrono::steady_clock::duration longest);

    /// Instead of a wait: `act` is called once, at the first hint, on the thread that gives it; at
    /// once, on this one, when there was one since the last look. So a look at the store does not
    /// have to wait until an event loop has woken up. `act` must be short, must neither throw nor
    /// block, and may call the store. One at a time, and no wait meanwhile.
    void call_at_hint(std::move_only_function<void()> act);

    /// Takes it back. False when it has been called, or is being called by another thread.
    [[nodiscard]] bool call_off() noexcept;

    /// The hint was acted on: it is not passed on. Call after a successful look. (A further wait
    /// or call says the same of a look that found nothing.)
    void consume() noexcept;

  private:
    friend class wakeups;
    struct state;
    explicit listener(std::shared_ptr<state> s) noexcept;
    std::shared_ptr<state> state_;
  };

  /// Requires: at least one topic.
  [[nodiscard]] listener listen(std::vector<topic> topics);

private:
  struct registry;
  std::shared_ptr<registry> registry_;
};

/// The topic of a queue's available jobs.
[[nodiscard]] topic queue_topic(std::string_view project, std::string_view queue);
[[nodiscard]] topic job_topic(const std::string& id_text);
[[nodiscard]] topic cron_topic();
/// Topics of records that a project and a key name.
[[nodiscard]] topic keyed_topic(topic::kind what, std::string_view project, std::string_view key);
[[nodiscard]] topic stream_topic(std::string_view project, std::string_view stream);
[[nodiscard]] topic lock_topic(std::string_view project, std::string_view resource);
[[nodiscard]] topic progress_topic(std::string_view project, std::string_view correlation_id);
[[nodiscard]] topic flow_topic(std::string_view project, std::string_view flow_id);

}  // namespace millrace::engine
