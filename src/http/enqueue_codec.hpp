#pragma once

#include "json_members.hpp"

#include <millrace/queue/queue.hpp>

#include <string_view>

namespace millrace::http {

/// Reads and checks one parsed job. `raw` is the text `parsed` was made of; `field` where it
/// stands.
[[nodiscard]] result<enqueue_request> read_enqueue(const json::value& parsed, std::string_view raw,
                                                   const engine::queue_key& queue,
                                                   const field_path& field);

}  // namespace millrace::http
