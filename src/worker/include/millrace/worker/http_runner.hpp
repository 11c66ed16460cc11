#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/worker/handler.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

struct http_options {
  /// Where each job is posted. The operator's own choice: it is not checked against private
  /// addresses.
  std::string url;
  /// With `https`: a file of certificates in PEM whose authorities count instead of the system's;
  /// empty: the system's.
  std::string ca_file;
  /// `whsec_` and base64 of 24 to 64 bytes. Several while a secret is being changed: every request
  /// is signed with each. None: requests are not signed.
  std::vector<std::string> secrets;
  /// Requests under way at a time; as many as the worker has runs.
  std::size_t connections_max{16};
};

/// Runs each job by posting it to a URL, signed after Standard Webhooks.
///
/// The body is the job as programs get it on stdin. Headers: `webhook-id` (the job's id, the same
/// for every attempt), `webhook-timestamp` (seconds), `webhook-signature` (`v1,` + base64 of
/// HMAC-SHA256 over `id.timestamp.body`), `x-correlation-id`, `traceparent`.
///
/// Answers: 2xx success, the body is the result (JSON, else a JSON string); 400, 410, 422 and other
/// 4xx permanent failure, but 408, 409, 425 and 429 transient; 3xx transient (no redirect is
/// followed); 5xx transient. `Retry-After` of a transient failure is kept to.
///
/// Threading: safe from any executor.
/// Lifetime:  must outlive every run of its handler.
class http_runner final {
public:
  /// Errors: invalid_argument on `http`, `secret` or `ca_file`.
  [[nodiscard]] static result<std::unique_ptr<http_runner>> create(asio::any_io_executor executor,
                                                                   http_options options);
  ~http_runner();
  http_runner(const http_runner&) = delete;
  http_runner& operator=(const http_runner&) = delete;

  [[nodiscard]] async_handler handler();
  /// Closes idle connections. Call when no run is left.
  void close();

private:
  struct state;
  explicit http_runner(std::unique_ptr<state> s) noexcept;
  std::unique_ptr<state> state_;
};

}  // namespace millrace
