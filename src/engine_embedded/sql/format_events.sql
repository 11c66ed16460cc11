-- Streams, locks and what goes on right now. Moments are microseconds since 1970.

CREATE TABLE stream (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  -- The stamp at which this life of the stream began.
  epoch INTEGER NOT NULL,
  -- Offsets of the oldest event that is kept, and of the newest; first = last + 1 where none is.
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  last_stamp INTEGER NOT NULL,
  last_at INTEGER,
  -- The stamp of the event before the first, and when the first is looked at for its age.
  before_stamp INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  -- 1: what it keeps is its own, and not the defaults.
  own INTEGER NOT NULL,
  keep_count INTEGER NOT NULL,
  keep_age INTEGER NOT NULL,
  keep_bytes INTEGER NOT NULL,
  UNIQUE (project, name)
);

CREATE TABLE event (
  -- The stream's id times 2^40, plus the offset.
  id INTEGER PRIMARY KEY,
  stamp INTEGER NOT NULL,
  at INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  type TEXT NOT NULL,
  source TEXT,
  correlation_id TEXT,
  event_id TEXT,
  payload TEXT NOT NULL
);

-- The ids that publishers gave their events, for a day.
CREATE TABLE event_id (
  -- Of the event.
  stamp INTEGER PRIMARY KEY,
  stream INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  id TEXT NOT NULL,
  offset INTEGER NOT NULL,
  at INTEGER NOT NULL,
  UNIQUE (stream, id)
);

-- What is kept for a while after it was last heard of.
CREATE TABLE live (
  -- 0 lock, 1 progress, 2 agent, 3 connection, 4 fence.
  kind INTEGER NOT NULL,
  project TEXT NOT NULL,
  -- The flow of an agent; empty for all others.
  flow TEXT NOT NULL,
  name TEXT NOT NULL,
  made_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- Of a lock: its fence.
  version INTEGER NOT NULL,
  -- Texts, each with its length before it.
  value TEXT NOT NULL,
  PRIMARY KEY (kind, project, flow, name)
) WITHOUT ROWID;
