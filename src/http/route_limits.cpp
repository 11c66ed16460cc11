#include "route_limits.hpp"

#include "limits_codec.hpp"
#include "problem.hpp"

#include <utility>

namespace millrace::http {

// borrows: awaited in place
awaitable<std::optional<response>> limit_route(service& with, const request& what,
                                               std::string_view endpoint, std::string& headers) {
  const auto settings = with.limits.settings();
  const limit_binding* bound = find_binding(*settings, to_string(what.verb), what.path);
  if (bound == nullptr) co_return std::nullopt;
  limit_request asked{
      .project = with.project,
      .policy = bound->policy,
      .parts = {{"ip", peer_address(*what.from)}, {"endpoint", std::string{endpoint}}}};
  const auto answer = co_await with.limits.take(std::move(asked), engine::take_mode::all);
  if (!answer) co_return problem(answer.error());
  response told = limits_response(*answer, engine::take_mode::all, settings->legacy_headers);
  if (!answer->allowed) co_return told;
  headers = std::move(told.headers);
  co_return std::nullopt;
}

}  // namespace millrace::http
