-- Sessions: a row for each id that shows something. Moments and spans are microseconds.

CREATE TABLE session (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  -- Of the id that people have; the id itself stands nowhere.
  hash TEXT NOT NULL,
  ref INTEGER NOT NULL,
  user TEXT NOT NULL,
  label TEXT NOT NULL,
  idle INTEGER NOT NULL,
  absolute INTEGER NOT NULL,
  touch_every INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  touched_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  -- 1: an id that the session had before.
  former INTEGER NOT NULL,
  -- The hash of the former id, or of the present one where this is the former.
  other TEXT NOT NULL,
  -- Names and values, each with its length before it.
  fields TEXT NOT NULL,
  UNIQUE (project, hash)
);
CREATE INDEX session_of_user ON session (project, user, ref) WHERE former = 0;
CREATE INDEX session_by_age ON session (project, ref) WHERE former = 0;
CREATE INDEX session_end ON session (expires_at);
