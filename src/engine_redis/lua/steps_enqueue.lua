-- enqueue, cancel, delete, requeue, purge, configure.

-- A step has a number: {arity or read, addressed, check, apply}. `addressed` answers the ids of the
-- jobs it writes to, `check` why it is refused, `apply` its outcome. It is the table of its values behind
-- where they ended, or what `read` makes of them.

function is_waiting(job)
  return job.status == queued or job.status == scheduled or job.status == retrying
end

local function refuse_new_queue(queue, plan)
  if queue.number then return nil end
  if plan.alone then return not queues.may_open(queue) and 'too_many_queues' or nil end
  if plan.queues_added[queue] then return nil end
  if state.queues + plan.queues_count >= limits.queues then return 'too_many_queues' end
  plan.queues_added[queue] = true
  plan.queues_count = plan.queues_count + 1
end

local function waiting_in(queue)
  return queue.count[queued] + queue.count[scheduled] + queue.count[retrying]
end

-- How many jobs it takes at most; nil for any number.
function room_in(queue)
  local most = queue.settings.depth_max
  if most > 0 then return max(0, most - waiting_in(queue)) end
end

-- `added`: new jobs of the transaction so far, this one included. Nil where it takes them, and for
-- how many there is room, unless for any number.
function refuse_job(queue, added)
  if queue.draining then return 'queue_draining' end
  local room = room_in(queue)
  if room and added > room then return 'queue_full' end
  return nil, room
end

local reject, replace, debounce = 0, 1, 2

local function make(queue, spec)
  local id = next_stamp()
  local name = text_of(id)
  local run_at, status, available = max(now, spec.run_at or now + spec.delay), queued, nil
  if run_at > now then
    status = scheduled
    later.score(queue.scheduled_key, name, run_at)
    queues.due_at(queue, run_at)
  else
    available = next_stamp() - id
    local lane = ready.push_new(queue, spec.priority, 1)
    lane[#lane + 1] = name
  end
  local version = next_stamp()
  spec.level = min(spec.level, strongest)
  queue.count[status] = queue.count[status] + 1
  queues.change(queue)
  queues.count_event(queue, now, 1)
  if spec.unique then queues.hold(queue, spec.unique, id) end
  jobs.add(queue.tag, id, name,
           jobs.encode_new(id, queue, status, spec, run_at, available, version))
  if spec.rare then correlated.note_job(queue, id, spec.rare) end
  change.hint_job(queue.tag, id)
  return id, answers.made(id, status, run_at, version, spec)
end

local function renew(queue, job, spec)
  local counted_from = spec.mode == replace and job.created or now
  local due = max(now, spec.run_at or counted_from + spec.delay)
  job.body = spec.body
  if job.status == queued and due <= now then
    -- What is available already keeps its place.
    if job.priority ~= spec.priority then ready.reprioritise(queue, job, spec.priority) end
  else
    change.displace(queue, job)
    job.priority = spec.priority
    change.wait_until(queue, job, scheduled, due)
  end
  change.touch(job)
end

-- The id of the job, the outcome, whether it is a duplicate and whether it was replaced.
function enqueue(queue, spec)
  local holder = spec.unique and queues.holder(queue, spec.unique)
  if not holder then return make(queue, spec) end
  if spec.mode == reject then return holder.id, answers.held(holder, true, false), true, false end
  if is_waiting(holder) then
    renew(queue, holder, spec)
    return holder.id, answers.held(holder, false, true), false, true
  end
  -- It runs, and has taken its data already: the key goes to the job with the newer data.
  holder.unique = nil
  change.touch(holder)
  return make(queue, spec)
end

-- Packed by the engine; flags: take attempts 1, backoff 2, level 4 from the queue's settings.
function read_spec(text, off)
  local queue, flags, level, priority, delay, run_at, attempts_max, backoff, unique, mode, lease,
        timeout, group, rare_text, body
  off, queue, flags, level, priority, delay, run_at, attempts_max, backoff, unique, mode, lease,
      timeout, group, rare_text, body = unpack_some(text, 15, off)
  return {queue = batch_queues[queue], flags = flags, level = level, priority = priority,
          delay = delay, run_at = run_at, attempts_max = attempts_max, backoff = backoff,
          unique = unique, mode = mode, lease = lease, timeout = timeout, group = group,
          rare = rare_text, body = body}, off
end

local function take_from(settings, spec, flags)
  if flags % 2 >= 1 and settings.attempts_max then spec.attempts_max = settings.attempts_max end
  if flags % 4 >= 2 and settings.backoff then spec.backoff = settings.backoff end
  if flags >= 4 and settings.level then spec.level = settings.level end
end

function take_defaults(spec, settings)
  if spec.flags == 0 then return end
  take_from(state.defaults, spec, spec.flags)
  take_from(settings, spec, spec.flags)
end

steps[1] = {
  read = read_spec,
  addressed = function(spec)
    local holder = spec.unique and spec.queue.number and queues.holder(spec.queue, spec.unique)
    return holder and holder.id
  end,
  check = function(spec, plan)
    local queue = spec.queue
    local why = refuse_new_queue(queue, plan)
    if why then return why end
    local holder = spec.unique and queues.holder(queue, spec.unique)
    if not holder or (spec.mode ~= reject and holder.status == running) then
      if plan.alone then return refuse_job(queue, 1) end
      local added = (plan.jobs_added[queue] or 0) + 1
      plan.jobs_added[queue] = added
      return refuse_job(queue, added)
    end
    if queue.draining then return 'queue_draining' end
  end,
  apply = function(spec, plan)
    local queue = queues.open(spec.queue)
    take_defaults(spec, queue.settings)
    local id, outcome, duplicate, replaced = enqueue(queue, spec)
    if plan.kept then
      plan.kept = pack('E', duplicate or false, replaced or false, queue.tag, id)
    end
    return outcome
  end,
}

function find_addressed(step) return jobs.find(step[2], step[3]) end

function addressed(step) return jobs.peek(step[2], step[3]) and step[3] end

steps[8] = {
  arity = 2,
  addressed = addressed,
  check = function(step)
    local job = find_addressed(step)
    if not job then return 'job_not_found' end
    if job.status >= completed then return 'job_ended' end
  end,
  apply = function(step)
    local job = find_addressed(step)
    if job.status == running then
      job.cancel = true
    else
      local queue = queues.of(job)
      change.displace(queue, job)
      change.end_job(queue, job, cancelled, now)
    end
    change.touch(job)
    return answers.changed(job)
  end,
}

steps[9] = {
  arity = 2,
  addressed = addressed,
  check = function(step)
    local job = find_addressed(step)
    if not job then return 'job_not_found' end
    if job.status == running then return 'job_running' end
  end,
  apply = function(step)
    local job = find_addressed(step)
    local last = answers.changed(job)
    change.forget(queues.of(job), job)
    return last
  end,
}

steps[10] = {
  arity = 2,
  addressed = addressed,
  check = function(step)
    local job = find_addressed(step)
    if not job then return 'job_not_found' end
    if job.status ~= dead then return 'job_not_dead' end
    if queues.of(job).draining then return 'queue_draining' end
  end,
  apply = function(step)
    local job = find_addressed(step)
    local queue = queues.of(job)
    change.displace(queue, job)
    if job.unique then
      if queues.holder(queue, job.unique) then
        job.unique = nil
      else
        queues.hold(queue, job.unique, job.id)
      end
    end
    job.attempts, job.finished = 0, nil
    change.make_available(queue, job, now)
    change.touch(job)
    return answers.changed(job)
  end,
}

-- Ids of waiting jobs, the smallest first.
local function oldest_waiting(queue, most, plan)
  local found, first = {}, nil
  settle()
  jobs.each(queue.tag, queue.first_waiting, math.huge, false, function(job)
    if job.queue ~= queue.number or not is_waiting(job) then return true end
    first = first or job.id
    if plan.addressed[job.id] then return true end
    found[#found + 1] = job
    return #found < most
  end)
  queue.first_waiting = first or state.stamp + 1
  queues.change(queue)
  return found
end

local function oldest_of(queue, key, most, plan)
  local found, first = {}, 0
  later.settle_scores(key)
  while #found < most do
    local members = redis_call('ZRANGE', key, first, first + most - 1)
    if #members == 0 then break end
    first = first + #members
    for _, member in ipairs(members) do
      local job = jobs.find(queue.tag, tonumber(string.sub(member, 1, 16)))
      if job and not plan.addressed[job.id] and #found < most then found[#found + 1] = job end
    end
  end
  return found
end

local purge_waiting, purge_dead = 0, 1

steps[11] = {
  arity = 3,
  check = function(step)
    if not batch_queues[step[2]].number then return 'queue_not_found' end
  end,
  apply = function(step, plan)
    local _, number, target, most = unpack(step, 1, 4)
    local queue, found = batch_queues[number], nil
    if most == 0 then
      found = {}
    elseif target == purge_waiting then
      found = oldest_waiting(queue, most, plan)
    elseif target == purge_dead then
      found = oldest_of(queue, queue.dlq_key, most, plan)
    else
      local passed = 0
      for _ in pairs(plan.addressed) do passed = passed + 1 end
      ended.gather(queue, most + passed)
      found = oldest_of(queue, queue.finished_key, most, plan)
    end
    for _, job in ipairs(found) do change.forget(queue, job) end
    return pack('p', #found)
  end,
}

steps[12] = {
  arity = 4,
  check = function(step, plan) return refuse_new_queue(batch_queues[step[2]], plan) end,
  apply = function(step)
    local _, number, settings, paused, draining = unpack(step, 1, 5)
    local queue = queues.open(batch_queues[number])
    if settings then
      local was = queue.settings
      queues.set(queue, settings)
      rates.rebind(queue, was, queue.settings)
      ready.wake_groups(queue)
      change.trim_later(queue)
      queues.find_forget(queue)
    end
    if paused ~= nil then queue.paused = paused end
    if draining ~= nil then queue.draining = draining end
    queues.change(queue)
    -- A queue that is resumed, or a wider bound, may make all that waits available.
    if queue.count[queued] > 0 then change.hint_available(queue, queue.count[queued]) end
    return pack('q')
  end,
}
