#pragma once

#include "message.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::http {

/// The longest header, request line included.
inline constexpr std::size_t header_bytes_max = std::size_t{16} << 10U;

/// Reads one HTTP/1.1 request after the other from bytes, without I/O.
///
///   while (!reader.done() && !reader.failure()) {
///     consumed = reader.feed(all bytes not yet consumed);
///     … get more bytes …
///   }
///
/// Guarantees: for any bytes it ends in `done` or `failure`, and holds at most the body limit.
///             A body whose length is ambiguous (both lengths, a transfer coding other than
///             chunked) is refused, so that no two readers see different requests.
class request_reader final {
public:
  /// Why a request cannot be read, and the status that says so. The connection is of no use
  /// afterwards: where the next request begins is not known.
  struct refusal {
    unsigned status{400};
    error why;
  };

  explicit request_reader(std::size_t body_bytes_max);
  ~request_reader();
  request_reader(const request_reader&) = delete;
  request_reader& operator=(const request_reader&) = delete;

  /// Takes what it can use of `bytes`, which are all that were not consumed so far; how many.
  std::size_t feed(std::string_view bytes);

  /// The header is complete; `what()` has all but the body.
  [[nodiscard]] bool head_done() const noexcept;
  [[nodiscard]] bool done() const noexcept;
  [[nodiscard]] const std::optional<refusal>& failure() const noexcept { return failure_; }
  /// At least one byte of the request was fed.
  [[nodiscard]] bool begun() const noexcept;
  /// The bytes of the body still to come; empty when chunked.
  [[nodiscard]] std::optional<std::size_t> body_left() const noexcept;

  [[nodiscard]] request& what() noexcept { return request_; }

  /// For the next request.
  void reset();

private:
  struct parser;

  void fail_with(unsigned status, errc kind, std::string_view code, std::string detail);
  void finish_head();

  std::size_t body_bytes_max_;
  request request_;
  std::optional<refusal> failure_;
  std::unique_ptr<parser> parser_;
};

/// Splits a request's target into `path` and `query`; takes the absolute form too, whose authority
/// then stands for the Host header. False for anything else.
[[nodiscard]] bool split_target(request& of);

}  // namespace millrace::http
