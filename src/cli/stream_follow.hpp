#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/client/api_client.hpp>

#include <functional>
#include <optional>
#include <string>

namespace millrace::cli {

/// Reads a stream of events, opening it again behind the last one whenever it ends, until `take`
/// answers false. Gives up, with the error, when nothing was heard for 30 s or the server refuses.
///
/// borrows: `api`; run to its end by its caller.
[[nodiscard]] awaitable<std::optional<error>> follow_stream(
    client::api_client& api, std::string target, std::string last_id,
    std::function<bool(const client::event&)> take);

}  // namespace millrace::cli
