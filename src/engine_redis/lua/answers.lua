-- How outcomes and answers are written down: values one after the other, the first of an outcome
-- says what it is.

-- A job as a whole: tag, id, project, queue, length of the record, and the record behind it; the
-- last three empty where it is gone.
function answers.job(tag, id, job)
  if not job then return pack(tag, id, nil, nil, nil) end
  local queue = queues.of(job)
  local text = jobs.encode(job)
  return pack(tag, id, queue.project, queue.name, #text) .. text
end

function answers.changed(job)
  return pack('c', job.tag, job.id, job.status, job.attempts, job.run_at, job.cancel)
end

function answers.made(id, status, run_at, version, spec)
  return pack('e', id, status, now, run_at, version, spec.level, spec.attempts_max, spec.backoff)
end

-- Of an enqueue that made no job.
function answers.held(job, duplicate, replaced)
  return pack('E', duplicate, replaced) .. answers.job(job.tag, job.id, job)
end
