#pragma once

#include "config_value.hpp"

#include <millrace/base/error.hpp>
#include <millrace/engine/job.hpp>

#include <functional>
#include <string_view>
#include <vector>

namespace millrace::cli {

/// The keys of a `[queues.NAME]` table.
[[nodiscard]] std::vector<std::string_view> queue_key_names();

/// The change that a key makes to a queue's settings; empty for a key that is not known.
[[nodiscard]] result<std::function<void(engine::queue_settings&)>> read_queue_key(
    std::string_view key, const config_value& value);

}  // namespace millrace::cli
