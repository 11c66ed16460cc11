-- What every step does to a job: its moves between the states of its life, each kept in step with
-- the counts, the sorted sets and the unique keys of its queue.

local ended_in  -- queues in which a job ended, whose ended jobs may be too many

local trims_at_once  -- one of them keeps exactly so many after every transaction

-- Below that a queue does, above it after every call, and up to as many more as ended in one call.
local exactly_kept = 1000

-- From there on it is by whole buckets (buckets.lua), once there are so many more: jobs are
-- mostly made and done in one order, and forgetting a thousand at once costs what one costs.
local by_buckets_from, whole_from = 50000, 2048
local trimmed_at_once = 4000

ended_in = {}

function change.begin_anew()
  emptied(ended_in)
  trims_at_once = false
end

-- A unique key is held until the job ends.
local function let_go(queue, job)
  if not job.unique then return end
  if queues.holder(queue, job.unique) == job then queues.hold(queue, job.unique, nil) end
end

local function finished_member(job)
  local flag = job.status == completed and 'c' or 'x'
  return job.name .. (job.log and string.upper(flag) or flag)
end

-- Takes the job out of whatever its status has it stand in.
local function leave(queue, job)
  local status, id = job.status, job.name
  if status == queued then
    ready.remove(queue, job)
  elseif status == scheduled then
    later.score(queue.scheduled_key, id, false)
  elseif status == retrying then
    later.score(queue.retry_key, id, false)
  elseif status == running then
    later.score(queue.leases_key, id, false)
  elseif status == dead then
    later.score(queue.dlq_key, id, false)
    change.uncount_dead(queue, job)
  else
    ended.leave(queue, job, finished_member(job))
  end
end

function change.set_status(queue, job, status)
  queue.count[job.status] = queue.count[job.status] - 1
  queue.count[status] = queue.count[status] + 1
  job.status = status
  queues.change(queue)
end

-- The last act of every change.
function change.touch(job)
  job.version = next_stamp()
  jobs.change(job)
  if hints.wanted then hints.jobs[#hints.jobs + 1] = job end
end

function change.hint_available(queue, count)
  hints.available[queue] = (hints.available[queue] or 0) + count
end

-- The job stands nowhere when one of the next three is called.

function change.make_available(queue, job, time)
  change.set_status(queue, job, queued)
  job.run_at = time
  job.available = next_stamp()
  if job.id < queue.first_waiting then queue.first_waiting = job.id end
  ready.push(queue, job)
  change.hint_available(queue, 1)
end

function change.wait_until(queue, job, status, time)
  if time <= now then return change.make_available(queue, job, time) end
  change.set_status(queue, job, status)
  job.run_at = time
  if job.id < queue.first_waiting then queue.first_waiting = job.id end
  later.score(status == scheduled and queue.scheduled_key or queue.retry_key, job.name,
              time)
  queues.due_at(queue, time)
end

function change.end_job(queue, job, status, time)
  change.set_status(queue, job, status)
  job.finished = time
  let_go(queue, job)
  if status == dead then
    local failed = rare(job).failed
    later.score(queue.dlq_key, job.name, failed)
    change.count_dead(queue, job)
    local keep = queue.settings.keep_dead
    if keep > 0 then queues.forget_at(queue, failed + keep) end
    return
  end
  change.keep_ended(queue, finished_member(job), time)
end

function change.keep_ended(queue, member, time)
  queue.has_others = true
  later.score(queue.finished_key, member, time)
  change.note_ended(queue, time)
end

-- Whether a queue has to be trimmed after every transaction.
function change.keeps_exactly(queue)
  local keep = queue.settings.keep_finished_count
  return keep > 0 and keep <= exactly_kept
end

function change.note_ended(queue, time)
  touch(change)
  ended_in[queue] = true
  if change.keeps_exactly(queue) then trims_at_once = true end
  local keep = queue.settings.keep_finished
  if keep > 0 then queues.forget_at(queue, time + keep) end
end

-- Takes it out of what it stands in, for one of those three.
change.displace = leave

-- Has the end of the lease looked at in time. An epoch that begins gives the lease its usual length
-- from then on, which may be less than it was extended to: so it is looked at that soon.
function change.watch_lease(queue, job)
  local time = min(job.leased_until, now + job.lease_length)
  later.score(queue.leases_key, job.name, time)
  queues.due_at(queue, time)
end

-- The job gives its lease back, however its run ended.
function change.release(queue, job)
  later.score(queue.leases_key, job.name, false)
  job.leased_until, job.worker = nil, nil
  if job.group then
    ready.count_run(queue, job.group, -1)
    if queue.settings.group_concurrency > 0 then ready.wake_group(queue, job.group) end
  end
  change.make_room(queue)
end

-- A run less counts against the bounds.
function change.make_room(queue)
  local settings = queue.settings
  local bounded = settings.concurrency > 0 or settings.group_concurrency > 0
  if bounded and queue.count[queued] > 0 then change.hint_available(queue, 1) end
end

-- `cause`: the fingerprint of the error.
function change.end_failed_run(queue, job, time, text, cause, status, run_at, priority, code)
  change.release(queue, job)
  local details = rare(job)
  details.error, details.error_code, details.failed = text, code, time
  details.first_failed = details.first_failed or time
  details.cause = status == dead and cause or nil
  job.priority = priority
  queues.count_event(queue, time, 3)
  if status == dead then queues.count_event(queue, time, 4) end
  redis_call('SADD', prefix .. 'troubled', queue.number)
  if status == dead or status == cancelled then
    change.end_job(queue, job, status, time)
  else
    change.wait_until(queue, job, status, run_at)
  end
end

function change.hint_job(tag, id)
  if hints.wanted then hints.jobs[#hints.jobs + 1] = {tag = tag, id = id} end
end

local function log_key(tag, id) return prefix .. 'task:' .. tag .. '~' .. text_of(id) .. ':log' end
change.log_key = log_key

-- Forgets a job that does not run.
function change.forget(queue, job)
  leave(queue, job)
  if job.status < completed then let_go(queue, job) end
  queue.count[job.status] = queue.count[job.status] - 1
  queues.change(queue)
  if job.log then redis_call('DEL', log_key(job.tag, job.id)) end
  jobs.remove(job.tag, job.id, job.name)
  change.hint_job(job.tag, job.id)
end

-- Where no bucket can go as a whole, jobs go one by one for a while.
local function trim_by_buckets(queue, over)
  if over <= whole_from then return end
  local one_by_one = queue.one_by_one or 0
  if one_by_one <= 0 then
    if ended.forget_buckets(queue, min(over, trimmed_at_once)) > 0 then return end
    one_by_one = whole_from / 4
  end
  local most = min(over - whole_from, trimmed_at_once)
  ended.forget(queue, most, nil, true)
  queue.one_by_one = one_by_one - most
end

local function trim(queue, at_end)
  local keep = queue.settings.keep_finished_count
  if keep == 0 or (keep > exactly_kept and not at_end) then return false end
  local over = queue.count[completed] + queue.count[cancelled] - keep
  if keep >= by_buckets_from then
    trim_by_buckets(queue, over)
  elseif over > 0 then
    ended.forget(queue, min(over, trimmed_at_once), nil, keep > exactly_kept)
  end
  return over <= trimmed_at_once
end

function change.trim_ended(at_end)
  if (not at_end and not trims_at_once) or next(ended_in) == nil then return end
  for queue in pairs(ended_in) do
    if trim(queue, at_end) then ended_in[queue] = nil end
  end
end

function change.trim_later(queue)
  touch(change)
  ended_in[queue], trims_at_once = true, true
end

local forget_from = 20  -- queues at once

-- What has been kept long enough goes, a little with every call. False: there may be more of it.
function change.forget_old(most)
  local numbers = redis_call('ZRANGEBYSCORE', prefix .. 'forget', '-inf', now, 'LIMIT', 0,
                             forget_from)
  for _, number in ipairs(numbers) do
    local queue = queues.numbered(tonumber(number))
    local keep = queue.settings
    if keep.keep_finished > 0 then ended.forget(queue, most, now - keep.keep_finished) end
    if keep.keep_dead > 0 then
      later.settle_scores(queue.dlq_key)
      for _, id in ipairs(redis_call('ZRANGEBYSCORE', queue.dlq_key, '-inf', now - keep.keep_dead,
                                     'LIMIT', 0, most)) do
        local job = jobs.find(queue.tag, tonumber(id))
        if job then change.forget(queue, job) else later.score(queue.dlq_key, id, false) end
      end
    end
    queues.find_forget(queue)
  end
  return #numbers == 0
end

-- Dead letters by the cause of their death.
--   queue:{project}/{name}:causes   hash: fingerprint -> how many, and one error as it was

local function causes_key(queue) return queue.key .. ':causes' end
change.causes_key = causes_key

function change.count_dead(queue, job)
  local details = rare(job)
  queue.dead_attempts = queue.dead_attempts + job.attempts
  local key, cause = causes_key(queue), details.cause or ''
  local kept = redis_call('HGET', key, cause)
  if not kept and redis_call('HLEN', key) >= limits.causes then
    cause = 'other'
    details.other_cause = true
    kept = redis_call('HGET', key, cause)
  end
  local count, sample = 0, details.error
  if kept then
    local _
    _, count, sample = unpack_some(kept, 2, 0)
  end
  redis_call('HSET', key, cause, pack(count + 1, sample))
end

function change.uncount_dead(queue, job)
  local details = rare(job)
  queue.dead_attempts = queue.dead_attempts - job.attempts
  local key, cause = causes_key(queue), details.other_cause and 'other' or details.cause or ''
  details.other_cause = nil
  local kept = redis_call('HGET', key, cause)
  if not kept then return end
  local _, count, sample = unpack_some(kept, 2, 0)
  if count <= 1 then
    redis_call('HDEL', key, cause)
  else
    redis_call('HSET', key, cause, pack(count - 1, sample))
  end
end
