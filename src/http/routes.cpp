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
    route{method::post, "/v1/cache:mget", &get_many_cached, body_kind::json},
    route{method::post, "/v1/cache:mset", &put_many_cached, body_kind::json},
    route{method::post, "/v1/cache:mdelete", &delete_many_cached, body_kind::json},
    route{method::get, "/v1/cache", &list_cached},
    route{method::remove, "/v1/cache", &invalidate_cached},
    route{method::post, "/v1/cache/{key}:claim", &claim_cached, body_kind::json},
    route{method::get, "/v1/cache/{key}", &get_cached},
    route{method::put, "/v1/cache/{key}", &put_cached, body_kind::bytes},
    route{method::remove, "/v1/cache/{key}", &delete_cached},
    route{method::get, "/admin/cache/stats", &show_cache_stats},
    route{method::remove, "/admin/cache/clear", &clear_cached},
    route{method::get, "/health/cache", &show_cache_health},
    route{method::get, "/admin/backup", &send_backup},
    route{method::get, "/health", &show_health},
    route{method::get, "/health/live", &show_live},
    route{method::get, "/health/ready", &show_ready},
    route{method::get, "/metrics", &show_metrics},
    route{method::get, "/openapi.json", &show_openapi},
    route{method::get, "/", &show_page},
    route{method::post, "/v1/limits:check", &check_limits, body_kind::json},
    route{method::post, "/v1/limits:refund", &refund_limits, body_kind::json},
    route{method::post, "/v1/limits:settle", &settle_limits, body_kind::json},
    route{method::post, "/v1/tokens:consume", &consume_tokens, body_kind::json},
    route{method::post, "/admin/limits:reset", &reset_limits, body_kind::json},
};

}  // namespace

std::span<const route> all_routes() noexcept { return table; }

}  // namespace millrace::http
