#pragma once

#include "router.hpp"
#include "service.hpp"

#include <span>

/// Every route there is. A handler answers everything a client can send; `what` is borrowed: it is
/// awaited in place.
namespace millrace::http {

[[nodiscard]] std::span<const route> all_routes() noexcept;

// Jobs (routes_jobs.cpp).
awaitable<response> enqueue_jobs(service& with, request& what);
awaitable<response> show_job(service& with, request& what);
awaitable<response> cancel_job(service& with, request& what);
awaitable<response> delete_job(service& with, request& what);
awaitable<response> job_events(service& with, request& what);

// Runs (routes_runs.cpp).
awaitable<response> reserve_jobs(service& with, request& what);
awaitable<response> reserve_from_queues(service& with, request& what);
awaitable<response> ack_job(service& with, request& what);
awaitable<response> fail_job(service& with, request& what);
awaitable<response> extend_job(service& with, request& what);
awaitable<response> snooze_job(service& with, request& what);
awaitable<response> report_job(service& with, request& what);
awaitable<response> ack_jobs(service& with, request& what);
awaitable<response> extend_jobs(service& with, request& what);

// Queues (routes_queues.cpp).
awaitable<response> list_queues(service& with, request& what);
awaitable<response> show_queue(service& with, request& what);
awaitable<response> set_queue(service& with, request& what);
awaitable<response> list_jobs(service& with, request& what);
awaitable<response> list_retries(service& with, request& what);
awaitable<response> pause_queue(service& with, request& what);
awaitable<response> resume_queue(service& with, request& what);
awaitable<response> drain_queue(service& with, request& what);
awaitable<response> purge_queue(service& with, request& what);

// Dead letters (routes_dlq.cpp).
awaitable<response> dead_letter_stats(service& with, request& what);
awaitable<response> list_dead(service& with, request& what);
awaitable<response> requeue_dead_at(service& with, request& what);
awaitable<response> requeue_dead_many(service& with, request& what);
awaitable<response> purge_dead(service& with, request& what);

// Recurring jobs (routes_cron.cpp).
awaitable<response> list_crons(service& with, request& what);
awaitable<response> show_cron(service& with, request& what);
awaitable<response> set_cron(service& with, request& what);
awaitable<response> pause_cron(service& with, request& what);
awaitable<response> resume_cron(service& with, request& what);
awaitable<response> delete_cron(service& with, request& what);

// The cache (routes_cache.cpp, routes_cache_many.cpp).
awaitable<response> get_cached(service& with, request& what);
awaitable<response> put_cached(service& with, request& what);
awaitable<response> delete_cached(service& with, request& what);
awaitable<response> claim_cached(service& with, request& what);
awaitable<response> renew_claimed(service& with, request& what);
awaitable<response> release_claimed(service& with, request& what);
awaitable<response> get_many_cached(service& with, request& what);
awaitable<response> put_many_cached(service& with, request& what);
awaitable<response> delete_many_cached(service& with, request& what);
awaitable<response> list_cached(service& with, request& what);
awaitable<response> invalidate_cached(service& with, request& what);
// Its numbers, families and end (routes_cache_stats.cpp).
awaitable<response> list_families(service& with, request& what);
awaitable<response> show_cache_stats(service& with, request& what);
awaitable<response> clear_cached(service& with, request& what);
awaitable<response> show_cache_health(service& with, request& what);
// Limits and budgets (routes_limits.cpp).
awaitable<response> check_limits(service& with, request& what);
awaitable<response> refund_limits(service& with, request& what);
awaitable<response> settle_limits(service& with, request& what);
awaitable<response> reset_limits(service& with, request& what);
awaitable<response> show_limit_stats(service& with, request& what);
awaitable<response> consume_tokens(service& with, request& what);
// Permits of limits, and who is shut out (routes_limit_permits.cpp).
awaitable<response> renew_permit(service& with, request& what);
awaitable<response> release_permit(service& with, request& what);
awaitable<response> block_id(service& with, request& what);
awaitable<response> unblock_id(service& with, request& what);
awaitable<response> list_blocks(service& with, request& what);

// The server itself (routes_health.cpp, routes_backup.cpp).
awaitable<response> show_page(service& with, request& what);
awaitable<response> show_openapi(service& with, request& what);
awaitable<response> show_health(service& with, request& what);
awaitable<response> show_live(service& with, request& what);
awaitable<response> show_ready(service& with, request& what);
awaitable<response> show_metrics(service& with, request& what);
awaitable<response> send_backup(service& with, request& what);

// Streams of events (routes_streams.cpp).
awaitable<response> publish_event(service& with, request& what);
awaitable<response> read_events(service& with, request& what);
awaitable<response> set_stream(service& with, request& what);

// Groups of consumers (routes_groups.cpp).
awaitable<response> read_for_group(service& with, request& what);
awaitable<response> ack_events(service& with, request& what);
awaitable<response> release_events(service& with, request& what);
awaitable<response> extend_events(service& with, request& what);
awaitable<response> list_event_groups(service& with, request& what);
awaitable<response> put_event_group(service& with, request& what);
awaitable<response> delete_event_group(service& with, request& what);
awaitable<response> list_pending_events(service& with, request& what);

// Locks (routes_locks.cpp).
awaitable<response> acquire_lock(service& with, request& what);
awaitable<response> extend_lock(service& with, request& what);
awaitable<response> release_lock(service& with, request& what);
awaitable<response> show_lock(service& with, request& what);

// What goes on right now (routes_progress.cpp).
awaitable<response> put_progress(service& with, request& what);
awaitable<response> show_progress(service& with, request& what);
awaitable<response> delete_progress(service& with, request& what);
awaitable<response> progress_events(service& with, request& what);
awaitable<response> put_agent(service& with, request& what);
awaitable<response> list_agents(service& with, request& what);
awaitable<response> agent_events(service& with, request& what);
awaitable<response> put_connection(service& with, request& what);
awaitable<response> drop_connection(service& with, request& what);
awaitable<response> list_connections(service& with, request& what);

// Sessions (routes_sessions.cpp).
awaitable<response> begin_session(service& with, request& what);
awaitable<response> show_session(service& with, request& what);
awaitable<response> replace_session(service& with, request& what);
awaitable<response> merge_session(service& with, request& what);
awaitable<response> end_session(service& with, request& what);
awaitable<response> rotate_session(service& with, request& what);
awaitable<response> list_sessions(service& with, request& what);
awaitable<response> list_user_sessions(service& with, request& what);
awaitable<response> end_user_sessions(service& with, request& what);
// Streams of events as they come (routes_live.cpp).
awaitable<response> live_events(service& with, request& what);
awaitable<response> live_streams(service& with, request& what);

// Several steps as one (routes_commit.cpp).
awaitable<response> commit_steps(service& with, request& what);

// What belongs together (routes_correlations.cpp).
awaitable<response> show_correlation(service& with, request& what);

}  // namespace millrace::http
