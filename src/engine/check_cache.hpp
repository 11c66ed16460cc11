#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/cache_steps.hpp>

/// What can be said about a step of the cache without looking at the store.
namespace millrace::engine {

[[nodiscard]] result<void> check_cache_step(const put_cache& step);
[[nodiscard]] result<void> check_cache_step(const claim_cache& step);
[[nodiscard]] result<void> check_cache_step(const renew_claim& step);
[[nodiscard]] result<void> check_cache_step(const release_claim& step);
[[nodiscard]] result<void> check_cache_step(const delete_cache& step);
[[nodiscard]] result<void> check_cache_step(const invalidate_tag& step);
[[nodiscard]] result<void> check_cache_step(const delete_matching& step);
[[nodiscard]] result<void> check_cache_step(const clear_cache& step);

}  // namespace millrace::engine
