#pragma once

#include "message.hpp"

#include <millrace/base/error.hpp>

#include <string>

/// Errors as RFC 9457 problems.
namespace millrace::http {

/// The status an error is answered with.
[[nodiscard]] unsigned status_of(const error& why) noexcept;

/// The problem object, as it stands in a bulk answer beside the successes.
void append_problem(std::string& out, const error& why, unsigned status);
void append_problem(std::string& out, const error& why);

/// The whole answer; `Retry-After` where a retry makes sense.
[[nodiscard]] response problem(const error& why);
/// With a status of its own: 405, 408, 415, 431 and the like have no kind of error.
[[nodiscard]] response problem(unsigned status, const error& why);

}  // namespace millrace::http
