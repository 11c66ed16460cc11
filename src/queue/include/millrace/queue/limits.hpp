#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every bound of the queue room, with what happens beyond it. Those of the port are in
/// `millrace/engine/limits.hpp`.
namespace millrace {

/// A queue's bounds of jobs running at a time: beyond it invalid_argument.
inline constexpr std::uint32_t queue_concurrency_max = 1'000'000;
/// A queue's bounds of jobs kept (`depth_max`, `keep_finished_count`): beyond it invalid_argument.
inline constexpr std::uint64_t queue_count_max = 1'000'000'000'000;

/// Of one queue within a reserve: beyond it invalid_argument.
inline constexpr std::uint32_t queue_weight_max = 1000;
/// Longest wait of a reserve: below the idle limits of common proxies.
inline constexpr std::chrono::seconds reserve_wait_max{60};
/// How far apart the looks of a waiting reserve grow when several wait for the same due time and
/// others are faster.
inline constexpr std::chrono::milliseconds reserve_slack_max{500};
/// A waiting reserve looks again after this long even without a hint: the most that a lost hint
/// can cost.
inline constexpr std::chrono::seconds reserve_safety_tick{5};
/// Dead letters requeued in one commit.
inline constexpr std::uint32_t requeue_batch = 500;
/// Jobs deleted in one commit of a purge: short enough not to hold up others' commits.
inline constexpr std::uint32_t purge_batch = 1000;

/// Slots that catch-up `all` goes back: older ones are passed over.
inline constexpr std::size_t cron_catch_up_max = 1000;
/// Entries a cron scheduler fires in one commit.
inline constexpr std::uint32_t cron_batch = 100;

/// The error text kept of a failed in-process task; longer ones are cut, the beginning kept.
inline constexpr std::size_t local_task_error_bytes_max = 1024;

}  // namespace millrace
