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

-- False: it gave up before it had looked at every job.
local function lease_from(queue, most, length, worker, plan, out)
  local cursor, parked, settings = ready.open(queue), 0, queue.settings
  while #out < most and parked < ready.looked_at do
    if settings.concurrency > 0 and queue.count[running] >= settings.concurrency then break end
    if rates.queue_opens(queue) then break end
    local job = cursor:peek(most - #out)
    if not job then break end
    if plan.addressed[job] then
      cursor:pass(job)
    else
      local held, opens = is_held_back(queue, job)
      if held then
        cursor:park(job, opens)
        parked = parked + 1
      else
        cursor:take(job)
        start_run(queue, job, length, worker)
        out[#out + 1] = job
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
  if not full then time = queues.find_next(queue) end
  if queue.count[queued] == 0 then return time end
  time = earlier(time, rates.queue_opens(queue))
  if queue.settings.group_rate.limit > 0 then
    local groups = rates.groups(queue, groups_asked + 1)
    for _, group in ipairs(groups) do time = earlier(time, rates.group_opens(queue, group)) end
    if #groups > groups_asked then time = earlier(time, now + 100000) end
  end
  return time
end

steps[2] = {
  arity = 4,
  check = function() end,
  apply = function(step, plan)
    local _, numbers, most, length, worker = unpack(step, 1, 5)
    local out, next_time = {}, nil
    for _, number in ipairs(numbers) do
      local queue = queues.open(batch_queues[number])
      if queue and not queue.paused then
        if not lease_from(queue, most, length, worker, plan, out) then next_time = now end
      end
    end
    for _, number in ipairs(numbers) do
      next_time = earlier(next_time, next_in(batch_queues[number], #out >= most))
    end
    if plan.kept then
      local kept = {pack('l', next_time, #out)}
      for i, job in ipairs(out) do
        kept[i + 1] = pack(job.token, job.leased_until, job.tag, job.id)
      end
      plan.kept = concat(kept)
    end
    return answers.leased(next_time, out)
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
    addressed = find_addressed,
    check = check_run,
    apply = function(step)
      local job = find_addressed(step)
      return apply(queues.of(job), job, unpack(step, 5, arity + 1))
    end,
  }
end

run_step(3, 4, function(queue, job, result)
  change.release(queue, job)
  rare(job).result = result
  queues.count_event(queue, now, 2)
  change.end_job(queue, job, completed, now)
  change.touch(job)
  return answers.changed(job)
end)

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
