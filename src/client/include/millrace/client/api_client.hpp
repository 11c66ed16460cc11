#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/client/endpoint.hpp>
#include <millrace/client/event_stream.hpp>
#include <millrace/client/message.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace millrace::client {

struct client_options {
  endpoint where;
  /// With `https`: a file of certificates in PEM whose authorities count instead of the system's;
  /// empty: the system's.
  std::string ca_file;
  /// Sent as `Authorization: Bearer`; empty: none.
  std::string key;
  /// Open connections, busy and idle together. A request beyond it waits its turn, first come first
  /// served, up to its own timeout. Raising it costs a file descriptor each, here and there.
  std::size_t connections_max{16};
  std::chrono::milliseconds connect_timeout{5'000};
  /// An idle connection is closed after this long; below the server's own 60 s, so that a request
  /// does not meet a connection that is just being closed.
  std::chrono::milliseconds idle_timeout{30'000};
  /// The largest answer that is read; a larger one is `too_large`.
  std::size_t response_bytes_max{std::size_t{64} << 20U};
};

/// Whether a file may be `client_options::ca_file`. Errors: invalid_argument (`ca_file`).
[[nodiscard]] result<void> check_ca_file(const std::string& file);

/// Speaks HTTP/1.1, over TLS where the endpoint says so, to one server over kept-alive connections:
/// the server's own API for the command line and workers, and other people's servers for webhooks.
/// Follows no redirect.
///
/// Threading:    safe from any executor; works on a strand of its own.
/// Lifetime:     may be destroyed while requests are under way; they go on with what they hold.
/// Errors:       unavailable (`no_server`: nothing listens there, nothing was sent; `tls_failed`:
///               the server cannot show that it is the one, nothing was sent; or
///               `connection_lost`: nothing can have happened, the request was safe to repeat),
///               outcome_unknown (`connection_lost` after a POST had been sent without an
///               Idempotency-Key), deadline_exceeded (`timeout`), too_large (`response_too_large`),
///               cancelled; invalid_argument (`ca_file`) for a file without certificates. A request
///               that is safe to repeat is sent once more on a fresh connection when a kept one
///               turns out to be closed.
/// Cancellation: terminal; the request may still have its effect.
class api_client final {
public:
  api_client(asio::any_io_executor executor, client_options options);
  ~api_client();
  api_client(const api_client&) = delete;
  api_client& operator=(const api_client&) = delete;

  /// One exchange. An answer of any status is a success here.
  [[nodiscard]] awaitable<result<response>> send(request what);

  /// As `send`, but an answer of 400 and above is the error it tells (`expect_success`).
  [[nodiscard]] awaitable<result<response>> call(request what);

  /// Opens a stream of server-sent events on a connection of its own, outside `connections_max`.
  /// `last_event_id`, where not empty, resumes after that event. The timeout is for the first byte
  /// of the answer. Errors: as `call`.
  [[nodiscard]] awaitable<result<event_stream>> open_events(std::string target,
                                                            std::string last_event_id = {});

  /// Asks for something of any size and hands it on piece by piece, on the client's strand. Ends
  /// early with the error of `take`. The timeout is for each piece. Returns: how many bytes.
  /// Errors: as `call`.
  [[nodiscard]] awaitable<result<std::uint64_t>> download(
      request what, std::function<result<void>(std::string_view)> take);

  /// Closes idle connections; those in use close when their request ends, and new requests are
  /// refused with `cancelled`.
  void close();

  [[nodiscard]] const endpoint& where() const noexcept;

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace millrace::client
