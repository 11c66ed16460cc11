-- Groups of consumers. Moments are microseconds since 1970.

CREATE TABLE event_group (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  stream TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- Behind the last event that was delivered for the first time.
  epoch INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  stamp INTEGER NOT NULL,
  UNIQUE (project, stream, name)
);

-- Events that are delivered and not settled.
CREATE TABLE event_delivery (
  of INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  -- Of the event.
  stamp INTEGER NOT NULL,
  consumer TEXT NOT NULL,
  deliveries INTEGER NOT NULL,
  delivered_at INTEGER NOT NULL,
  lease_ends_at INTEGER NOT NULL,
  PRIMARY KEY (of, offset)
) WITHOUT ROWID;
