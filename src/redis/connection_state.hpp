#pragma once

#include "handshake.hpp"
#include "link.hpp"
#include "request_queue.hpp"

#include <millrace/base/turnstile.hpp>
#include <millrace/redis/connection.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace millrace::redis {

/// What a connection is made of. Three parts:
/// - the inbox, under `mutex_`: what any thread has sent and nobody has taken yet;
/// - the queue, the link and the timers, of whoever is inside `turn_`: the strand, which waits for
///   its turn and so is inside whenever it does anything; or a thread that sends while nothing is
///   under way, which only tries, writes what there is, and never calls a handler;
/// - one coroutine, `run`, that makes the connection, reads from it, and makes it again.
///
/// What is not written at once, what fails and whatever takes time is the strand's.
struct connection::state final : std::enable_shared_from_this<connection::state> {
  state(const asio::any_io_executor& executor, connection_options options);

  void start();

  // From any thread.
  request_id send(command what, send_options how, reply_handler done);
  request_id send_all(std::vector<command> batch, send_options how, replies_handler done);
  void post_cancel(request_id which);
  void subscribe(subscription what, reply_handler done);
  void unsubscribe(subscription what, reply_handler done);
  void post_settled(std::move_only_function<void(result<void>)> done);
  /// Refuses new requests from now on; closes when the last has been answered, or at once. `done`
  /// is called when nothing runs any more.
  enum class ending : std::uint8_t { when_answered, at_once };
  void post_end(ending how, std::move_only_function<void()> done);
  [[nodiscard]] connection_status status() const;

  const connection_options options;
  const asio::strand<asio::any_io_executor> strand;

private:
  using settled_handler = std::move_only_function<void(result<void>)>;

  /// Sends it, or has it refused where it is not `allowed` or finds no place.
  request_id admit(request&& asked, send_options how, std::size_t bytes, result<void> allowed);
  request_id submit(request&& what);
  void refuse(request&& what, error why);
  /// Writes what waits, from this thread. False: it is the strand's.
  [[nodiscard]] bool write_in_place();

  // Inside.
  void drain();
  void pump(moment now);
  void write_outgoing();
  void stay_awake();
  void arm_at(moment when);

  // On the strand, from outside.
  static awaitable<void> run(std::shared_ptr<state> self);
  /// Connects and shakes hands. What came behind the handshake is kept in `parser_` and told.
  static awaitable<result<void>> establish(std::shared_ptr<state> self);
  static awaitable<result<void>> greet(std::shared_ptr<state> self, moment until);
  static awaitable<error> serve(std::shared_ptr<state> self);
  static awaitable<void> pause(std::shared_ptr<state> self);
  void begin_attempt();
  void send_greeting(const handshake& hands);
  void on_over(bool was_made, error why);
  [[nodiscard]] result<bool> take_greeting_bytes(std::string_view bytes, handshake& hands);
  /// Why it is over.
  [[nodiscard]] std::optional<error> on_read(result<std::string_view> bytes);
  void on_timer();

  // On any thread of the executor, from outside.
  void turn_busily();

  // On the strand, inside.
  [[nodiscard]] result<void> take_bytes(std::string_view bytes);
  void tell_push(const reply& what);
  void arm();
  void check_health(moment now);
  void enter(link_state now, std::optional<error> why);
  void on_ready(const handshake& hands);
  void on_failed_attempt(error why);
  void on_lost(error why);
  void plan_pause(error& why);
  [[nodiscard]] bool refuses_now() const;
  void settle(const result<void>& how);
  void begin_close();
  void end_if_answered();
  void finish();

  // What requests hold a place in: it outlives them.
  budget budget_;
  request_counters counters_;

  // Of any thread, under the mutex.
  mutable std::mutex mutex_;
  std::vector<request> inbox_;
  request_id last_id_{0};
  bool wake_posted_{false};
  bool refusing_{false};
  connection_status told_;

  // Whether the event loop is kept from sleeping, and till when.
  std::atomic<bool> awake_{false};
  std::atomic<moment> awake_until_{};

  turnstile turn_;
  // Of whoever is inside.
  std::vector<request> taken_;
  request_queue queue_{counters_};
  // These two are written on the strand only, which therefore may read them from outside, too.
  std::shared_ptr<link> link_;
  link_state state_{link_state::connecting};
  bool writing_{false};
  // Fires at the next deadline, silence or health check; never later than needed, often earlier.
  asio::steady_timer timer_;
  moment armed_for_{moment::max()};

  // Of the strand.
  reply_parser parser_;
  std::vector<subscription> subscriptions_;
  std::vector<settled_handler> settling_;
  std::vector<std::move_only_function<void()>> ended_;
  std::optional<error> why_down_;
  bool attempt_failed_{false};
  bool silent_{false};
  bool stopping_{false};
  bool closing_{false};
  bool over_{false};
  std::uint32_t failures_{0};
  duration pause_for_{};
  moment ready_since_{};
  moment last_read_{};
  asio::steady_timer pause_timer_;
  std::mt19937_64 entropy_{std::random_device{}()};
};

}  // namespace millrace::redis
