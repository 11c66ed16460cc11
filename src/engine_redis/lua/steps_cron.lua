-- Recurring jobs.
--
--   crons        hash: project, name -> the entry, packed
--   crons:names  sorted set: project, name; all with score 0, so in their order
--   crons:due    sorted set: project, name by the next slot; none of a paused one

local crons_key

at_each_store(function()
  crons_key = prefix .. 'crons'
  crons.names_key, crons.slots_key = prefix .. 'crons:names', prefix .. 'crons:due'
end)

local entry_names = {'next_time', 'last_fired', 'last_tag', 'last_id', 'fired', 'skipped',
                     'version', 'paused', 'overlap', 'project', 'queue', 'tag', 'job', 'rest'}
local allow, skip, replace_waiting = 0, 1, 2

local function name_of(project, name) return project .. '\0' .. name end

function crons.find(project, name)
  local text = redis_call('HGET', crons_key, name_of(project, name))
  if not text then return nil end
  local values, entry = {unpack_some(text, #entry_names, 0)}, {name = name}
  for i, field in ipairs(entry_names) do entry[field] = values[i + 1] end
  return entry
end

function crons.pack(entry)
  local e = entry
  return pack(e.next_time, e.last_fired, e.last_tag, e.last_id, e.fired, e.skipped, e.version,
              e.paused, e.overlap, e.project, e.queue, e.tag, e.job, e.rest)
end

local function save_cron(entry)
  local name = name_of(entry.project, entry.name)
  redis_call('HSET', crons_key, name, crons.pack(entry))
  redis_call('ZADD', crons.names_key, 0, name)
  if entry.next_time and not entry.paused then
    redis_call('ZADD', crons.slots_key, entry.next_time, name)
  else
    redis_call('ZREM', crons.slots_key, name)
  end
  hints.crons = true
end

local function fired(entry, made)
  return pack('f', made and made.tag, made and made.id, entry.name, crons.pack(entry))
end

-- The job of the last slot, while it has not ended and the entry minds.
local function predecessor(entry)
  if not entry.last_id or entry.overlap == allow then return nil end
  local job = jobs.find(entry.last_tag, entry.last_id)
  return job and job.status < completed and job or nil
end

local function spec_of(entry)
  local spec = read_spec(entry.job, 0)
  spec.queue = queues.named(entry.project, entry.queue, entry.tag)
  return spec
end

-- Tag and id of the job made, or nil.
local function fire(entry, plan)
  local spec = spec_of(entry)
  local queue = spec.queue
  if not queues.may_open(queue) or refuse_job(queue, 1) then return nil end
  local before = predecessor(entry)
  if before then
    if entry.overlap == skip then return nil end
    if entry.overlap == replace_waiting and is_waiting(before) then
      local its_queue = queues.of(before)
      change.displace(its_queue, before)
      change.end_job(its_queue, before, cancelled, now)
      change.touch(before)
    end
  end
  queues.open(queue)
  spec.level = plan.level
  take_defaults(spec, queue.settings)
  local id, _, duplicate = enqueue(queue, spec)
  if not duplicate then return {tag = queue.tag, id = id} end
end

steps[13] = {
  arity = 8,
  check = function(step, plan)
    if crons.find(step[2], step[3]) then return nil end
    local added = plan.crons_added or 0
    if redis_call('HLEN', crons_key) + added >= limits.crons then return 'too_many_crons' end
    if not plan.alone then plan.crons_added = added + 1 end
  end,
  apply = function(step)
    local _, project, name, number, next_time, paused, overlap, job, rest = unpack(step, 1, 9)
    local before, queue = crons.find(project, name) or {}, batch_queues[number]
    local entry = {
      name = name, project = project, queue = queue.name, tag = queue.tag, next_time = next_time,
      paused = paused, overlap = overlap, job = job, rest = rest, last_fired = before.last_fired,
      last_tag = before.last_tag, last_id = before.last_id, fired = before.fired or 0,
      skipped = before.skipped or 0, version = next_stamp(),
    }
    save_cron(entry)
    return fired(entry, nil)
  end,
}

steps[14] = {
  arity = 2,
  check = function(step)
    if not crons.find(step[2], step[3]) then return 'cron_not_found' end
  end,
  apply = function(step)
    local entry, name = crons.find(step[2], step[3]), name_of(step[2], step[3])
    redis_call('HDEL', crons_key, name)
    redis_call('ZREM', crons.names_key, name)
    redis_call('ZREM', crons.slots_key, name)
    hints.crons = true
    return fired(entry, nil)
  end,
}

steps[15] = {
  arity = 6,
  addressed = function(step)
    local entry = crons.find(step[2], step[3])
    if not entry or step[7] then return nil end
    local before, spec = predecessor(entry), spec_of(entry)
    local holder = spec.unique and spec.queue.number and queues.holder(spec.queue, spec.unique)
    if before and holder ~= before then return before.id, holder and holder.id end
    return before and before.id or holder and holder.id
  end,
  check = function(step)
    local entry = crons.find(step[2], step[3])
    if not entry then return 'cron_not_found' end
    if entry.version ~= step[4] or entry.next_time ~= step[5] then return 'cron_moved' end
  end,
  apply = function(step, plan)
    local _, project, name, _, _, next_time, pass_over = unpack(step, 1, 7)
    local entry = crons.find(project, name)
    local made = not pass_over and fire(entry, plan) or nil
    if made then
      entry.last_fired, entry.last_tag, entry.last_id = now, made.tag, made.id
      entry.fired = entry.fired + 1
    else
      entry.skipped = entry.skipped + 1
    end
    entry.next_time = next_time
    entry.version = next_stamp()
    save_cron(entry)
    return fired(entry, made)
  end,
}
