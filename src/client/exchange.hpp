#pragma once

#include "connection.hpp"

#include <millrace/client/message.hpp>

#include <cstddef>

namespace millrace::client {

/// What one request on one connection came to.
struct exchange_report {
  result<response> answer;
  /// The connection may carry another request.
  bool reusable{false};
  /// The connection broke before a byte of an answer: worth a second try where that is safe.
  bool unanswered{false};
  /// Not a byte of the request went out.
  bool unsent{false};
};

/// Sending it twice does no more than sending it once.
[[nodiscard]] bool is_repeatable(const request& what) noexcept;

/// Refuses what would break out of its line on the wire.
[[nodiscard]] result<void> check(const request& what);

/// Sends `what` and reads the whole answer by `until`.
/// borrows: awaited in place.
[[nodiscard]] awaitable<exchange_report> exchange(connection& over, const request& what,
                                                  const endpoint& where, const std::string& key,
                                                  deadline until, std::size_t response_bytes_max);

}  // namespace millrace::client
