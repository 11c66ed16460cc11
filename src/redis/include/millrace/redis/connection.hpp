#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/backoff.hpp>
#include <millrace/base/error.hpp>
#include <millrace/redis/address.hpp>
#include <millrace/redis/command.hpp>
#include <millrace/redis/limits.hpp>
#include <millrace/redis/reply.hpp>
#include <millrace/redis/reply_parser.hpp>
#include <millrace/redis/server_facts.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::redis {

/// How `rediss://` proves who is who. Files are read anew at every connection.
struct tls_options {
  /// PEM with the authorities that are trusted; empty: those of the machine.
  std::string ca_file;
  /// PEM with the client's certificate chain and its key; empty: none is shown.
  std::string certificate_file;
  std::string key_file;
  /// The name the server's certificate must carry; empty: the address' host.
  std::string server_name;
};

/// Whether one connection carries everybody's requests or one caller's.
enum class connection_use : std::uint8_t {
  /// Commands that change the connection for everybody behind them, or hold everybody up, are
  /// refused: blocking reads, WATCH, MULTI without its EXEC in the same batch.
  shared,
  /// Those are allowed.
  dedicated,
};

/// What becomes of requests while there is no connection.
enum class when_down : std::uint8_t {
  /// They wait for one, up to their own deadline.
  wait,
  /// They wait while one is being made for the first time or right after a loss; once an attempt
  /// has failed, they and all that come until one succeeds are refused with `unavailable`.
  refuse,
};

enum class link_state : std::uint8_t {
  /// An attempt is being made.
  connecting,
  /// Requests are being served.
  ready,
  /// The connection was lost or an attempt failed; the next attempt is waited for.
  down,
  /// For good.
  closed,
};

/// What one push of the server looks like: its kind (`message`, `invalidate` …) is its first value.
using push_handler = std::function<void(const reply& push)>;
/// `why` is set for `down`.
using state_handler = std::function<void(link_state now, const error* why)>;

struct connection_options {
  address where;
  tls_options tls;
  connection_use use{connection_use::shared};
  when_down down_policy{when_down::wait};
  /// For looking up the name, connecting, TLS, HELLO and all that comes with it.
  std::chrono::milliseconds connect_timeout{5'000};
  /// For a request that says nothing else: from `send` to its reply. A connection on which nothing
  /// arrives for this long while an overdue reply is owed counts as lost.
  std::chrono::milliseconds request_timeout{3'000};
  /// A PING after this long without a word. Zero: none.
  std::chrono::milliseconds health_check_interval{10'000};
  /// For so long after a write the event loop is kept from sleeping, as long as a reply is owed: no
  /// thread has to be woken to read it, which helps a caller who calls again and again where waking
  /// is slow, as on virtual machines (ADR 0018 has figures). It costs the time of a processor,
  /// given up to whatever else wants to run. Zero: none; at most `busy_poll_max`.
  std::chrono::microseconds busy_poll{0};
  /// Between attempts. The default has the server meet its clients again spread over time.
  backoff_spec backoff{.strategy = backoff_strategy::exponential,
                       .base = std::chrono::milliseconds{50},
                       .max = std::chrono::milliseconds{2'000},
                       .jitter = backoff_jitter::full};
  /// Raising them costs memory while the server is slow or away.
  std::size_t requests_max{redis::requests_max};
  std::size_t request_bytes_max{redis::request_bytes_max};
  reply_limits replies;
  /// Shown in CLIENT LIST; no blanks.
  std::string name{"millrace"};
  /// Sent on every new connection behind HELLO and SELECT, before anything else: tracking, for
  /// example. Each must be answered with something other than an error.
  std::vector<command> setup;
  /// Called on the connection's strand, between the replies as they came, so that what a push takes
  /// away is gone before a later reply is told. It must return soon and may not block: replies wait
  /// for it. `push_buffer` keeps pushes for slower ones.
  push_handler on_push;
  /// Called on the connection's strand at every change.
  state_handler on_state;
};

/// Whether a request may be carried out twice.
enum class resend : std::uint8_t {
  /// It is sent once. When the connection is lost before its reply: outcome_unknown.
  never,
  /// Carrying it out twice does no more than once: it is sent again on the next connection.
  if_lost,
};

/// How one request is sent: `{}`, `resend::if_lost`, `500ms`, `{500ms, resend::if_lost}`.
struct send_options {
  send_options() = default;
  send_options(resend on_loss) : again(on_loss) {}  // NOLINT(google-explicit-constructor)
  template <class Rep, class Period>
  send_options(std::chrono::duration<Rep, Period> longest,  // NOLINT(google-explicit-constructor)
               resend on_loss = resend::never)
      : timeout(longest), again(on_loss) {}

  /// From `send` to the reply. Zero: the connection's `request_timeout`. A blocking read needs its
  /// own wait on top.
  std::chrono::milliseconds timeout{0};
  resend again{resend::never};
};

using reply_handler = std::move_only_function<void(result<reply>)>;
/// One result a command of the batch, in its order.
using replies_handler = std::move_only_function<void(std::vector<result<reply>>)>;

/// Names a request for `cancel`.
using request_id = std::uint64_t;

enum class subscription_kind : std::uint8_t {
  /// SUBSCRIBE.
  channel,
  /// PSUBSCRIBE.
  pattern,
  /// SSUBSCRIBE.
  shard,
};

/// A look at the counters of a connection.
struct connection_status {
  link_state state{link_state::connecting};
  /// Why it is down; empty otherwise.
  std::optional<error> why;
  /// Of the server it is, or was last, connected to.
  std::string server;
  std::string version;
  /// The server's number of this connection.
  std::int64_t client_id{0};
  std::uint64_t connects{0};
  std::uint64_t failed_attempts{0};
  std::uint64_t lost_connections{0};
  std::uint64_t requests{0};
  std::uint64_t resent{0};
  std::uint64_t timed_out{0};
  /// Replies that came after their request had been given up; nobody saw them.
  std::uint64_t late_replies{0};
  std::uint64_t pushes{0};
  std::uint64_t writes{0};
  /// How often the event loop was kept from sleeping (`busy_poll`).
  std::uint64_t busy_turns{0};
  /// Waiting and under way.
  std::size_t outstanding{0};
};

/// One connection to one Redis server for any number of callers: what waits is written together,
/// replies come back in order, and a lost connection is made again.
///
/// Guarantees: a reply reaches the request it answers or nobody. A request that was given up keeps
///             its place until its reply has come. HELLO, AUTH, SELECT, `setup` and subscriptions
///             precede everything else on every connection. Every request is answered, once.
/// Threading:  every member may be called from any thread. Handlers run on the connection's strand
///             (never inside `send`): they must return soon.
/// Lifetime:   the executor's context must outlive it and be run. The destructor closes; what the
///             coroutines of its members wait for is then answered.
/// Errors:     what the server says, as `to_error` has it, fails that request alone; the others are
///             unavailable (surely not carried out: `redis_unreachable`, `not_redis`,
///             `tls_failed`, `not_sent` …), outcome_unknown (`connection_lost`: written, and no
///             reply), deadline_exceeded (`timeout`: written, and no reply in time), exhausted
///             (`too_many_requests`, `too_many_request_bytes`), invalid_argument
///             (`command_needs_own_connection`), too_large (`request_too_large`), cancelled.
/// Cancellation: of `call` terminal: what has not been written is not sent; what has been may be
///             carried out.
/// Cost:       one write for all that waits; no timer delays it.
/// Limits:     limits.hpp.
class connection final {
public:
  /// Starts connecting at once.
  connection(asio::any_io_executor executor, connection_options options);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Sends one command; its reply, or why there is none, goes to `done`.
  request_id send(command what, send_options options, reply_handler done);
  /// Sends commands one right behind the other, none of anybody else's between them, all over one
  /// connection. They are repeated together or not at all. An error of the server is the result of
  /// its command alone; the loss of the connection that of every one. Empty: answered with nothing.
  request_id send_all(std::vector<command> batch, send_options options, replies_handler done);
  /// The same for coroutines, resumed on the caller's executor.
  [[nodiscard]] awaitable<result<reply>> call(command what, send_options options = {});
  [[nodiscard]] awaitable<std::vector<result<reply>>> call_all(std::vector<command> batch,
                                                               send_options options = {});

  /// Gives up a request: its handler gets `cancelled`, unless it has been answered meanwhile.
  void cancel(request_id which);

  /// Subscribes, now and on every later connection; messages go to `on_push`. `done` gets the
  /// server's confirmation or refusal; a refused subscription is not kept.
  void subscribe(subscription_kind kind, std::string channel, reply_handler done);
  void unsubscribe(subscription_kind kind, std::string channel, reply_handler done);

  /// Answers once: when the connection is ready, or with why an attempt failed. Attempts go on.
  [[nodiscard]] awaitable<result<void>> ready();

  /// INFO, and the sync policy of the append-only file where the user may read it.
  [[nodiscard]] awaitable<result<server_facts>> facts();

  [[nodiscard]] connection_status status() const;
  [[nodiscard]] const address& where() const noexcept;

  /// Refuses new requests, lets those there are have their replies (up to their own deadlines), and
  /// closes. Nothing of the connection runs any more when it returns.
  [[nodiscard]] awaitable<void> stop();
  /// Closes at once: what waits gets `cancelled`, what was written outcome_unknown.
  void close();

private:
  struct state;

  [[nodiscard]] static awaitable<result<reply>> call_on(std::shared_ptr<state> on, command what,
                                                        send_options how);

  std::shared_ptr<state> state_;
};

}  // namespace millrace::redis
