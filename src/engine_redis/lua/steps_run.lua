-- lease, and the steps of a run: ack, fail, extend, snooze, report.

local function lease_end(job, length)
  if not job.timeout then return now + length end
  return min(now + length, job.started + job.timeout)
end

local function grant(queue, job, length)
  job.leased_until = lease_end(job, length)
  change.watch_lease(queue, job)
end

local function start_run(queue, job, length, worker)
  rates.note_start(queue, job.group)
  if job.group then
    ready.count_run(queue, job.group, 1)
    ready.wake_group(queue, job.group)
  end
  job.lease_length = length or job.lease or limits.lease_default
  change.set_status(queue, job, running)
  job.attempts = job.attempts + 1
  job.started = now
  job.token = next_stamp()
  job.worker = worker
  grant(queue, job, job.lease_length)
  change.touch(job)
end

-- Whether the job's group is at its bound; when its rate opens, if that is why.
local function is_held_back(queue, job)
  if not job.group then return false end
  local opens = rates.group_opens(queue, job.group)
  if opens then return true, opens end
  local most = queue.settings.group_concurrency
  return most > 0 and ready.group_runs(queue, job.group) >= most
end

-- The same for a job that is a text: the end of its lease, its token, and both with its attempts as
-- they are packed. Nothing for one of a group.
local function start_text(queue, id, text, length, worker)
  local token = max(state.stamp + 1, now)
  local till, packed_token, answer = runs.start(queue, id, text, length, worker, token)
  if not till then return nil end
  state.stamp = token + 1
  if queue.settings.rate.limit > 0 then rates.note_start(queue, nil) end
  local count = queue.count
  count[queued], count[running] = count[queued] - 1, count[running] + 1
  queues.change(queue)
  queues.due_at(queue, till)
  change.hint_job(queue.tag, id)
  return till, token, packed_token, answer
end

-- What a lease has handed out: `add` gets queue, id, text, token, end of the lease, and as they are
-- packed the token, and attempts with that end. The text need not say what the run changes.
-- False: it gave up before it had looked at every job.
local function lease_from(queue, most, length, worker, plan, out)
  local cursor, parked, settings = ready.open(queue), 0, queue.settings
  while out.count < most and parked < ready.looked_at do
    if settings.concurrency > 0 and queue.count[running] >= settings.concurrency then break end
    if settings.rate.limit > 0 and rates.queue_opens(queue) then break end
    local job, id = cursor:peek(most - out.count)
    if not job then break end
    local till, token, packed_token, packed
    if type(job) == 'string' and not plan.addressed[id] then
      till, token, packed_token, packed = start_text(queue, id, job, length, worker or '')
    end
    if till then
      cursor:take(id)
      out:add(queue, id, job, token, till, packed_token, packed)
    else
      job = jobs.find(queue.tag, id)
      if plan.addressed[id] then
        cursor:pass(job)
      else
        local held, opens = is_held_back(queue, job)
        if held then
          cursor:park(job, opens)
          parked = parked + 1
        else
          cursor:take(job)
          start_run(queue, job, length, worker)
          out:add(queue, id, jobs.encode(job), job.token, job.leased_until,
                  struct.pack('>I7', job.token),
                  struct.pack('>Hi7', job.attempts, job.leased_until))
        end
      end
    end
  end
  cursor:close()
  return parked < ready.looked_at
end

local groups_asked = 100  -- for the times at which their rates open

-- When something may become available in the queue though nobody does anything.
local function next_in(queue, full)
  if not queue.number or queue.paused then return nil end
  local time = queue.next
  if not full then time = queues.next_time(queue) end
  if queue.count[queued] == 0 then return time end
  time = earlier(time, rates.queue_opens(queue))
  if queue.settings.group_rate.limit > 0 then
    local groups = rates.groups(queue, groups_asked + 1)
    for _, group in ipairs(groups) do time = earlier(time, rates.group_opens(queue, group)) end
    if #groups > groups_asked then time = earlier(time, now + 100000) end
  end
  return time
end

-- Leases up to `most` jobs of the queues into `out`; answers when something may become available.
function lease(numbers, most, length, worker, plan, out)
  local next_time
  for _, number in ipairs(numbers) do
    local queue = queues.open(batch_queues[number])
    if queue and not queue.paused then
      if not lease_from(queue, most, length, worker, plan, out) then next_time = now end
    end
  end
  for _, number in ipairs(numbers) do
    next_time = earlier(next_time, next_in(batch_queues[number], out.count >= most))
  end
  return next_time
end

local leased = {}
leased.__index = leased

-- Token, what the run changes, and the job as `answers.job` has it.
function leased:add(queue, id, text, token, till, packed_token, packed)
  local count = self.count + 1
  self.count = count
  self[count] = pack(token, till, now, struct.unpack('>H', packed), self.worker, queue.tag, id,
                     queue.project, queue.name, #text) .. text
  if self.kept then self.kept[count] = pack(token, till, queue.tag, id) end
end

steps[2] = {
  arity = 4,
  check = function() end,
  apply = function(step, plan)
    local out = setmetatable({count = 0, worker = step[5], kept = plan.kept and {}}, leased)
    local next_time = lease(step[2], step[3], step[4], step[5], plan, out)
    local head = pack('l', next_time, out.count)
    if plan.kept then plan.kept = head .. concat(out.kept) end
    return head .. concat(out)
  end,
}

local function check_run(step)
  local job = find_addressed(step)
  if not job then return 'job_not_found' end
  if job.status ~= running or job.token ~= step[4] then return 'stale_token' end
end

local function run_step(number, arity, apply)
  steps[number] = {
    arity = arity,
    addressed = addressed,
    check = check_run,
    apply = function(step)
      local job = find_addressed(step)
      return apply(queues.of(job), job, unpack(step, 5, arity + 1))
    end,
  }
end

-- Why a run cannot be acknowledged.
function ack_refused(tag, id, token)
  local job = jobs.of_tag(tag)[id]
  if type(job) ~= 'table' then
    local runs_so = runs.has_token(tag, id, token)
    if runs_so ~= nil then return not runs_so and 'stale_token' or nil end
    job = jobs.find(tag, id)
  end
  if not job then return 'job_not_found' end
  if job.status ~= running or job.token ~= token then return 'stale_token' end
end

local function ack_job(job, packed_result)
  local queue = queues.of(job)
  local _, result = unpack_some(packed_result, 1, 0)
  change.release(queue, job)
  rare(job).result = result
  queues.count_event(queue, now, 2)
  change.end_job(queue, job, completed, now)
  change.touch(job)
  return job.attempts, job.run_at, job.cancel
end

-- The run succeeded: attempts, whether it was to be cancelled and when it was to run, as packed by
-- `runs.complete`. `name`: the id as text.
function ack(tag, id, name, token, packed_result)
  local queue, packed
  local version = max(state.stamp + 1, now)
  if type(jobs.of_tag(tag)[id]) ~= 'table' then
    queue, packed = runs.complete(tag, id, token, packed_result, version)
  end
  if not queue then
    local attempts, run_at, cancel = ack_job(jobs.find(tag, id), packed_result)
    return struct.pack('>HBi7', attempts, cancel and 1 or 0, run_at)
  end
  state.stamp = version
  local names = ended.names(queue, jobs.bucket_of(tag, id))
  names[#names + 1] = name
  change.make_room(queue)
  queues.count_event(queue, now, 2)
  local count = queue.count
  count[running], count[completed] = count[running] - 1, count[completed] + 1
  queues.change(queue)
  change.note_ended(queue, now)
  change.hint_job(tag, id)
  return packed
end

steps[3] = {
  arity = 4,
  addressed = addressed,
  check = function(step) return ack_refused(step[2], step[3], step[4]) end,
  apply = function(step)
    local tag, id = step[2], step[3]
    local packed = ack(tag, id, text_of(id), step[4], pack(step[5]))
    local attempts, cancel, run_at = struct.unpack('>HBi7', packed)
    return pack('c', tag, id, completed, attempts, run_at, cancel == 1)
  end,
}

run_step(4, 7, function(queue, job, text, cause, permanent, retry_in)
  change.end_failed_run(queue, job, now, text, cause,
                        retry.after_failure(job, queue.settings, permanent, retry_in))
  change.touch(job)
  return answers.changed(job)
end)

run_step(5, 5, function(queue, job, length, checkpoint)
  grant(queue, job, length or job.lease_length)
  if checkpoint then rare(job).checkpoint = checkpoint end
  change.touch(job)
  return pack('x', job.leased_until, job.cancel)
end)

run_step(6, 4, function(queue, job, delay)
  change.release(queue, job)
  job.attempts = job.attempts - 1
  if job.cancel then
    change.end_job(queue, job, cancelled, now)
  else
    change.wait_until(queue, job, scheduled, now + delay)
  end
  change.touch(job)
  return answers.changed(job)
end)

run_step(7, 6, function(_, job, value, message, lines)
  if value or message then
    local details = rare(job)
    details.progress = value or details.progress or 0
    details.progress_message = message or details.progress_message or ''
    details.progress_at = now
  end
  if #lines > 0 then
    local key, elements = change.log_key(job.tag, job.id), {}
    for i, line in ipairs(lines) do elements[i] = pack(next_stamp(), now, line) end
    in_pieces('RPUSH', key, elements)
    redis_call('LTRIM', key, -limits.log_lines, -1)
    job.log = true
  end
  change.touch(job)
  return answers.changed(job)
end)
