-- The statements of the engine, each under its name. Parameters are numbered in the order in which
-- the code binds them.

-- :pragmas
PRAGMA journal_mode = WAL;
-- No sync inside a commit: the log is synced by the engine, while the next group is built.
PRAGMA synchronous = NORMAL;
-- Debian's build overwrites deleted content with zeros by default; that doubles what a delete writes.
PRAGMA secure_delete = OFF;
PRAGMA wal_autocheckpoint = 0;
PRAGMA temp_store = MEMORY;
PRAGMA foreign_keys = OFF;

-- :begin
BEGIN IMMEDIATE

-- :commit
COMMIT

-- :rollback
ROLLBACK

-- :read_meta
SELECT value FROM meta WHERE name = ?1

-- :write_meta
INSERT INTO meta (name, value) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- :write_queue
INSERT INTO queue (id, project, name, paused, draining, settings) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (id) DO UPDATE SET
  paused = excluded.paused, draining = excluded.draining, settings = excluded.settings

-- :read_queues
SELECT id, project, name, paused, draining, settings FROM queue ORDER BY id

-- :insert_job
INSERT INTO job (id, queue, priority, max_attempts, created_at, run_at, level, group_key, unique_key,
                 unique_mode, type, correlation_id, labels, options, data)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)

-- :renew_job
UPDATE job SET type = ?2, labels = ?3, data = ?4 WHERE id = ?1

-- :drop_unique
UPDATE job SET unique_key = NULL, unique_mode = NULL WHERE id = ?1

-- :read_job
SELECT job.id, job.queue, job.priority, job.max_attempts, job.created_at, job.run_at, job.level,
       job.group_key, job.unique_key, job.unique_mode, job.type, job.correlation_id, job.labels,
       job.options, job.data,
       state.status, state.attempts, state.token, state.version, state.run_at, state.ready,
       state.priority, state.cancel_requested, state.started_at, state.finished_at,
       state.first_failed_at, state.failed_at, state.progress, state.progress_message,
       state.progress_at, state.log_lines, state.error_code, state.fingerprint, state.error,
       state.checkpoint, state.result
FROM job LEFT JOIN job_state AS state ON state.id = job.id
WHERE job.id = ?1

-- :read_state
SELECT status, attempts, token, version, run_at, ready, priority, cancel_requested, started_at,
       finished_at, first_failed_at, failed_at, progress, progress_message, progress_at, log_lines,
       error_code, fingerprint, error, checkpoint, result
FROM job_state WHERE id = ?1

-- :write_state
INSERT OR REPLACE INTO job_state
  (id, status, attempts, token, version, run_at, ready, priority, cancel_requested, started_at,
   finished_at, first_failed_at, failed_at, progress, progress_message, progress_at, log_lines,
   error_code, fingerprint, error, checkpoint, result)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
        ?21, ?22)

-- The first run succeeded: by far the most frequent end.
-- :insert_completed
INSERT INTO job_state (id, status, attempts, token, version, started_at, finished_at, result)
VALUES (?1, 4, ?2, ?3, ?4, ?5, ?6, ?7)

-- :delete_job
DELETE FROM job WHERE id = ?1

-- :delete_state
DELETE FROM job_state WHERE id = ?1

-- :delete_log
DELETE FROM job_log WHERE job = ?1

-- :read_jobs
SELECT id, queue, priority, max_attempts, created_at, run_at, group_key, unique_key, correlation_id
FROM job ORDER BY id

-- :read_states
SELECT id, status, attempts, token, version, run_at, ready, priority, cancel_requested, finished_at,
       log_lines, CASE WHEN status = 5 THEN fingerprint END, CASE WHEN status = 5 THEN error END
FROM job_state ORDER BY id

-- :list_ids_below
SELECT id, queue FROM job WHERE id < ?1 ORDER BY id DESC LIMIT ?2

-- :insert_log
INSERT INTO job_log (job, stamp, at, line) VALUES (?1, ?2, ?3, ?4)

-- :trim_log
DELETE FROM job_log WHERE job = ?1 AND stamp IN
  (SELECT stamp FROM job_log WHERE job = ?1 ORDER BY stamp LIMIT ?2)

-- :read_log
SELECT stamp, at, line FROM job_log WHERE job = ?1 AND stamp > ?2 ORDER BY stamp

-- :any_log
SELECT 1 FROM job_log LIMIT 1

-- :read_crons
SELECT project, name, queue, schedule, time_zone, catch_up, overlap, paused, next_at, last_fired_at,
       last_job, fired, skipped, version, job, default_attempts, default_backoff, default_level
FROM cron

-- :write_cron
INSERT OR REPLACE INTO cron (project, name, queue, schedule, time_zone, catch_up, overlap, paused,
                             next_at, last_fired_at, last_job, fired, skipped, version, job,
                             default_attempts, default_backoff, default_level)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)

-- :delete_cron
DELETE FROM cron WHERE project = ?1 AND name = ?2

-- :find_idempotency
SELECT stamp, made_at, fingerprint, level, outcomes FROM idempotency
WHERE project = ?1 AND route = ?2 AND key = ?3

-- :insert_idempotency
INSERT OR REPLACE INTO idempotency (stamp, made_at, project, route, key, fingerprint, level, outcomes)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)

-- :delete_idempotency
DELETE FROM idempotency WHERE stamp = ?1

-- :read_idempotency_ages
SELECT stamp, made_at FROM idempotency ORDER BY stamp

-- :copy_to
VACUUM INTO ?1

-- :insert_cache
INSERT INTO cache_entry (id, project, key, created_at, expires_at, stale_until, bytes, content_type,
                         tags, value)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)

-- :delete_cache
DELETE FROM cache_entry WHERE id = ?1

-- :read_cache
SELECT value FROM cache_entry WHERE id = ?1

-- :read_cache_rows
SELECT id, project, key, created_at, expires_at, stale_until, bytes, content_type, tags
FROM cache_entry ORDER BY id

-- :write_cache_mark
INSERT INTO cache_mark (project, tag, stamp) VALUES (?1, ?2, ?3)
ON CONFLICT (project, tag) DO UPDATE SET stamp = excluded.stamp

-- :delete_cache_mark
DELETE FROM cache_mark WHERE project = ?1 AND tag = ?2

-- :read_cache_marks
SELECT project, tag, stamp FROM cache_mark

-- :empty_cache
DELETE FROM cache_entry

-- :empty_cache_marks
DELETE FROM cache_mark

-- :write_budget
INSERT INTO limit_budget (project, scope, id, period, start_at, end_at, count)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (project, scope, id, period) DO UPDATE SET
  start_at = excluded.start_at, end_at = excluded.end_at, count = excluded.count

-- :delete_budget
DELETE FROM limit_budget WHERE project = ?1 AND scope = ?2 AND id = ?3 AND period = ?4

-- :sweep_budgets
DELETE FROM limit_budget WHERE rowid IN
  (SELECT rowid FROM limit_budget WHERE end_at <= ?1 LIMIT ?2)

-- :first_budget
SELECT min(end_at) FROM limit_budget

-- :read_budgets
SELECT project, scope, id, period, start_at, end_at, count FROM limit_budget

-- :read_streams
SELECT id, project, name, epoch, first, last, last_stamp, last_at, before_stamp, first_at, bytes,
       own, keep_count, keep_age, keep_bytes
FROM stream ORDER BY id

-- :write_stream
INSERT OR REPLACE INTO stream (id, project, name, epoch, first, last, last_stamp, last_at,
                               before_stamp, first_at, bytes, own, keep_count, keep_age, keep_bytes)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)

-- :delete_stream
DELETE FROM stream WHERE id = ?1

-- :insert_event
INSERT INTO event (id, stamp, at, bytes, type, source, correlation_id, event_id, payload)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)

-- :delete_event
DELETE FROM event WHERE id = ?1

-- :read_event_place
SELECT stamp, at, bytes FROM event WHERE id = ?1

-- :read_events_from
SELECT id, stamp, at, type, source, correlation_id, event_id, payload FROM event
WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3

-- :read_events_back
SELECT id, stamp, at, type, source, correlation_id, event_id, payload FROM event
WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3

-- :read_carrying_events
SELECT id, stamp, correlation_id FROM event WHERE correlation_id IS NOT NULL

-- :insert_event_id
INSERT OR REPLACE INTO event_id (stamp, stream, epoch, id, offset, at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)

-- :find_event_id
SELECT stamp, epoch, offset, at FROM event_id WHERE stream = ?1 AND id = ?2

-- :delete_event_id
DELETE FROM event_id WHERE stamp = ?1

-- :read_event_id_ages
SELECT stamp, at FROM event_id ORDER BY stamp

-- :read_live
SELECT kind, project, flow, name, expires_at FROM live

-- :find_live
SELECT made_at, updated_at, expires_at, version, value FROM live
WHERE kind = ?1 AND project = ?2 AND flow = ?3 AND name = ?4

-- :write_live
INSERT OR REPLACE INTO live (kind, project, flow, name, made_at, updated_at, expires_at, version,
                             value)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)

-- :delete_live
DELETE FROM live WHERE kind = ?1 AND project = ?2 AND flow = ?3 AND name = ?4

-- :list_live
SELECT name, made_at, updated_at, expires_at, version, value FROM live
WHERE kind = ?1 AND project = ?2 AND flow = ?3 AND name > ?4 ORDER BY name LIMIT ?5

-- :count_sessions
SELECT project, count(*), sum(former) FROM session GROUP BY project

-- :count_ending_sessions
SELECT project, count(*), sum(former) FROM session WHERE expires_at <= ?1 GROUP BY project

-- :delete_ended_sessions
DELETE FROM session WHERE expires_at <= ?1

-- :first_session_end
SELECT min(expires_at) FROM session

-- :find_session
SELECT hash, ref, user, label, idle, absolute, touch_every, created_at, touched_at, expires_at,
       version, former, other, fields
FROM session WHERE project = ?1 AND hash = ?2

-- :write_session
INSERT OR REPLACE INTO session (project, hash, ref, user, label, idle, absolute, touch_every,
                                created_at, touched_at, expires_at, version, former, other, fields)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)

-- :touch_session
UPDATE session SET touched_at = ?3, expires_at = ?4 WHERE project = ?1 AND hash = ?2

-- :delete_session
DELETE FROM session WHERE project = ?1 AND hash = ?2

-- :count_sessions_of_user
SELECT count(*) FROM session WHERE project = ?1 AND user = ?2 AND former = 0

-- :list_sessions_of_user
SELECT hash, ref, user, label, idle, absolute, touch_every, created_at, touched_at, expires_at,
       version
FROM session WHERE project = ?1 AND user = ?2 AND ref > ?3 AND former = 0 ORDER BY ref LIMIT ?4

-- :list_newest_sessions_of_user
SELECT hash, ref, user, label, idle, absolute, touch_every, created_at, touched_at, expires_at,
       version
FROM session WHERE project = ?1 AND user = ?2 AND ref < ?3 AND former = 0
ORDER BY ref DESC LIMIT ?4

-- :list_sessions
SELECT hash, ref, user, label, idle, absolute, touch_every, created_at, touched_at, expires_at,
       version
FROM session WHERE project = ?1 AND ref > ?2 AND former = 0 ORDER BY ref LIMIT ?3

-- :list_newest_sessions
SELECT hash, ref, user, label, idle, absolute, touch_every, created_at, touched_at, expires_at,
       version
FROM session WHERE project = ?1 AND ref < ?2 AND former = 0 ORDER BY ref DESC LIMIT ?3

-- :read_groups
SELECT id, project, stream, name, created_at, epoch, offset, stamp FROM event_group ORDER BY id

-- :write_group
INSERT OR REPLACE INTO event_group (id, project, stream, name, created_at, epoch, offset, stamp)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)

-- :delete_group
DELETE FROM event_group WHERE id = ?1

-- :read_deliveries
SELECT of, offset, stamp, consumer, deliveries, delivered_at, lease_ends_at FROM event_delivery

-- :write_delivery
INSERT OR REPLACE INTO event_delivery (of, offset, stamp, consumer, deliveries, delivered_at,
                                       lease_ends_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)

-- :delete_delivery
DELETE FROM event_delivery WHERE of = ?1 AND offset = ?2

-- :delete_deliveries
DELETE FROM event_delivery WHERE of = ?1
