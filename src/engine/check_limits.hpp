#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/limit_steps.hpp>

namespace millrace::engine {

[[nodiscard]] result<void> check_one(const take_limits& step);
[[nodiscard]] result<void> check_one(const refund_limits& step);
[[nodiscard]] result<void> check_one(const reset_limits& step);
[[nodiscard]] result<void> check_one(const block_limit& step);
[[nodiscard]] result<void> check_one(const renew_limit_permit& step);
[[nodiscard]] result<void> check_one(const release_limit_permit& step);

}  // namespace millrace::engine
