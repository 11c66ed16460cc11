-- Calendar budgets and blocks: the limits that outlive the process. Counts of windows and permits
-- are memory alone.
CREATE TABLE limit_budget (
  project TEXT NOT NULL,
  scope TEXT NOT NULL,
  id TEXT NOT NULL,
  -- 1 daily, 2 weekly, 3 monthly; 0: the id is blocked.
  period INTEGER NOT NULL,
  start_at INTEGER NOT NULL,
  end_at INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (project, scope, id, period)
);
CREATE INDEX limit_budget_end ON limit_budget (end_at);
