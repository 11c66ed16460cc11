#pragma once

#include "config_file.hpp"
#include "config_value.hpp"

#include <millrace/limiter/limit_policy.hpp>

#include <string_view>
#include <vector>

namespace millrace::cli {

/// A key of `[limits.policies.NAME]`: `allow`, `deny`, or `limits[0].window`, which the file says
/// as `limits = [{ window = "1m", … }, …]` or in `[[limits.policies.NAME.limits]]`; or one of
/// `[limits.routes]`, whose keys are requests (`"POST /v1/jobs"`) and whose values are policies.
[[nodiscard]] bool is_limit_key(const file_entry& entry);

/// Errors: invalid_argument, as all of the configuration; for an unknown key with the known ones.
[[nodiscard]] result<void> apply_limit_key(const file_entry& entry, limit_settings& into);

/// What single keys cannot show: whether each policy makes sense as a whole.
[[nodiscard]] result<void> check_limits(const limit_settings& settings);

}  // namespace millrace::cli
