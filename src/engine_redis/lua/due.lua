-- What happens by itself: jobs become available and leases end, each at its due time, all of them
-- in one order of time and then of id.

local due_at_once = 2000

local function gather(queue, key, horizon, into)
  later.settle_scores(key)
  local found = redis_call('ZRANGEBYSCORE', key, '-inf', horizon, 'WITHSCORES', 'LIMIT', 0,
                           due_at_once)
  for i = 1, #found, 2 do
    into[#into + 1] = {time = tonumber(found[i + 1]), id = tonumber(found[i]), queue = queue,
                       key = key}
  end
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

-- The first of them, as many as one call does, with the times at which they do happen: a lease may
-- be looked at before its end.
local function first_of(entries)
  sort(entries)
  local all = #entries <= due_at_once
  local horizon = all and now or entries[due_at_once].time
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
      elseif entry.time <= now then
        later.score(entry.key, job.name, entry.time)
      else
        change.watch_lease(entry.queue, job)
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
  local entries = {}
  for i = 1, last, 2 do
    local queue = queues.numbered(tonumber(numbers[i]))
    gather(queue, queue.scheduled_key, horizon, entries)
    gather(queue, queue.retry_key, horizon, entries)
    gather(queue, queue.leases_key, horizon, entries)
  end
  local ready_now, all = first_of(entries)
  for _, entry in ipairs(ready_now) do happen(entry) end
  for i = 1, last, 2 do queues.find_next(queues.numbered(tonumber(numbers[i]))) end
  change.trim_ended(false)
  return all and last == #numbers
end
