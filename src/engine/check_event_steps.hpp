#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/event_steps.hpp>
#include <millrace/engine/group_steps.hpp>
#include <millrace/engine/lock_steps.hpp>
#include <millrace/engine/progress_steps.hpp>

/// The checks of the steps on streams, locks and what goes on right now.
namespace millrace::engine {

[[nodiscard]] result<void> check_one(const publish_event& s);
[[nodiscard]] result<void> check_one(const configure_stream& s);
[[nodiscard]] result<void> check_one(const acquire_lock& s);
[[nodiscard]] result<void> check_one(const extend_lock& s);
[[nodiscard]] result<void> check_one(const release_lock& s);
[[nodiscard]] result<void> check_one(const pass_fence& s);
[[nodiscard]] result<void> check_one(const put_progress& s);
[[nodiscard]] result<void> check_one(const delete_progress& s);
[[nodiscard]] result<void> check_one(const put_agent& s);
[[nodiscard]] result<void> check_one(const put_connection& s);
[[nodiscard]] result<void> check_one(const drop_connection& s);
[[nodiscard]] result<void> check_one(const put_group& s);
[[nodiscard]] result<void> check_one(const delete_group& s);
[[nodiscard]] result<void> check_one(const read_group& s);
[[nodiscard]] result<void> check_one(const settle_deliveries& s);

}  // namespace millrace::engine
