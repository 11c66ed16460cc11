-- Queues.
--
--   queues                    hash: number -> project, name, tag (with a zero byte between)
--   queues:names              sorted set: project, name; all with score 0, so in their order
--   queue:{project}/{name}    hash: what a queue is and how many jobs it has of each kind
--     …:scheduled …:retry …:leases    sorted sets by the time at which something happens
--     …:dlq                           sorted set by the time of the failure
--     …:ended …:finished              list, sorted set by the time of the end (ended.lua)
--     …:unique                        hash: key -> id of the job that holds it
--     …:minutes                       hash: minute -> what happened in it, of the last hour; that of
--                                     the latest stands with the queue
--   due, forget               sorted sets: numbers of queues by when one of their jobs is due, or
--                             kept long enough; never later than that, now and then earlier

local by_name, by_number, known_count = {}, {}, 0  -- what is known, perhaps since an earlier call
local met_queues = {}                              -- those that this call has to do with
local due_key, forget_key

local known_at_most = 200

queues.generation = 0  -- of what is known: a queue is the same table as long as it is the same

at_each_store(function() due_key, forget_key = prefix .. 'due', prefix .. 'forget' end)

-- `warm`: nobody has changed anything since the last call.
function queues.begin(warm)
  if not warm or known_count > known_at_most then
    by_name, by_number, met_queues, known_count = {}, {}, {}, 0
    queues.generation = queues.generation + 1
    return
  end
  for i = #met_queues, 1, -1 do
    local queue = met_queues[i]
    queue.is_met, met_queues[i] = false, nil
    if queue.holders then queue.holders, queue.held = nil, nil end
  end
end

function queues.meet(queue)
  if queue.is_met then return queue end
  queue.is_met = true
  met_queues[#met_queues + 1] = queue
  return queue
end

local number_fields = {'number', 'paused', 'draining', 'epoch', 'aside', 'next', 'forget',
                       'dead_attempts', 'first_waiting', 'gone', 'queued', 'scheduled', 'running',
                       'retrying', 'completed', 'dead', 'cancelled'}
local count_from = 11  -- from there on they count jobs
local last_number = #number_fields

local function rate_of(kept)
  return {limit = kept and kept.limit or 0, per = kept and kept.per_us or 1000000}
end

-- What holds where nobody says anything.
local built_in = {
  depth_max = limits.depth_max, keep_finished = limits.keep_finished,
  keep_finished_count = limits.keep_finished_count, keep_dead = limits.keep_dead,
}

-- From the JSON that is kept; what it leaves out is that of `otherwise`.
local function settings_of(text, otherwise)
  local kept = text and cjson.decode(text) or {}
  local backoff = kept.backoff
  local out = {
    rate = rate_of(kept.rate), group_rate = rate_of(kept.group_rate),
    concurrency = kept.concurrency or 0, group_concurrency = kept.group_concurrency or 0,
    depth_max = kept.depth_max or otherwise.depth_max,
    keep_finished = kept.keep_finished_us or otherwise.keep_finished,
    keep_finished_count = kept.keep_finished_count or otherwise.keep_finished_count,
    keep_dead = kept.keep_dead_us or otherwise.keep_dead, level = kept.level,
    backoff = backoff and pack(backoff.strategy, backoff.base_ms, backoff.max_ms, backoff.jitter),
    attempts_max = kept.max_attempts, priority_step = kept.priority_step_on_failure or 0,
  }
  -- Nothing but pauses and groups ever holds a job back.
  out.is_unbounded = out.rate.limit == 0 and out.group_rate.limit == 0 and out.concurrency == 0 and
                     out.group_concurrency == 0
  return out
end

-- Read once for many calls: text -> settings, by what the store says where the text says nothing.
local settings_read, read_by, read_count

local function settings_by(text)
  if read_by ~= state.defaults or read_count > 1000 then
    settings_read, read_by, read_count = {}, state.defaults, 0
  end
  local settings = settings_read[text or '']
  if not settings then
    settings = settings_of(text, state.defaults)
    settings_read[text or ''] = settings
    read_count = read_count + 1
  end
  return settings
end

function queues.defaults_of(text) return settings_of(text, built_in) end

function queues.set(queue, text)
  queue.settings_text, queue.settings = text, settings_by(text)
end

local function counts_of(text)
  local counts = {}
  for number in string.gmatch(text, '%d+') do counts[#counts + 1] = tonumber(number) end
  return counts
end

local function load(queue)
  local values = redis_call('HMGET', queue.key, 'minute', 'settings', 'lanes',
                            unpack(number_fields))
  local minute = table.remove(values, 1)
  later.is_read(queue.key)
  local saved = {}
  for i = 1, last_number do
    -- A text where there is nothing, so that what it will be is written.
    saved[i] = tonumber(values[i + 2]) or values[i + 2] == '' and '' or 'none'
  end
  queue.saved, queue.scratch = saved, {}
  queues.set(queue, values[1])
  queue.settings_kept, queue.lanes_text = values[1], values[2]
  local function number(i) return tonumber(values[i + 2]) end
  queue.number, queue.paused, queue.draining = number(1), number(2) == 1, number(3) == 1
  queue.aside = number(5) or 0  -- jobs that are ready, but in no lane
  queue.next, queue.forget, queue.dead_attempts = number(6), number(7), number(8) or 0
  queue.first_waiting = number(9) or 0  -- no job with a smaller id waits
  queue.gone = number(10) or 0  -- ids in `ended` whose jobs were deleted
  queue.count = {}
  for status = 0, 6 do queue.count[status] = number(count_from + status) or 0 end
  if not queue.number then return end
  by_number[queue.number] = queue
  local its_counts = minute and counts_of(minute)
  if its_counts and #its_counts > 0 then
    queue.minute, queue.happened = table.remove(its_counts, 1), its_counts
  end
  if number(4) ~= state.epoch then queues.forget_counts(queue) end
end

local function new_table(project, name, tag)
  local queue = {project = project, name = name, tag = tag, top = 9, to_tidy = true}
  queue.key = prefix .. 'queue:' .. project .. '/' .. name
  for _, part in ipairs({'scheduled', 'retry', 'leases', 'dlq', 'finished', 'ended', 'unique',
                       'minutes'}) do
    queue[part .. '_key'] = queue.key .. ':' .. part
  end
  by_name[project .. '\0' .. name] = queue
  known_count = known_count + 1
  load(queue)
  return queue
end

-- Whether it exists says `number`.
function queues.named(project, name, tag)
  return queues.meet(by_name[project .. '\0' .. name] or new_table(project, name, tag))
end

-- The routing tag of a name: what stands in its braces, or all of it.
function queues.tag_of(name) return string.match(name, '{([^}]+)}') or name end

function queues.split(text)
  local project, name, tag = string.match(text, '^(%Z*)%z(%Z*)%z?(%Z*)$')
  return project, name, tag
end

function queues.numbered(number)
  local queue = by_number[number]
  if queue then return queues.meet(queue) end
  return queues.named(queues.split(redis_call('HGET', prefix .. 'queues', number)))
end

function queues.of(job) return queues.numbered(job.queue) end

function queues.change(queue) queue.is_changed = true end

-- It exists, or there is room for it.
function queues.may_open(queue) return queue.number or state.queues < limits.queues end

-- The queue, made when it is not there and there is room; else nil.
function queues.open(queue)
  if queue.number then return queue end
  if not queues.may_open(queue) then return nil end
  state.queues = state.queues + 1
  queue.number = state.queues
  by_number[queue.number] = queue
  later.add('fields', prefix .. 'queues', queue.number,
            queue.project .. '\0' .. queue.name .. '\0' .. queue.tag)
  later.score(prefix .. 'queues:names', queue.project .. '\0' .. queue.name, 0)
  queues.change(queue)
  return queue
end

-- One of its jobs is due at that time, or forgotten.
function queues.due_at(queue, time)
  if queue.next and queue.next <= time then return end
  queue.next = time
  state.due_by(time)
  later.score(due_key, tostring(queue.number), time)
  queues.change(queue)
end

function queues.forget_at(queue, time)
  if queue.forget and queue.forget <= time then return end
  queue.forget = time
  later.score(forget_key, tostring(queue.number), time)
  queues.change(queue)
end

-- The first of a sorted set and its score; nil when it is empty.
local function first_of(key)
  later.settle_scores(key)
  local first = redis_call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[1] then return tonumber(first[2]), first[1] end
end

local function first_due(queue)
  return earlier(earlier(first_of(queue.scheduled_key), first_of(queue.retry_key)),
                 (first_of(queue.leases_key)))
end

-- When something is due. What the queue is listed by may go on to be earlier: the next lease then
-- need not change it.
function queues.next_time(queue)
  local time = first_due(queue)
  if time then queues.due_at(queue, time) end
  return time
end

-- Finds out anew when something is due.
function queues.find_next(queue)
  local time = first_due(queue)
  if time == queue.next then return time end
  queue.next, state.due_changed = time, true
  later.score(due_key, tostring(queue.number), time or false)
  queues.change(queue)
  return time
end

function queues.find_forget(queue)
  local keep, time = queue.settings, nil
  if keep.keep_finished > 0 then
    local first = ended.first_time(queue)
    time = first and first + keep.keep_finished
  end
  if keep.keep_dead > 0 then
    local first = first_of(queue.dlq_key)
    time = earlier(time, first and first + keep.keep_dead)
  end
  queue.forget = time
  later.score(forget_key, tostring(queue.number), time or false)
  queues.change(queue)
end

local function holders_of(queue)
  local holders = queue.holders
  if not holders then
    holders = {}
    queue.holders = holders
  end
  return holders
end

-- The job that holds a unique key, or nil.
function queues.holder(queue, key)
  local holders = holders_of(queue)
  local id = holders[key]
  if id == nil then
    id = queue.number and tonumber(redis_call('HGET', queue.unique_key, key)) or false
    holders[key] = id
  end
  return id and jobs.find(queue.tag, id) or nil
end

function queues.hold(queue, key, id)
  holders_of(queue)[key] = id or false
  queue.held = queue.held or {}
  queue.held[key] = true
end

local function save_holders(queue)
  for key in pairs(queue.held) do
    local id = queue.holders[key]
    if id then
      later.add('fields', queue.unique_key, key, id)
    else
      later.add('removed', queue.unique_key, key)
    end
  end
  queue.held = nil
end

local function read_minute(queue, minute)
  if later.fields[queue.minutes_key] then later.settle_fields(queue.minutes_key) end
  local text = redis_call('HGET', queue.minutes_key, minute)
  later.is_read(queue.minutes_key)
  return text and counts_of(text) or {0, 0, 0, 0}
end

-- Another minute begins: what happened in that of before goes to the others of the hour.
local function begin_minute(queue, minute)
  if queue.minute then
    later.add('fields', queue.minutes_key, queue.minute, concat(queue.happened, ' '))
    queue.prune_before, queues.to_prune = minute - 60, true
  end
  queue.minute, queue.happened = minute, read_minute(queue, minute)
end

-- Counts what happened; `what` is 1 for enqueued, 2 completed, 3 failed, 4 dead.
function queues.count_event(queue, time, what, times)
  local minute = floor(time / 60000000)
  local counts = queue.happened
  if minute ~= queue.minute then
    if queue.minute and minute < queue.minute then
      -- Of one that is over.
      counts = read_minute(queue, minute)
      counts[what] = counts[what] + (times or 1)
      redis_call('HSET', queue.minutes_key, minute, concat(counts, ' '))
      return
    end
    begin_minute(queue, minute)
    counts = queue.happened
  end
  counts[what] = counts[what] + (times or 1)
  queue.has_happened = true
  queues.change(queue)
end

-- What is older than an hour goes when a new minute begins.
local function prune_minutes(queue)
  local before = queue.prune_before
  queue.prune_before = nil
  local old = {}
  for _, minute in ipairs(redis_call('HKEYS', queue.minutes_key)) do
    if tonumber(minute) < before then old[#old + 1] = minute end
  end
  in_pieces('HDEL', queue.minutes_key, old)
  redis_call('EXPIRE', queue.minutes_key, 7200)
end

-- All that is known of the last hour, and what was counted in this call.
function queues.all_minutes(queue)
  local out, kept = {}, redis_call('HGETALL', queue.minutes_key)
  for i = 1, #kept, 2 do out[tonumber(kept[i])] = counts_of(kept[i + 1]) end
  if queue.minute then out[queue.minute] = queue.happened end
  return out
end

function queues.settle_lanes()
  for i = 1, #met_queues do
    if met_queues[i].cursor then ready.settle(met_queues[i]) end
  end
end

-- Whether there was anything to do.
function queues.tidy()
  local any = false
  for i = 1, #met_queues do
    local queue = met_queues[i]
    if queue.to_tidy and queue.lanes then
      ready.tidy(queue)
      any = true
    end
  end
  return any
end

function queues.prune()
  queues.to_prune = false
  for i = 1, #met_queues do
    if met_queues[i].prune_before then prune_minutes(met_queues[i]) end
  end
end

-- What is kept as numbers, in the order of their fields.
local function put_numbers(queue, into)
  local count = queue.count
  into[1], into[2], into[3] = queue.number, queue.paused and 1 or 0, queue.draining and 1 or 0
  into[4], into[5], into[6], into[7] = state.epoch, queue.aside, queue.next or '', queue.forget or ''
  into[8], into[9], into[10] = queue.dead_attempts, queue.first_waiting, queue.gone
  into[11], into[12], into[13], into[14] = count[0], count[1], count[2], count[3]
  into[15], into[16], into[17] = count[4], count[5], count[6]
end

-- What has changed since it was read.
local function save_fields(queue)
  local list, saved, is = later.list('fields', queue.key), queue.saved, queue.scratch
  local at = #list
  put_numbers(queue, is)
  for i = 1, last_number do
    local value = is[i]
    if value ~= saved[i] then
      list[at + 1] = number_fields[i]
      list[at + 2] = value == '' and value or format('%d', value)
      at = at + 2
    end
  end
  queue.saved, queue.scratch = is, saved
  if queue.has_other_lanes then
    queue.has_other_lanes = false
    local lanes = struct.pack(ready.lanes_format, unpack(queue.lanes, 1, 30))
    if lanes ~= queue.lanes_text then
      list[at + 1], list[at + 2], queue.lanes_text = 'lanes', lanes, lanes
      at = at + 2
    end
  end
  if queue.has_happened then
    queue.has_happened = false
    local counts = queue.happened
    list[at + 1] = 'minute'
    list[at + 2] = queue.minute and format('%d %d %d %d %d', queue.minute, counts[1], counts[2],
                                           counts[3], counts[4]) or ''
    at = at + 2
  end
  if queue.settings_text and queue.settings_text ~= queue.settings_kept then
    list[at + 1], list[at + 2] = 'settings', queue.settings_text
    queue.settings_kept = queue.settings_text
  end
end

function queues.save()
  for i = 1, #met_queues do
    local queue = met_queues[i]
    if queue.number then
      if queue.ended_now then ended.save(queue) end
      if queue.held then save_holders(queue) end
      if queue.is_changed then
        queue.is_changed = false
        save_fields(queue)
      end
    end
  end
end
