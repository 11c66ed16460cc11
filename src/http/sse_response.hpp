#pragma once

#include "message.hpp"
#include "sse_hub.hpp"

#include <millrace/http/target.hpp>

#include <string>
#include <vector>

/// Answers that follow something.
namespace millrace::http {

[[nodiscard]] response stream_response(subscription what);
[[nodiscard]] response stream_response(subscription::part what,
                                       std::vector<live_listener> listeners = {});

/// `?user=`: who listens, for the registry of connections; empty where nobody says.
[[nodiscard]] result<std::string> read_listener(query_reader& query);

}  // namespace millrace::http
