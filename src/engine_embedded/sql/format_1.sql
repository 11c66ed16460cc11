-- Format 1 of a millrace database.
--
-- Made to be looked at with sqlite3 while no server has it open: `SELECT * FROM jobs`.
-- Moments are microseconds since 1970-01-01T00:00:00Z; `datetime(x / 1000000, 'unixepoch')`.
-- There is no index but the primary keys of the hot tables: what is waiting, and in which order, is
-- kept in memory and rebuilt at open, because an index costs more than the row.

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE queue (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  paused INTEGER NOT NULL,
  draining INTEGER NOT NULL,
  -- JSON; what it leaves out has its default.
  settings TEXT NOT NULL,
  UNIQUE (project, name)
);

-- What a producer asked for. Written once, in the order of the ids, so that it is only appended to.
-- The small columns come first, so that opening does not read through the data.
CREATE TABLE job (
  -- The stamp of the job's id.
  id INTEGER PRIMARY KEY,
  queue INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  -- When it is due for the first time; NULL: when it was made.
  run_at INTEGER,
  -- 0 memory, 1 async; NULL: durable.
  level INTEGER,
  group_key TEXT,
  unique_key TEXT,
  -- 0 reject, 1 replace, 2 debounce.
  unique_mode INTEGER,
  type TEXT,
  correlation_id TEXT,
  -- JSON object.
  labels TEXT,
  -- JSON object of what is asked for rarely: backoff, lease, timeout, traceparent, codec, key_id.
  options TEXT,
  data TEXT NOT NULL
);

-- What became of a job, from the end of its first run on. A lease alone writes nothing here: see the
-- file `leases`.
CREATE TABLE job_state (
  id INTEGER PRIMARY KEY,
  -- 0 queued, 1 scheduled, 3 retrying, 4 completed, 5 dead, 6 cancelled. A scheduled or retrying
  -- job whose run_at has passed is queued.
  status INTEGER NOT NULL,
  -- Runs ended.
  attempts INTEGER NOT NULL,
  -- Of the last run that ended; a lease with a greater token is still going on.
  token INTEGER NOT NULL,
  version INTEGER NOT NULL,
  -- NULL: that of the job.
  run_at INTEGER,
  -- The stamp that orders it among jobs of the same run_at; NULL: its id.
  ready INTEGER,
  priority INTEGER,
  cancel_requested INTEGER,
  started_at INTEGER,
  finished_at INTEGER,
  first_failed_at INTEGER,
  failed_at INTEGER,
  progress REAL,
  progress_message TEXT,
  progress_at INTEGER,
  log_lines INTEGER,
  error_code TEXT,
  -- The cause behind `error`, by which dead letters are counted.
  fingerprint TEXT,
  error TEXT,
  checkpoint TEXT,
  result TEXT
);

CREATE TABLE job_log (
  job INTEGER NOT NULL,
  stamp INTEGER NOT NULL,
  at INTEGER NOT NULL,
  line TEXT NOT NULL,
  PRIMARY KEY (job, stamp)
) WITHOUT ROWID;

CREATE TABLE cron (
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  queue TEXT NOT NULL,
  schedule TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  catch_up INTEGER NOT NULL,
  overlap INTEGER NOT NULL,
  paused INTEGER NOT NULL,
  next_at INTEGER,
  last_fired_at INTEGER,
  last_job TEXT,
  fired INTEGER NOT NULL,
  skipped INTEGER NOT NULL,
  version INTEGER NOT NULL,
  -- JSON: the job it enqueues.
  job TEXT NOT NULL,
  -- Which of the job's members the queue's settings decide.
  default_attempts INTEGER NOT NULL,
  default_backoff INTEGER NOT NULL,
  default_level INTEGER NOT NULL,
  PRIMARY KEY (project, name)
) WITHOUT ROWID;

CREATE TABLE idempotency (
  stamp INTEGER PRIMARY KEY,
  made_at INTEGER NOT NULL,
  project TEXT NOT NULL,
  route TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint INTEGER NOT NULL,
  level INTEGER NOT NULL,
  -- JSON: the outcomes of then.
  outcomes TEXT NOT NULL,
  UNIQUE (project, route, key)
);

CREATE VIEW jobs AS
SELECT
  job.id,
  queue.project,
  queue.name AS queue,
  CASE coalesce(state.status, CASE WHEN job.run_at IS NULL THEN 0 ELSE 1 END)
    WHEN 0 THEN 'queued' WHEN 1 THEN 'scheduled' WHEN 3 THEN 'retrying'
    WHEN 4 THEN 'completed' WHEN 5 THEN 'dead' WHEN 6 THEN 'cancelled' END AS status,
  coalesce(state.attempts, 0) AS attempts,
  job.max_attempts,
  coalesce(state.priority, job.priority) AS priority,
  datetime(job.created_at / 1000000, 'unixepoch') AS created,
  datetime(coalesce(state.run_at, job.run_at, job.created_at) / 1000000, 'unixepoch') AS due,
  datetime(state.finished_at / 1000000, 'unixepoch') AS finished,
  job.type,
  job.data,
  state.result,
  state.error
FROM job
JOIN queue ON queue.id = job.queue
LEFT JOIN job_state AS state ON state.id = job.id;

-- Calendar budgets: the limits that outlive the process. Counts of windows are memory alone.
CREATE TABLE limit_budget (
  project TEXT NOT NULL,
  scope TEXT NOT NULL,
  id TEXT NOT NULL,
  -- 1 daily, 2 weekly, 3 monthly.
  period INTEGER NOT NULL,
  start_at INTEGER NOT NULL,
  end_at INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (project, scope, id, period)
);
CREATE INDEX limit_budget_end ON limit_budget (end_at);
