-- Jobs. Each is one packed string: numbers in fixed places, then the texts that steps look at,
-- then what they carry along: type, labels, data. Times are themselves, stamps their distance from
-- the id. During a call a job is the text it is kept as, until somebody asks for more than a look
-- at its numbers (`find`). What a run has changed stands apart (runs.lua) until another step
-- changes the job.

-- Kind, queue, created, run at; status, priority, attempts, flags, available and version from the
-- id; most attempts, lease, timeout, lengths of backoff, group, unique key, rare values.
local waiting_format = '>BI3i7i7BBHHi7i7HI6I6BBHI4'
-- And of one that ran: token from the id, started, leased until, length of the lease, finished,
-- length of the worker's name. Texts: worker, rare values, backoff, group, unique key.
local ran_format = waiting_format .. 'i7i7i7I6i7B'
local waiting_bytes, ran_bytes = 60, 95
local nothing = -2 ^ 54  -- in place of a number that is not there
local struct_pack, struct_unpack = struct.pack, struct.unpack
local byte, sub = string.byte, string.sub

local known    -- tag -> id -> its text, or a job, or false where there is none
local changed  -- jobs to write back
local written  -- buckets with jobs to write back

known, changed, written = {}, {}, {}
jobs.any_met = false  -- one is a table by now, or gone: what a lane has read may be out of date

function jobs.begin_anew()
  emptied(known)
  jobs.any_met = false
  changed, written = fresh(changed), fresh(written)
  if jobs.has_shrunk then jobs.forget_shrunk() end
end

local index_of, bucket_key, find_bucket = jobs.index_of, jobs.bucket_key, jobs.bucket_of

-- Of a job seldom asked for: kept packed until then.
local rare_names = {'error', 'error_code', 'cause', 'other_cause', 'first_failed', 'failed',
                    'result', 'checkpoint', 'progress', 'progress_message', 'progress_at',
                    'correlation', 'trace'}

function rare(job)
  local values = job.rare_values
  if values then return values end
  values = {}
  if job.rare then
    local all = {unpack_some(job.rare, #rare_names, 0)}
    for i, name in ipairs(rare_names) do values[name] = all[i + 1] end
  end
  job.rare_values = values
  return values
end

local function pack_rare(job)
  local v = job.rare_values
  if not v then return job.rare end
  if next(v) == nil then return nil end
  return pack(v.error, v.error_code, v.cause, v.other_cause, v.first_failed, v.failed, v.result,
              v.checkpoint, v.progress, v.progress_message, v.progress_at, v.correlation, v.trace)
end

-- level 0–2, cancel asked, has a log, unique mode 0–2, where it is ready 0–2
local function pack_flags(job)
  return job.level + (job.cancel and 4 or 0) + (job.log and 8 or 0) + 16 * job.mode +
             64 * job.place
end

-- A job that has just been made, without anything that only grows with time.
function jobs.encode_new(id, queue, status, spec, run_at, available, version)
  local backoff, group, unique, rare_text = spec.backoff or '', spec.group or '',
                                            spec.unique or '', spec.rare or ''
  return struct_pack(waiting_format, 0, queue.number, now, run_at, status, spec.priority, 0,
                     spec.level + 16 * (spec.mode or 0), available or nothing, version - id,
                     spec.attempts_max, spec.lease or 0, spec.timeout or 0, #backoff, #group,
                     #unique, #rare_text) .. rare_text .. backoff .. group .. unique .. spec.body
end

local function since(id, value) return value and value - id or nothing end

function jobs.encode(job)
  if job.text then return job.text end
  local id, ran = job.id, job.token or job.finished
  local backoff, group, unique, rare_text = job.backoff or '', job.group or '', job.unique or '',
                                            pack_rare(job) or ''
  local worker = ran and job.worker or ''
  job.text = struct_pack(ran and ran_format or waiting_format, ran and 1 or 0, job.queue,
                         job.created, job.run_at, job.status, job.priority, job.attempts,
                         pack_flags(job), since(id, job.available), job.version - id,
                         job.attempts_max, job.lease or 0, job.timeout or 0, #backoff, #group,
                         #unique, #rare_text, since(id, job.token), job.started or nothing,
                         job.leased_until or nothing, job.lease_length or 0,
                         job.finished or nothing, #worker) ..
             worker .. rare_text .. backoff .. group .. unique .. job.body
  return job.text
end

local function decode(tag, id, text, name)
  local ran = byte(text) == 1
  local _, queue, created, run_at, status, priority, attempts, flags, available, version,
        attempts_max, lease, timeout, backoff, group, unique, rare_bytes, token, started,
        leased_until, lease_length, finished, worker =
      struct_unpack(ran and ran_format or waiting_format, text)
  if not ran then worker = 0 end
  -- What few jobs have is no field of the others: a table of up to 32 costs half of a larger one.
  local job = {
    id = id, tag = tag, name = name, queue = queue, status = status, priority = priority,
    attempts = attempts, attempts_max = attempts_max, level = flags % 4, cancel = flags % 8 >= 4,
    log = flags % 16 >= 8, mode = floor(flags / 16) % 4, place = floor(flags / 64),
    created = created, run_at = run_at, version = version + id, text = text,
  }
  if available ~= nothing then job.available = available + id end
  if lease ~= 0 then job.lease = lease end
  if timeout ~= 0 then job.timeout = timeout end
  local at = (ran and ran_bytes or waiting_bytes) + 1
  if worker > 0 then job.worker = sub(text, at, at + worker - 1) end
  at = at + worker
  if rare_bytes > 0 then job.rare = sub(text, at, at + rare_bytes - 1) end
  at = at + rare_bytes
  if backoff > 0 then job.backoff = sub(text, at, at + backoff - 1) end
  at = at + backoff
  if group > 0 then job.group = sub(text, at, at + group - 1) end
  at = at + group
  if unique > 0 then job.unique = sub(text, at, at + unique - 1) end
  job.body = sub(text, at + unique)
  if not ran then return job end
  if token ~= nothing then job.token = token + id end
  if started ~= nothing then job.started = started end
  if leased_until ~= nothing then
    job.leased_until, job.lease_length = leased_until, lease_length
  end
  if finished ~= nothing then job.finished = finished end
  if status == running and job.version < state.epoch_stamp then
    -- It could not be renewed while everybody was away.
    local ends = state.epoch_now + lease_length
    if job.timeout then ends = min(ends, job.started + job.timeout) end
    job.leased_until = ends
    job.text = nil
  end
  return job
end

-- Whether it stands in the lane of a priority since so many stamps after its id.
function jobs.text_is_ready(text, priority, since_id)
  local status, its_priority, _, _, _, flags = byte(text, 19, 24)
  return status == queued and its_priority == priority and flags < 64 and
         struct_unpack('>i7', text, 25) == since_id
end

local function of_tag(tag)
  local met = known[tag]
  if not met then
    touch(jobs)
    met = {}
    known[tag] = met
  end
  return met
end

-- The job as it is known by now: its text, or a table where somebody asked for one; or nil. A text
-- says nothing of a run.
function jobs.peek(tag, id)
  local met = known[tag] or of_tag(tag)
  local job = met[id]
  if job ~= nil then return job or nil end
  local bucket = find_bucket(tag, id)
  if bucket and later.fields[bucket.key] then later.settle_fields(bucket.key) end
  local text = bucket and redis_call('HGET', bucket.key, text_of(id)) or false
  met[id] = text
  return text or nil
end

-- The job, or nil. The same table for everybody who asks in this call.
function jobs.find(tag, id)
  local job = jobs.peek(tag, id)
  if type(job) ~= 'string' then return job end
  job = decode(tag, id, job, text_of(id))
  runs.merge(job)
  jobs.any_met = true
  known[tag][id] = job
  return job
end

-- Makes several known at once, and their runs.
function jobs.prefetch(tag, ids)
  local met, wanted = of_tag(tag), {}
  for _, id in ipairs(ids) do
    if met[id] == nil then
      local bucket = find_bucket(tag, id)
      if bucket then
        local list = wanted[bucket]
        if not list then
          list = {}
          wanted[bucket] = list
        end
        list[#list + 1] = id
      end
    end
  end
  for bucket, list in pairs(wanted) do
    if later.fields[bucket.key] then later.settle_fields(bucket.key) end
    for first = 1, #list, at_once do
      local last, some, fields = min(first + at_once - 1, #list), {}, {}
      for i = first, last do some[#some + 1], fields[#fields + 1] = list[i], text_of(list[i]) end
      local texts = redis_call('HMGET', bucket.key, unpack(fields))
      for i, text in ipairs(texts) do met[some[i]] = text end
      runs.prefetch(bucket, some)
    end
  end
end

-- To be written back, as whatever is known of it by then.
local function note(bucket, id, name)
  local list = bucket.list
  if not list then
    list = {}
    bucket.list = list
    written[#written + 1] = bucket
  end
  local count = #list
  list[count + 1], list[count + 2] = id, name
end

-- What is known of the jobs of a tag; `peek` makes it more.
function jobs.of_tag(tag) return known[tag] or of_tag(tag) end

local nobody = {}

-- The same as of now, to be looked at.
function jobs.known_of_tag(tag) return known[tag] or nobody end

-- Puts what is known of those from `first` to `last` of a list into `texts`, at the same places.
-- Their names are known, they have no runs, and best they are in the order of their ids.
function jobs.read_named(tag, ids, names, first, last, texts)
  local met = known[tag] or nobody
  while first <= last do
    local id = ids[first]
    local job, behind = met[id], first + 1
    local bucket = job == nil and find_bucket(tag, id)
    if bucket then
      local low, high = bucket.first, bucket.next
      local most = min(last, first + at_once - 1)
      while behind <= most do
        id = ids[behind]
        if id < low or id >= high or met[id] ~= nil then break end
        behind = behind + 1
      end
      if later.fields[bucket.key] then later.settle_fields(bucket.key) end
      local read = redis_call('HMGET', bucket.key, unpack(names, first, behind - 1))
      for i = 1, behind - first do texts[first + i - 1] = read[i] end
    else
      texts[first] = job or false
    end
    first = behind
  end
end

-- A new one, as `encode_new` made it.
function jobs.add(tag, id, name, text)
  note(jobs.last_bucket(tag, id), id, name)
  local met = known[tag] or of_tag(tag)
  met[id] = text
end

-- It will be written back.
function jobs.change(job)
  job.text = nil
  if job.run then
    job.run = nil
    runs.drop(job.tag, job.id)
    if job.status == running then change.watch_lease(queues.of(job), job) end
  end
  if job.is_changed then return end
  job.is_changed = true
  changed[#changed + 1] = job
end

-- The job itself need not be known for it.
function jobs.remove(tag, id, name)
  local met = known[tag] or of_tag(tag)
  local job = met[id]
  met[id], jobs.any_met = false, true
  local bucket = find_bucket(tag, id)
  if not bucket then return end
  if type(job) == 'table' then
    job.gone = true
    if job.run then runs.drop(tag, id) end
  else
    runs.drop(tag, id)
  end
  local list = jobs.taken_from(bucket)
  list[#list + 1] = name or text_of(id)
end

-- Those with ids from `low` on and below `high` are gone.
function jobs.forget_known(tag, low, high)
  local met = known[tag]
  for id in pairs(met or {}) do
    if id >= low and id < high then met[id], jobs.any_met = false, true end
  end
end

local function save_texts()
  for _, job in ipairs(changed) do
    job.is_changed = false
    if not job.gone then note(find_bucket(job.tag, job.id), job.id, job.name) end
  end
  changed = {}
  for _, bucket in ipairs(written) do
    local list, met, count = bucket.list, known[bucket.tag], 0
    bucket.list = nil
    for i = 1, #list, 2 do
      local text = met[list[i]]
      if type(text) == 'table' then text = jobs.encode(text) end
      if text then
        list[count + 1], list[count + 2] = list[i + 1], text
        count = count + 2
      end
    end
    for i = #list, count + 1, -1 do list[i] = nil end
    later.append('fields', bucket.key, list)
  end
  emptied(written)
end

-- Hands everything over to `later`.
function jobs.save()
  if jobs.touched then save_texts() end
  if runs.touched then runs.save() end
end

local buckets_at_once = 50
local read_at_once = 100

-- The ids in a bucket that are at least `low` and at most `high`, in order.
local function ids_in(tag, first, low, high, backwards)
  local ids = {}
  for _, field in ipairs(redis_call('HKEYS', bucket_key(tag, first))) do
    local id = #field == 16 and tonumber(field)
    if id and id >= low and id <= high then ids[#ids + 1] = id end
  end
  if backwards then
    table.sort(ids, function(a, b) return a > b end)
  else
    table.sort(ids)
  end
  return ids
end

-- Shows the jobs of a tag in the order of their ids, from `low` on or, backwards, from `high` on,
-- until `show` answers false. What was changed in this call has to be settled before.
function jobs.each(tag, low, high, backwards, show)
  local index, met = index_of(tag), 0
  local from, to, command = low, '+inf', 'ZRANGEBYSCORE'
  if backwards then
    from, to, command = high, '-inf', 'ZREVRANGEBYSCORE'
  else
    from = tonumber(redis_call('ZREVRANGEBYSCORE', index, low, '-inf', 'LIMIT', 0, 1)[1]) or low
  end
  while true do
    local firsts = redis_call(command, index, from, to, 'LIMIT', met, buckets_at_once)
    if #firsts == 0 then return end
    met = met + #firsts
    for _, first in ipairs(firsts) do
      local ids = ids_in(tag, tonumber(first), low, high, backwards)
      for at = 1, #ids, read_at_once do
        local some = {unpack(ids, at, min(at + read_at_once - 1, #ids))}
        jobs.prefetch(tag, some)
        for _, id in ipairs(some) do
          local job = jobs.find(tag, id)
          if job and not show(job) then return end
        end
      end
    end
  end
end
