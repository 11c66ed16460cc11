-- Jobs. Each is one packed string, a field of a hash of up to `bucket_jobs` of its neighbours:
--
--   tasks:{tag}            sorted set: the first id of each bucket, with itself as score
--   tasks:{tag}:{first}    hash: id -> job
--
-- so that they can be listed in the order of their ids without an index, and no hash grows large.
-- A job is numbers and texts that steps look at (`encode`), then what they carry along: type,
-- labels, data. Times and stamps are kept as their distance from the id. The numbers have fixed
-- places: values packed one by one cost many times as much to read and write.

local bucket_jobs = 1024

-- Kind, queue, status, priority, attempts, most attempts, flags; created, run at, available and
-- version from the id; lease, timeout; backoff, group, unique key, rare values.
local waiting_format = '>BI3BBHHHi7i7i7i7I6I6Bc0Bc0Hc0I4c0'
-- And of one that ran: token, started, leased until from the id, length of the lease, finished,
-- worker.
local ran_format = waiting_format .. 'i7i7i7I6i7Bc0'
local nothing = -2 ^ 54  -- in place of a number that is not there
local struct_pack, struct_unpack = struct.pack, struct.unpack

local known    -- tag -> id -> job, or false where there is none
local buckets  -- tag -> the buckets met in this call: {first, next}
local changed  -- jobs to write back

at_each_call(function() known, buckets, changed = {}, {}, {} end)

local function index_of(tag) return prefix .. 'tasks:' .. tag end
local function bucket_key(tag, first) return prefix .. 'tasks:' .. tag .. ':' .. text_of(first) end

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
  return struct_pack(waiting_format, 0, queue.number, status, spec.priority, 0, spec.attempts_max,
                     spec.level + 16 * (spec.mode or 0), now - id, run_at - id,
                     available or nothing, version - id, spec.lease or 0, spec.timeout or 0,
                     #backoff, backoff, #group, group, #unique, unique, #rare_text, rare_text) ..
             spec.body
end

local function since(id, value) return value and value - id or nothing end

function jobs.encode(job)
  if job.text then return job.text end
  local id, ran = job.id, job.token or job.finished
  local backoff, group, unique, rare_text = job.backoff or '', job.group or '', job.unique or '',
                                            pack_rare(job) or ''
  local worker = ran and job.worker or ''
  job.text = struct_pack(ran and ran_format or waiting_format, ran and 1 or 0, job.queue,
                         job.status, job.priority, job.attempts, job.attempts_max,
                         pack_flags(job), job.created - id, job.run_at - id,
                         since(id, job.available), job.version - id, job.lease or 0,
                         job.timeout or 0, #backoff, backoff, #group, group, #unique, unique,
                         #rare_text, rare_text, since(id, job.token), since(id, job.started),
                         since(id, job.leased_until), job.lease_length or 0,
                         since(id, job.finished), #worker, worker) .. job.body
  return job.text
end

local function decode(tag, id, text, name)
  local ran = string.byte(text) == 1
  local _, queue, status, priority, attempts, attempts_max, flags, created, run_at, available,
        version, lease, timeout, backoff, group, unique, rare_text, token, started, leased_until,
        lease_length, finished, worker, behind
  if ran then
    _, queue, status, priority, attempts, attempts_max, flags, created, run_at, available, version,
    lease, timeout, backoff, group, unique, rare_text, token, started, leased_until, lease_length,
    finished, worker, behind = struct_unpack(ran_format, text)
  else
    _, queue, status, priority, attempts, attempts_max, flags, created, run_at, available, version,
    lease, timeout, backoff, group, unique, rare_text, behind = struct_unpack(waiting_format, text)
  end
  -- What few jobs have is no field of the others: a table of up to 32 costs half of a larger one.
  local job = {
    id = id, tag = tag, name = name, queue = queue, status = status, priority = priority,
    attempts = attempts, attempts_max = attempts_max, level = flags % 4, cancel = flags % 8 >= 4,
    log = flags % 16 >= 8, mode = floor(flags / 16) % 4, place = floor(flags / 64),
    created = created + id, run_at = run_at + id, version = version + id,
    body = string.sub(text, behind), text = text,
  }
  if available ~= nothing then job.available = available + id end
  if lease ~= 0 then job.lease = lease end
  if timeout ~= 0 then job.timeout = timeout end
  if backoff ~= '' then job.backoff = backoff end
  if group ~= '' then job.group = group end
  if unique ~= '' then job.unique = unique end
  if rare_text ~= '' then job.rare = rare_text end
  if not ran then return job end
  if token ~= nothing then job.token = token + id end
  if started ~= nothing then job.started = started + id end
  if leased_until ~= nothing then
    job.leased_until, job.lease_length = leased_until + id, lease_length
  end
  if finished ~= nothing then job.finished = finished + id end
  if worker ~= '' then job.worker = worker end
  if status == running and job.version < state.epoch_stamp then
    -- It could not be renewed while everybody was away.
    local ends = state.epoch_now + lease_length
    if job.timeout then ends = min(ends, job.started + job.timeout) end
    job.leased_until = ends
    job.text = nil
  end
  return job
end

-- The bucket that holds an id, if any does.
local function find_bucket(tag, id)
  local met = buckets[tag]
  if not met then
    met = {}
    buckets[tag] = met
  end
  for _, one in ipairs(met) do
    if id >= one.first and id < one.next then return one end
  end
  local index = index_of(tag)
  local at = redis_call('ZREVRANGEBYSCORE', index, id, '-inf', 'LIMIT', 0, 1)[1]
  if not at then return nil end
  local behind = redis_call('ZRANGEBYSCORE', index, format('(%d', id), '+inf', 'LIMIT', 0, 1)[1]
  local one = {first = tonumber(at), next = tonumber(behind or math.huge)}
  one.key = bucket_key(tag, one.first)
  table.insert(met, 1, one)
  return one
end

-- The bucket for a new job, whose id is greater than all.
local function last_bucket(tag, id)
  local one = find_bucket(tag, id)
  if one and not one.count then one.count = redis_call('HLEN', one.key) end
  if not one or one.count >= bucket_jobs then
    if one then one.next = id end
    one = {first = id, next = math.huge, key = bucket_key(tag, id), count = 0}
    table.insert(buckets[tag], 1, one)
    later.score(index_of(tag), text_of(id), id)
  end
  one.count = one.count + 1
  return one
end

local function of_tag(tag)
  local met = known[tag]
  if not met then
    met = {}
    known[tag] = met
  end
  return met
end

-- The job, or nil. The same table for everybody who asks in this call.
function jobs.find(tag, id)
  local met = of_tag(tag)
  local job = met[id]
  if type(job) == 'string' then
    job = decode(tag, id, job, text_of(id))
    job.is_new = true
    met[id] = job
  end
  if job ~= nil then return job or nil end
  local bucket, name = find_bucket(tag, id), text_of(id)
  local text = bucket and redis_call('HGET', bucket.key, name)
  job = text and decode(tag, id, text, name) or false
  met[id] = job
  return job or nil
end

-- Makes several known at once.
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
    for first = 1, #list, at_once do
      local last, fields = min(first + at_once - 1, #list), {}
      for i = first, last do fields[#fields + 1] = text_of(list[i]) end
      local texts = redis_call('HMGET', bucket.key, unpack(fields))
      for i, text in ipairs(texts) do
        local id = list[first + i - 1]
        met[id] = text and decode(tag, id, text, fields[i]) or false
      end
    end
  end
end

-- A new one, as `encode_new` made it.
function jobs.add(tag, id, text)
  local list = later.list('fields', last_bucket(tag, id).key)
  local count = #list
  list[count + 1], list[count + 2] = text_of(id), text
  of_tag(tag)[id] = text
end

-- It will be written back.
function jobs.change(job)
  job.text = nil
  if job.is_changed then return end
  job.is_changed = true
  changed[#changed + 1] = job
end

-- The job itself need not be known for it.
function jobs.remove(tag, id)
  local met = of_tag(tag)
  local job = met[id]
  met[id] = false
  local is_new = type(job) == 'string'
  if type(job) == 'table' then
    job.gone = true
    is_new = job.is_new
  end
  local bucket = find_bucket(tag, id)
  if not bucket then return end
  bucket.shrunk = true
  if is_new then
    later.drop_field(bucket.key, text_of(id))
  else
    later.add('removed', bucket.key, text_of(id))
  end
end

-- Hands everything over to `later`.
function jobs.save()
  for _, job in ipairs(changed) do
    job.is_changed = false
    if not job.gone then
      local bucket = find_bucket(job.tag, job.id)
      local list = later.list('fields', bucket.key)
      local count = #list
      list[count + 1], list[count + 2] = job.name, jobs.encode(job)
    end
  end
  changed = {}
end

local buckets_at_once = 50
local read_at_once = 100

-- The ids in a bucket that are at least `low` and at most `high`, in order.
local function ids_in(tag, first, low, high, backwards)
  local ids = {}
  for _, field in ipairs(redis_call('HKEYS', bucket_key(tag, first))) do
    local id = tonumber(field)
    if id >= low and id <= high then ids[#ids + 1] = id end
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

-- After everything has been written: buckets that hold nothing any more are forgotten.
function jobs.drop_empty_buckets()
  for tag, met in pairs(buckets) do
    for _, bucket in ipairs(met) do
      if bucket.shrunk and redis_call('EXISTS', bucket.key) == 0 then
        redis_call('ZREM', index_of(tag), text_of(bucket.first))
      end
    end
  end
  buckets = {}
end
