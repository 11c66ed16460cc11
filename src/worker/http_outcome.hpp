#pragma once

#include <millrace/client/message.hpp>
#include <millrace/worker/handler.hpp>

namespace millrace::worker_detail {

/// What an answer to a webhook means for its job; `http_runner.hpp` has the table.
[[nodiscard]] handler_result http_outcome(const client::response& answer);

}  // namespace millrace::worker_detail
