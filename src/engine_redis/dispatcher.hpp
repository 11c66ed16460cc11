#pragma once

#include "cache_reader.hpp"
#include "call_codec.hpp"
#include "early_hints.hpp"
#include "gathering.hpp"
#include "script.hpp"
#include "work.hpp"

#include <millrace/base/awaitable.hpp>
#include <millrace/base/clock.hpp>
#include <millrace/base/turnstile.hpp>
#include <millrace/redis/command.hpp>
#include <millrace/redis/connection.hpp>
#include <millrace/redis/reply.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace millrace::engine_redis {

/// Gathers work into calls of the script, sends them, and sees to it that each happens once.
///
/// A call carries the number of its store's calls; the script refuses one that has happened, and
/// one that overtook another. So a call whose answer was lost with the connection is simply sent
/// again: it happens then, or the script says that it had.
///
/// Threading: one thread, that of the io_context; `hand_in` from any. Where nothing is under way
/// the
///            thread that hands work in sends it, too; what is answered, fails or waits is the
///            context's, which alone calls handlers (ADR 0016).
/// Lifetime:  the context, the connection and the hints must outlive it; `close` comes before.
class dispatcher final {
public:
  struct settings {
    std::string state_key;
    script_entry script;
    /// The server's `run_id` as of the opening.
    std::string run_id;
    /// JSON; empty: those that are built in.
    std::string defaults;
    std::uint64_t cache_bytes_max{engine::cache_bytes_default};
    const clock_source* clock{nullptr};
    engine::durability strongest{engine::durability::durable};
    std::chrono::milliseconds request_timeout{0};
  };

  dispatcher(asio::io_context& context, redis::connection& to, engine::wakeups& hints,
             settings with);
  dispatcher(const dispatcher&) = delete;
  dispatcher& operator=(const dispatcher&) = delete;

  /// Makes itself known; `done` gets why it cannot.
  void open(std::move_only_function<void(result<void>)> done);
  /// Sends it, or leaves it to whoever is at work.
  void hand_in(std::vector<unit> work);
  void link_changed(redis::link_state now, const error* why);
  void pushed(const redis::reply& push);
  /// Finishes everything, takes its leave of the server, and calls `done`.
  void close(std::move_only_function<void()> done);

private:
  using steady = std::chrono::steady_clock;

  struct call {
    enum class state : std::uint8_t { waiting, sent };
    std::vector<unit> work;
    /// The arguments, and in which of them each unit is.
    std::vector<item> items;
    std::vector<std::size_t> places;
    std::string names;
    /// What its jobs were hinted at before it was sent.
    std::vector<available_hint> hinted;
    state now{state::waiting};
    /// The connection was lost since when it had been sent.
    std::optional<steady::time_point> lost_at;
    std::uint64_t number{0};
    std::uint64_t incarnation{0};
  };
  using call_ptr = std::shared_ptr<call>;
  enum flag : unsigned { opens = 1, closes = 2, wants_jobs = 4, watches = 8, waits_for_locks = 16 };

  [[nodiscard]] bool send_in_place();
  /// Nothing is under way, waits or is wrong.
  [[nodiscard]] bool is_idle() const;

  // From here on: inside.
  void take_inbox();
  void pump();
  [[nodiscard]] std::vector<available_hint> hint_early();
  void greet();
  void introduce(const std::string& run_id);
  void on_introduced(result<redis::reply> answer);
  [[nodiscard]] call_ptr gather();
  void send(const call_ptr& what);
  [[nodiscard]] redis::command command_of(const call& what, unsigned flags,
                                          const std::string& run_id);
  [[nodiscard]] unsigned what_is_waited_for();
  void on_answer(const call_ptr& what, result<redis::reply> answer);
  void on_refused(const call_ptr& what, error why);
  void load_script();
  void begin_incarnation();
  void finish(const call_ptr& what, const redis::reply& answered);
  [[nodiscard]] result<engine::answer> answer_of(const question& asked,
                                                 std::string_view answered) const;
  /// By value: it is often the first of those that are outstanding, and is taken out of them.
  void fail(call_ptr what, const error& why);
  void refuse_waiting(const error& why);
  void refuse_limits(const error& why);
  void give_up_lost();
  void note_report(std::string_view text, const std::vector<available_hint>& hinted = {});
  void notify(const call_hints& all);
  void arm_timer();
  void on_timer();
  void say_goodbye();
  [[nodiscard]] std::size_t sent() const;
  /// Whether what waits is worth a call of its own.
  [[nodiscard]] bool is_worth_it() const;
  [[nodiscard]] bool busy() const {
    return !outstanding_.empty() || !waiting_.empty() || cache_.busy();
  }

  asio::io_context& context_;
  redis::connection& link_;
  engine::wakeups& hints_;
  const settings with_;

  std::mutex mutex_;
  /// Handed in and not taken yet. Guarded by `mutex_`.
  std::vector<unit> inbox_;
  /// Somebody will take it. Guarded by `mutex_`.
  bool coming_{false};
  std::atomic<std::size_t> handing_in_{0};

  turnstile turn_;
  // From here on: of whoever is inside.
  /// This process' name in the store; changes when it cannot know what has become of a call.
  std::string store_id_;

  std::deque<unit> waiting_;
  cache_reader cache_;
  /// In their order; the first has the number `confirmed_ + 1`.
  std::deque<call_ptr> outstanding_;
  std::uint64_t confirmed_{0};
  std::uint64_t incarnation_{0};
  /// How much the calls that were answered lately held: the last one, or half of what it was.
  std::size_t lately_{0};
  std::string id_base_;

  bool ready_{true};
  /// An attempt to connect has failed since the connection was lost.
  std::optional<error> refusing_;
  bool to_greet_{true};
  bool greeting_{false};
  bool loading_{false};
  /// It has taken its leave.
  bool gone_{false};
  std::move_only_function<void(result<void>)> opened_;
  std::move_only_function<void()> closed_;

  asio::steady_timer timer_;
  /// When it fires; perhaps sooner than there is anything to do.
  std::optional<steady::time_point> armed_for_;
  std::optional<steady::time_point> due_at_;
  steady::time_point last_call_{};
  std::optional<steady::time_point> watched_at_;
};

}  // namespace millrace::engine_redis
