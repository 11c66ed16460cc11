#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every bound of the port, with what happens beyond it.
namespace millrace::engine {

/// One job's data, result, checkpoint: beyond it `too_large`.
inline constexpr std::size_t item_bytes_max = std::size_t{1} << 20U;
/// A job's type, a worker's name, a `traceparent`.
inline constexpr std::size_t type_bytes_max = 128;
/// An error text; longer ones are cut, the beginning kept.
inline constexpr std::size_t error_bytes_max = 8192;
inline constexpr std::size_t labels_max = 16;
inline constexpr std::size_t label_key_bytes_max = 128;
inline constexpr std::size_t label_value_bytes_max = 256;
inline constexpr std::size_t message_bytes_max = 1024;
/// Log lines kept for a job; older ones go, and the bytes of one line.
inline constexpr std::size_t log_lines_max = 200;
inline constexpr std::size_t log_line_bytes_max = 1024;
/// Highest `max_attempts`.
inline constexpr std::uint32_t attempts_max = 1000;
/// Furthest due time.
inline constexpr std::chrono::hours delay_max{24 * 366};
inline constexpr std::chrono::seconds lease_min{1};
inline constexpr std::chrono::hours lease_max{24};
/// Default lease over plain HTTP, where nobody renews unasked.
inline constexpr std::chrono::seconds lease_default{30};
/// Longest run (`job_spec::timeout`).
inline constexpr std::chrono::hours timeout_max{24 * 30};
/// Largest base and cap of a backoff.
inline constexpr std::chrono::hours backoff_max{24 * 30};
/// Jobs of one reserve, and the queues it may try.
inline constexpr std::uint32_t lease_jobs_max = 1000;
inline constexpr std::size_t lease_queues_max = 64;
/// Starts in the window of a rate bound, and the longest window.
inline constexpr std::uint32_t rate_limit_max = 10'000;
inline constexpr std::chrono::hours rate_window_max{24};
/// Longest time that ended jobs and dead letters are kept.
inline constexpr std::chrono::hours keep_max{24 * 3660};
/// A cron line and the name of its time zone.
inline constexpr std::size_t schedule_bytes_max = 256;
inline constexpr std::size_t time_zone_bytes_max = 64;
/// Steps of one transaction, jobs of one enqueue or purge: beyond it `too_large`.
inline constexpr std::size_t steps_max = 10'000;
/// Transactions waiting for the writer: beyond it `exhausted` (store_busy), never a queue in
/// memory.
inline constexpr std::size_t pending_transactions_max = 100'000;
/// Rows a listing examines in one call; a page may be short and still have a cursor.
inline constexpr std::size_t listing_rows_max = 10'000;
inline constexpr std::size_t page_items_max = 1000;
/// Idempotency keys kept; new keys beyond it are refused (`idempotency_store_full`), old ones stay.
inline constexpr std::size_t idempotency_keys_max = 1'000'000;
inline constexpr std::chrono::hours idempotency_kept{24};
/// Queues and cron entries of one store.
inline constexpr std::size_t queues_max = 100'000;
inline constexpr std::size_t crons_max = 10'000;
/// Different error fingerprints counted for a queue; beyond it they count as `other`.
inline constexpr std::size_t fingerprints_max = 1000;

/// Streams of one store; beyond it `too_many_streams`.
inline constexpr std::size_t streams_max = 100'000;
/// Bounds of what a stream may be told to keep.
inline constexpr std::uint64_t event_count_max = 10'000'000;
inline constexpr std::uint64_t event_bytes_max = std::uint64_t{1} << 40U;
inline constexpr std::chrono::hours event_age_max{24 * 3660};
/// Events that one step may find to be too many: the rest goes with the steps after it.
inline constexpr std::size_t events_trimmed_at_once = 1000;
/// How long an event's own id is remembered, and how many; beyond it `too_many_event_ids`.
inline constexpr std::chrono::hours event_id_kept{24};
inline constexpr std::size_t event_ids_max = 1'000'000;
/// Bytes of events in one page; the one that exceeds it is the last.
inline constexpr std::size_t event_page_bytes_max = std::size_t{4} << 20U;
/// Locks that are held at one time; beyond it `too_many_locks`.
inline constexpr std::size_t locks_max = 1'000'000;
inline constexpr std::chrono::milliseconds lock_ttl_min{100};
inline constexpr std::chrono::hours lock_ttl_max{24};
inline constexpr std::size_t lock_token_bytes_max = 128;
/// Steps of a progress, and those kept of it; older ones go.
inline constexpr std::uint32_t progress_steps_max = 1'000'000;
inline constexpr std::size_t progress_marks_max = 100;
/// Agents of one flow (`too_many_agents`), and the bytes of their details.
inline constexpr std::size_t agents_max = 1000;
inline constexpr std::size_t agent_details_bytes_max = std::size_t{16} << 10U;
/// Entries of progress, of agents, of connections: each; beyond it `too_many_records`.
inline constexpr std::size_t live_records_max = 100'000;
inline constexpr std::chrono::seconds live_ttl_min{1};
inline constexpr std::chrono::hours live_ttl_max{24 * 30};
/// Who holds one resource together: further ones wait; and who stands in its queue: further ones
/// are refused (`too_many_waiters`).
inline constexpr std::uint32_t lock_holders_max = 1000;
inline constexpr std::uint32_t lock_waiters_max = 1000;
/// How long a place in a queue may be kept without a word, and how long a turn is.
inline constexpr std::chrono::seconds lock_queue_max{60};
inline constexpr std::chrono::seconds lock_turn{2};
/// A turn behind others that nobody has taken is half as long as the one before it, but never shorter:
/// the places of a server that died do not add up.
inline constexpr std::chrono::milliseconds lock_turn_min{250};
/// How long a fence is remembered after it was last seen, and of how many resources; beyond it
/// `too_many_records`.
inline constexpr std::chrono::hours fence_kept{24 * 7};
inline constexpr std::size_t fences_max = 1'000'000;
/// Groups of one stream, and of the store: beyond them `too_many_groups`.
inline constexpr std::size_t stream_groups_max = 100;
inline constexpr std::size_t groups_max = 10'000;
/// Events of a group that are delivered and not settled; no new ones are delivered beyond it.
inline constexpr std::size_t group_pending_max = 10'000;
/// Jobs and events of which a store remembers what correlation id they carry, so that they are
/// found by it; beyond it the oldest are not.
inline constexpr std::size_t correlated_max = 1'000'000;

}  // namespace millrace::engine
