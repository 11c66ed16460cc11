-- What happens by itself: jobs become available and leases end, each at its due time, all of them
-- in one order of time and then of id.

local due_at_once = 2000

-- A page of runs stands among the leases by the first that ends: each of its jobs is an entry of
-- its own.
local function gather_page(queue, field, horizon, into)
  runs.each(queue, field, function(id, till)
    if till <= horizon then
      into[#into + 1] = {time = till, id = id, queue = queue, key = queue.leases_key}
    end
  end)
end

-- What is due by the horizon, as far as `into` takes it; the time from which on there may be more.
local function gather(queue, key, horizon, into)
  later.settle_scores(key)
  local found = redis_call('ZRANGEBYSCORE', key, '-inf', horizon, 'WITHSCORES', 'LIMIT', 0,
                           due_at_once)
  local most = #into + due_at_once
  for i = 1, #found, 2 do
    local time = tonumber(found[i + 1])
    if #into >= most then return time end
    if #found[i] == 16 then
      into[#into + 1] = {time = time, id = tonumber(found[i]), queue = queue, key = key}
    else
      gather_page(queue, found[i], horizon, into)
    end
  end
  return #found == 2 * due_at_once and tonumber(found[#found]) or nil
end

local function sort(entries)
  table.sort(entries, function(a, b)
    if a.time ~= b.time then return a.time < b.time end
    return a.id < b.id
  end)
end

local function prefetch(entries)
  local wanted = {}
  for _, entry in ipairs(entries) do
    local ids = wanted[entry.queue.tag]
    if not ids then
      ids = {}
      wanted[entry.queue.tag] = ids
    end
    ids[#ids + 1] = entry.id
  end
  for tag, ids in pairs(wanted) do jobs.prefetch(tag, ids) end
end

-- It has not happened yet. The page that a run stands in knows by itself when to look again.
local function look_again(entry)
  if entry.job.run then return end
  if entry.time <= now then
    later.score(entry.key, entry.job.name, entry.time)
  else
    change.watch_lease(entry.queue, entry.job)
  end
end

-- The first of them, as many as one call does, with the times at which they do happen: a lease may
-- be looked at before its end. `horizon`: up to then they are all there.
local function first_of(entries, horizon)
  sort(entries)
  local all = #entries <= due_at_once
  if #entries > due_at_once then horizon = min(horizon, entries[due_at_once].time) end
  for i = #entries, due_at_once + 1, -1 do entries[i] = nil end
  prefetch(entries)
  local out = {}
  for _, entry in ipairs(entries) do
    local job = jobs.find(entry.queue.tag, entry.id)
    if not job then
      -- Somebody took it away behind our back: nothing is left to happen.
      later.score(entry.key, text_of(entry.id), false)
    else
      entry.job = job
      if entry.key == entry.queue.leases_key then entry.time = job.leased_until end
      if entry.time <= horizon then
        out[#out + 1] = entry
      else
        look_again(entry)
      end
    end
  end
  sort(out)
  return out, all
end

local function happen(entry)
  local queue, job, time = entry.queue, entry.job, entry.time
  if entry.key == queue.leases_key then
    local status, run_at, priority, code = retry.after_expiry(job, time)
    change.end_failed_run(queue, job, time, limits.expired_text, limits.expired_cause, status,
                          run_at, priority, code)
  else
    later.score(entry.key, job.name, false)
    change.make_available(queue, job, time)
  end
  change.touch(job)
end

-- Lets everything happen that is due. False: there is more of it than one call should do.
function change.let_happen()
  local numbers = redis_call('ZRANGEBYSCORE', prefix .. 'due', '-inf', now, 'WITHSCORES', 'LIMIT',
                             0, 501)
  if #numbers == 0 then return true end
  -- With very many queues only what is due before the first that is not looked at.
  local horizon, last = now, #numbers
  if last > 1000 then
    horizon, last = tonumber(numbers[last]), 1000
  end
  local entries, known_until = {}, horizon
  for i = 1, last, 2 do
    local queue = queues.numbered(tonumber(numbers[i]))
    for _, key in ipairs({queue.scheduled_key, queue.retry_key, queue.leases_key}) do
      known_until = earlier(known_until, gather(queue, key, horizon, entries))
    end
  end
  local ready_now, all = first_of(entries, known_until)
  for _, entry in ipairs(ready_now) do happen(entry) end
  for i = 1, last, 2 do queues.find_next(queues.numbered(tonumber(numbers[i]))) end
  change.trim_ended(false)
  return all and known_until == horizon and last == #numbers
end
