-- The cache. It may be emptied at any time: `DELETE FROM cache_entry`.

-- In the order of versions, so that it is only appended to; what is under a key is kept in memory.
CREATE TABLE cache_entry (
  -- The version.
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  key TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- When it is forgotten; later than expires_at where it may be served stale.
  stale_until INTEGER NOT NULL,
  -- What it counts against the quota.
  bytes INTEGER NOT NULL,
  content_type TEXT,
  -- One a line.
  tags TEXT,
  value BLOB NOT NULL
);

-- When a tag was invalidated last: entries with the tag that are older are gone. Two rows are no
-- tags: the empty one, when the project was cleared; char(1), how old entries with any tag may be.
CREATE TABLE cache_mark (
  project TEXT NOT NULL,
  tag TEXT NOT NULL,
  stamp INTEGER NOT NULL,
  PRIMARY KEY (project, tag)
) WITHOUT ROWID;
