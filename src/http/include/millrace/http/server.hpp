#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/cache/declared_cache.hpp>
#include <millrace/cache/near_cache.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/http/session_settings.hpp>
#include <millrace/limiter/limit_policy.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

/// What becomes of a client of an event stream that does not take what there is.
enum class slow_reader_policy : std::uint8_t {
  /// It is sent nothing until it has taken what waits for it, and then goes on from there, from the
  /// store's history; where that is gone it is told of a gap.
  catch_up,
  /// It is cut off, and may come back with its last id.
  close,
};

/// What one client may cost. Every bound has an answer of its own when it is reached.
struct server_limits {
  /// From the first byte of a connection or request to the end of its header; then 408.
  std::chrono::milliseconds header_deadline{10'000};
  /// From the end of the header to the end of the body; then 408.
  std::chrono::milliseconds body_deadline{60'000};
  /// Between two requests of a connection; then it is closed.
  std::chrono::milliseconds idle_deadline{75'000};
  /// A client that takes nothing of its answer for this long is cut off.
  std::chrono::milliseconds write_deadline{60'000};
  /// How long `stop` waits for running requests before it cuts their connections.
  std::chrono::milliseconds stop_deadline{9'000};
  /// A comment is sent on an event stream when nothing else was for this long.
  std::chrono::milliseconds comment_interval{15'000};
  /// Beyond it 413, without reading the rest.
  std::size_t body_bytes_max{std::size_t{32} << 20U};
  /// Bodies of all connections together; beyond it 503. Small bodies (64 KiB) do not count.
  std::size_t body_bytes_in_flight_max{std::size_t{512} << 20U};
  /// What waits for one client of an event stream that reads slower than events come, beside one
  /// batch; and for all of them together. Beyond it `slow_readers` says what becomes of it.
  std::size_t stream_bytes_max{std::size_t{256} << 10U};
  std::size_t stream_bytes_in_flight_max{std::size_t{512} << 20U};
  slow_reader_policy slow_readers{slow_reader_policy::catch_up};
  /// Open connections; further ones are answered 503 and closed.
  std::size_t connections_max{20'000};
};

/// One answered request, for a log line. The texts are valid during the call only.
struct request_record {
  std::string_view method;
  /// The route's template (`/v1/jobs/{id}`), or `-` where none matched.
  std::string_view route;
  unsigned status{0};
  /// From the end of the request's header to the last byte of the answer handed to the kernel.
  std::chrono::microseconds took{0};
  std::string_view correlation_id;
  std::string_view project;
  /// The problem's code; empty for a success.
  std::string_view code;
  std::size_t bytes_in{0};
  std::size_t bytes_out{0};
};

struct server_options {
  /// `address:port` each; port 0 picks a free one. IPv6 in brackets. A host name is resolved once.
  std::vector<std::string> listen{"127.0.0.1:7070"};
  /// A Unix socket (mode 0600); empty for none. A file left by a dead server is removed: the owner
  /// of the directory's lock calls.
  std::filesystem::path unix_socket;
  /// Host names, besides loopback and the listened addresses, that requests may be addressed to.
  std::vector<std::string> host_names;
  server_limits limits;
  /// Called once a request, on a thread of the context: must be short and must not throw.
  std::function<void(const request_record&)> on_request;
  /// Writes a consistent copy of the store to the path; called on a thread that may block. Empty
  /// where the engine has none.
  std::function<result<void>(const std::filesystem::path&)> backup;
  /// Where a backup is kept while it is sent. Empty: the system's temporary directory.
  std::filesystem::path scratch_directory;
  /// How long an entry of the cache is kept where a request does not say.
  duration cache_ttl{std::chrono::hours{1}};
  /// As `shared_cache::settings::patience`.
  duration cache_patience{0};
  /// What of the cache is kept in the memory of this process; the store is the one in front of
  /// which it stands. Empty: every read of the cache asks the store.
  cache::near_cache* near_cache{nullptr};
  /// Families of the cache, and the keys that what is encrypted is written with, in the cache and
  /// in sessions. Not owned; empty: there are none.
  const cache::declared_cache* declared{nullptr};
  /// The policies of limits, checked already. Nothing limits the server's own routes.
  limit_settings rate_limits;
  session_settings sessions;
  /// What `/health` and the metrics say.
  std::string version{"unknown"};
};

/// Whether a server may listen there. While no key is configured everything is open to whoever
/// reaches the port, so that only loopback addresses are allowed.
///
/// Errors: invalid_argument (field `listen`) for what is no `address:port`; forbidden
///         (listen_not_loopback).
[[nodiscard]] result<void> check_listen(const std::vector<std::string>& listen,
                                        bool keys_configured);

/// The API over HTTP/1.1.
///
/// Guarantees: requests of a connection are answered in order (pipelining); nothing a client sends
///             is answered 500; a reserve whose client has gone hands out no lease.
/// Threading:  the context may run on any number of threads. The members are called from one
///             thread at a time.
/// Lifetime:   the store, the context and what the options refer to outlive it. Await `stop` before
///             the destructor.
class server final {
public:
  server(asio::io_context& context, engine::store& store, server_options options);
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// Binds, listens and begins to accept.
  ///
  /// Errors: those of `check_listen`; unavailable (address_in_use, listen_failed) with what to do.
  [[nodiscard]] result<void> start();

  /// Where it listens, as URLs (`http://127.0.0.1:41234`), without the Unix socket.
  [[nodiscard]] std::vector<std::string> addresses() const;

  /// Other policies of limits from now on; from any thread. Errors: those of
  /// `check_limit_settings`; nothing has changed then.
  [[nodiscard]] result<void> change_limits(limit_settings to);
  /// Other families and rules of the cache from now on. Errors: those of
  /// `shared_cache::change_families`; nothing has changed then.
  [[nodiscard]] result<void> change_families(cache::family_set to);

  /// Accepts no more; long polls answer empty at once, event streams end with a `retry:` of their
  /// own, running requests finish; what is not done after `stop_deadline` is cut. Safe to call
  /// twice.
  [[nodiscard]] awaitable<void> stop();

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace millrace::http
