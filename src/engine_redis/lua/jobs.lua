-- Jobs. Each is one packed string, a field of a hash of up to `bucket_jobs` of its neighbours:
--
--   tasks:{tag}            sorted set: the first id of each bucket, with itself as score
--   tasks:{tag}:{first}    hash: id -> job
--
-- so that they can be listed in the order of their ids without an index, and no hash grows large.
-- A job is numbers in fixed places, then the texts that steps look at, then what they carry along:
-- type, labels, data. Times are themselves, stamps their distance from the id. During a call a job is
-- the text it is kept as, until somebody asks for more than a look at its numbers (`find`).

local bucket_jobs = 1024

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
local shrunk   -- buckets that jobs were taken from
-- Known perhaps since an earlier call.
local buckets, bucket_count = {}, 0  -- tag -> the buckets met: {first, next}
local newest = {}                    -- tag -> the bucket new jobs go to

local buckets_known = 20

known, changed, written, shrunk = {}, {}, {}, {}
at_each_call(function()
  emptied(known)
  changed, written, shrunk = fresh(changed), fresh(written), fresh(shrunk)
end)

-- `warm`: nobody has changed anything since the last call.
function jobs.begin(warm)
  if warm and bucket_count <= buckets_known then return end
  buckets, newest, bucket_count = {}, {}, 0
end

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

-- Looks and changes that need no more than the numbers of a text.

-- Whether it runs under this token.
function jobs.text_runs(text, id, token)
  return byte(text, 19) == running and byte(text) == 1 and
         struct_unpack('>i7', text, waiting_bytes + 1) + id == token
end

-- Whether it stands in the lane of a priority since so many stamps after its id.
function jobs.text_is_ready(text, priority, since_id)
  local status, its_priority, _, _, _, flags = byte(text, 19, 24)
  return status == queued and its_priority == priority and flags < 64 and
         struct_unpack('>i7', text, 25) == since_id
end

-- A run begins: the new text, and the end of its lease. Nothing for a job of a group.
local run_tail, tail_length, tail_worker, tail_now, tail_till

function jobs.text_started(text, id, length, worker, token, version)
  if byte(text, 54) > 0 then return nil end
  local kind, place, _, priority, attempts, flags, _, lengths =
      struct_unpack('>Bc17Bc1Hc9i7c22', text)
  local own, timeout = struct_unpack('>I6I6', text, 41)
  local behind = waiting_bytes + 1
  if kind == 1 then behind = ran_bytes + 1 + byte(text, ran_bytes) end
  if not length then length = own > 0 and own or limits.lease_default end
  local lasts = timeout > 0 and min(length, timeout) or length
  if tail_length ~= length or tail_worker ~= worker or tail_now ~= now or
      tail_till ~= now + lasts then
    tail_length, tail_worker, tail_now, tail_till = length, worker, now, now + lasts
    run_tail = struct_pack('>i7i7I6i7B', now, tail_till, length, nothing, #worker) .. worker
  end
  return struct_pack('>Bc17Bc1Hc9i7c22i7', 1, place, running, priority, attempts + 1, flags,
                     version - id, lengths, token - id) .. run_tail .. sub(text, behind), tail_till
end

local no_values = string.rep('\192', 6)  -- what stands before and behind the result
local end_tail, end_now

-- A run has succeeded: the new text, and attempts, when it was to run and whether it was to be
-- cancelled as they are written down. Nothing for a job that has more to be seen to.
function jobs.text_completed(text, id, packed_result, version)
  local group, unique_high, unique_low = byte(text, 54, 56)
  if group > 0 or unique_high > 0 or unique_low > 0 then return nil end
  local place, _, looks, _, lengths, rare_bytes, token = struct_unpack('>c18Bc12i7c18I4c14', text)
  local at, kept = ran_bytes + 1 + byte(text, ran_bytes), no_values
  if rare_bytes > 0 then
    if sub(text, at, at + 6) ~= '\192' .. no_values then return nil end
    kept = sub(text, at + 7, at + rare_bytes - 1)
  end
  if end_now ~= now then
    end_now, end_tail = now, struct_pack('>i7I6i7B', nothing, 0, now, 0)
  end
  return struct_pack('>c18Bc12i7c18I4c14', place, completed, looks, version - id, lengths,
                     6 + #packed_result + #kept, token) .. end_tail .. no_values ..
             packed_result .. kept .. sub(text, at + rare_bytes), place, looks
end

-- Which queue it is of, attempts, when it was to run, whether it was to be cancelled, and whether it
-- has a log: of what `text_completed` answers.
function jobs.read_looks(place, looks)
  local number, _, run_at = struct_unpack('>I3i7i7', place, 2)
  local _, attempts, flags = struct_unpack('>BHH', looks)
  return number, attempts, run_at, flags % 8 >= 4, flags % 16 >= 8
end

-- The bucket that holds an id, if any does.
local function find_bucket(tag, id)
  local met = buckets[tag]
  if not met then
    met = {}
    buckets[tag] = met
  end
  for i = 1, #met do
    local one = met[i]
    if id >= one.first and id < one.next then return one end
  end
  local index = index_of(tag)
  local at = redis_call('ZREVRANGEBYSCORE', index, id, '-inf', 'LIMIT', 0, 1)[1]
  if not at then return nil end
  local behind = redis_call('ZRANGEBYSCORE', index, format('(%d', id), '+inf', 'LIMIT', 0, 1)[1]
  local one = {tag = tag, first = tonumber(at), next = tonumber(behind or math.huge)}
  one.key = bucket_key(tag, one.first)
  table.insert(met, 1, one)
  bucket_count = bucket_count + 1
  return one
end

-- The bucket for a new job, whose id is greater than all.
local function last_bucket(tag, id)
  local one = newest[tag]
  if one and one.count < bucket_jobs then
    one.count = one.count + 1
    return one
  end
  one = find_bucket(tag, id)
  if one and not one.count then one.count = redis_call('HLEN', one.key) end
  if not one or one.count >= bucket_jobs then
    if one then one.next = id end
    one = {tag = tag, first = id, next = math.huge, key = bucket_key(tag, id), count = 0}
    table.insert(buckets[tag], 1, one)
    bucket_count = bucket_count + 1
    later.score(index_of(tag), text_of(id), id)
  end
  one.count = one.count + 1
  newest[tag] = one
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

-- The job as it is known by now: its text, or a table where somebody asked for one; or nil.
function jobs.peek(tag, id)
  local met = known[tag] or of_tag(tag)
  local job = met[id]
  if job ~= nil then return job or nil end
  local bucket = find_bucket(tag, id)
  local text = bucket and redis_call('HGET', bucket.key, text_of(id)) or false
  met[id] = text
  return text or nil
end

-- The job, or nil. The same table for everybody who asks in this call.
function jobs.find(tag, id)
  local job = jobs.peek(tag, id)
  if type(job) ~= 'string' then return job end
  job = decode(tag, id, job, text_of(id))
  known[tag][id] = job
  return job
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
        met[list[first + i - 1]] = text
      end
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

jobs.bucket_of, jobs.note, jobs.last_bucket = find_bucket, note, last_bucket

local function fetch(bucket, met, ids, names, count)
  if count == 0 then return end
  local texts = redis_call('HMGET', bucket.key, unpack(names, 1, count))
  for i = 1, count do met[ids[i]] = texts[i] end
end

-- The same for those whose names are known, best in the order of their ids.
function jobs.prefetch_named(tag, ids, names)
  local met, bucket = known[tag] or of_tag(tag), nil
  local wanted, fields, count = {}, {}, 0
  for i = 1, #ids do
    local id = ids[i]
    if met[id] == nil then
      if not bucket or id < bucket.first or id >= bucket.next or count == at_once then
        fetch(bucket, met, wanted, fields, count)
        bucket, count = find_bucket(tag, id), 0
      end
      if bucket then
        count = count + 1
        wanted[count], fields[count] = id, names[i]
      else
        met[id] = false
      end
    end
  end
  fetch(bucket, met, wanted, fields, count)
end

-- A new one, as `encode_new` made it.
function jobs.add(tag, id, name, text)
  note(last_bucket(tag, id), id, name)
  local met = known[tag] or of_tag(tag)
  met[id] = text
end

-- It is this text from now on; it was a text before.
function jobs.rewrite(tag, id, name, text)
  note(find_bucket(tag, id), id, name)
  known[tag][id] = text
end

-- It will be written back.
function jobs.change(job)
  job.text = nil
  if job.is_changed then return end
  job.is_changed = true
  changed[#changed + 1] = job
end

-- The job itself need not be known for it.
function jobs.remove(tag, id, name)
  local met = known[tag] or of_tag(tag)
  local job = met[id]
  met[id] = false
  if type(job) == 'table' then job.gone = true end
  local bucket = find_bucket(tag, id)
  if not bucket then return end
  if not bucket.shrunk then
    bucket.shrunk = true
    shrunk[#shrunk + 1] = bucket
  end
  local list = later.list('removed', bucket.key)
  list[#list + 1] = name or text_of(id)
end

-- Hands everything over to `later`.
function jobs.save()
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
  for _, bucket in ipairs(shrunk) do
    if redis_call('EXISTS', bucket.key) == 0 then
      redis_call('ZREM', index_of(bucket.tag), text_of(bucket.first))
    end
    buckets[bucket.tag], newest[bucket.tag] = nil, nil
  end
end
