#pragma once

#include "message.hpp"
#include "service.hpp"

#include <optional>
#include <string>

namespace millrace::http {

/// Charges the policy that is bound to a request's route, if one is: by the client's address (`ip`;
/// `local` over the Unix socket) and the route's template (`endpoint`).
///
/// An answer where it is refused; else the headers of the limits are added to `headers`.
[[nodiscard]] awaitable<std::optional<response>> limit_route(service& with, const request& what,
                                                             std::string_view endpoint,
                                                             std::string& headers);

}  // namespace millrace::http
