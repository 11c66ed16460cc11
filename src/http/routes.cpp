#include "routes.hpp"

#include <array>

namespace millrace::http {
namespace {

// Literal paths stand before those whose variable part would take them too.
constexpr std::array table{
    route{method::post, "/v1/queues/{queue}/jobs", &enqueue_jobs, body_kind::json},
    route{method::get, "/v1/queues/{queue}/jobs", &list_jobs},
    route{method::post, "/v1/queues/{queue}:reserve", &reserve_jobs, body_kind::json},
    route{method::post, "/v1/queues:reserve", &reserve_from_queues, body_kind::json},
    route{method::post, "/v1/jobs/{id}:ack", &ack_job, body_kind::json},
    route{method::post, "/v1/jobs/{id}:fail", &fail_job, body_kind::json},
    route{method::post, "/v1/jobs/{id}:extend", &extend_job, body_kind::json},
    route{method::post, "/v1/jobs/{id}:snooze", &snooze_job, body_kind::json},
    route{method::post, "/v1/jobs/{id}:cancel", &cancel_job, body_kind::json},
    route{method::post, "/v1/jobs:ack", &ack_jobs, body_kind::json},
    route{method::post, "/v1/jobs:extend", &extend_jobs, body_kind::json},
    route{method::put, "/v1/jobs/{id}/progress", &report_job, body_kind::json},
    route{method::get, "/v1/jobs/{id}/events", &job_events},
    route{method::get, "/v1/jobs/{id}", &show_job},
    route{method::remove, "/v1/jobs/{id}", &delete_job},
    route{method::get, "/v1/queues", &list_queues},
    route{method::get, "/v1/queues/{queue}", &show_queue},
    route{method::put, "/v1/queues/{queue}", &set_queue, body_kind::json},
    route{method::get, "/v1/queues/{queue}/retries", &list_retries},
    route{method::post, "/v1/queues/{queue}:pause", &pause_queue, body_kind::json},
    route{method::post, "/v1/queues/{queue}:resume", &resume_queue, body_kind::json},
    route{method::post, "/v1/queues/{queue}:drain", &drain_queue, body_kind::json},
    route{method::post, "/v1/queues/{queue}:purge", &purge_queue, body_kind::json},
    route{method::get, "/v1/cron", &list_crons},
    route{method::post, "/v1/cron/{name}:pause", &pause_cron, body_kind::json},
    route{method::post, "/v1/cron/{name}:resume", &resume_cron, body_kind::json},
    route{method::get, "/v1/cron/{name}", &show_cron},
    route{method::put, "/v1/cron/{name}", &set_cron, body_kind::json},
    route{method::remove, "/v1/cron/{name}", &delete_cron},
    route{method::get, "/admin/dlq/stats", &dead_letter_stats},
    route{method::get, "/admin/dlq/{queue}", &list_dead},
    route{method::remove, "/admin/dlq/{queue}", &purge_dead},
    route{method::post, "/admin/dlq/{queue}/requeue/{index}", &requeue_dead_at, body_kind::json},
    route{method::post, "/admin/dlq/{queue}:requeue", &requeue_dead_many, body_kind::json},
    route{method::get, "/admin/backup", &send_backup},
    route{method::get, "/health", &show_health},
    route{method::get, "/health/live", &show_live},
    route{method::get, "/health/ready", &show_ready},
    route{method::get, "/metrics", &show_metrics},
    route{method::get, "/openapi.json", &show_openapi},
    route{method::get, "/", &show_page},
    route{method::post, "/v1/events/{stream}", &publish_event, body_kind::json},
    route{method::get, "/v1/events/{stream}", &read_events},
    route{method::put, "/v1/events/{stream}", &set_stream, body_kind::json},
    route{method::get, "/v1/events/{stream}/live", &live_events},
    route{method::post, "/v1/locks/{resource}", &acquire_lock, body_kind::json},
    route{method::put, "/v1/locks/{resource}", &extend_lock, body_kind::json},
    route{method::remove, "/v1/locks/{resource}", &release_lock},
    route{method::get, "/v1/locks/{resource}", &show_lock},
    route{method::put, "/v1/progress/{correlation_id}", &put_progress, body_kind::json},
    route{method::get, "/v1/progress/{correlation_id}", &show_progress},
    route{method::remove, "/v1/progress/{correlation_id}", &delete_progress},
    route{method::get, "/v1/progress/{correlation_id}/events", &progress_events},
    route{method::get, "/v1/flows/{flow_id}/agents/events", &agent_events},
    route{method::put, "/v1/flows/{flow_id}/agents/{agent}", &put_agent, body_kind::json},
    route{method::get, "/v1/flows/{flow_id}/agents", &list_agents},
    route{method::get, "/v1/connections", &list_connections},
    route{method::put, "/v1/connections/{id}", &put_connection, body_kind::json},
    route{method::remove, "/v1/connections/{id}", &drop_connection},
    route{method::post, "/v1/commit", &commit_steps, body_kind::json},
};

}  // namespace

std::span<const route> all_routes() noexcept { return table; }

}  // namespace millrace::http
