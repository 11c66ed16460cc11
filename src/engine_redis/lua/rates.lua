-- Sliding windows over starts: the times of the last `limit` starts, exactly.
--
--   rate_limit:{project}/{name}           list: times of the queue's starts
--   rate_limit:{project}/{name}:{group}   list: the same for a group
--   rate_limit:{project}/{name}:groups    sorted set: groups by their last start

local windows = {}  -- key -> how many starts it holds, and the first of them

function rates.begin_anew() windows = {} end

local function rate_key(queue, group)
  local key = prefix .. 'rate_limit:' .. queue.project .. '/' .. queue.name
  return group and key .. ':' .. group or key
end

local function groups_key(queue) return rate_key(queue, 'groups') end
local function group_key(queue, group) return rate_key(queue, 'group:' .. group) end

local function window_of(key)
  local window = windows[key]
  if not window then
    touch(rates)
    local first = redis_call('LINDEX', key, 0)
    window = {count = first and redis_call('LLEN', key) or 0, first = tonumber(first)}
    windows[key] = window
  end
  return window
end

-- When a further start is allowed; nil: now.
local function next_start(key, bound)
  local window = window_of(key)
  if window.count < bound.limit then return nil end
  local time = window.first + bound.per
  if time > now then return time end
end

local function record(key, bound)
  local window = window_of(key)
  while window.count > 0 and (window.first + bound.per <= now or window.count >= bound.limit) do
    redis_call('LPOP', key)
    window.count = window.count - 1
    window.first = tonumber(redis_call('LINDEX', key, 0))
  end
  redis_call('RPUSH', key, now)
  window.count = window.count + 1
  window.first = window.first or now
  -- Only a clock that ticks lets Redis end it by itself.
  if not manual_clock then redis_call('PEXPIRE', key, floor(bound.per / 1000) + 60000) end
end

function rates.queue_opens(queue)
  local bound = queue.settings.rate
  if bound.limit > 0 then return next_start(rate_key(queue), bound) end
end

function rates.group_opens(queue, group)
  local bound = queue.settings.group_rate
  if bound.limit > 0 then return next_start(group_key(queue, group), bound) end
end

function rates.note_start(queue, group)
  local settings = queue.settings
  if settings.rate.limit > 0 then record(rate_key(queue), settings.rate) end
  if not group or settings.group_rate.limit == 0 then return end
  record(group_key(queue, group), settings.group_rate)
  redis_call('ZADD', groups_key(queue), now, group)
  -- Some that have not started for long: as many as may come.
  for _, idle in ipairs(redis_call('ZRANGEBYSCORE', groups_key(queue), '-inf',
                                   now - settings.group_rate.per, 'LIMIT', 0, 2)) do
    redis_call('DEL', group_key(queue, idle))
    redis_call('ZREM', groups_key(queue), idle)
    windows[group_key(queue, idle)] = nil
  end
end

-- Groups that started something of late, at most so many.
function rates.groups(queue, most)
  return redis_call('ZRANGE', groups_key(queue), 0, most - 1)
end

local function keep_last(key, limit)
  if limit == 0 then redis_call('DEL', key) else redis_call('LTRIM', key, -limit, -1) end
  windows[key] = nil
end

-- The bounds change: starts that still count go on counting.
function rates.rebind(queue, was, is)
  if is.rate.limit < was.rate.limit then keep_last(rate_key(queue), is.rate.limit) end
  if is.group_rate.limit >= was.group_rate.limit then return end
  for _, group in ipairs(redis_call('ZRANGE', groups_key(queue), 0, -1)) do
    keep_last(group_key(queue, group), is.group_rate.limit)
  end
end

function rates.forget_all(queue)
  for _, group in ipairs(redis_call('ZRANGE', groups_key(queue), 0, -1)) do
    redis_call('DEL', group_key(queue, group))
  end
  redis_call('DEL', rate_key(queue), groups_key(queue))
  windows = {}
end

-- A new epoch: what is counted since the opening begins anew.
function queues.forget_counts(queue)
  redis_call('DEL', queue.minutes_key)
  queue.minute, queue.happened, queue.has_happened = nil, nil, true
  rates.forget_all(queue)
  queues.change(queue)
  ready.wake_groups(queue)
end
