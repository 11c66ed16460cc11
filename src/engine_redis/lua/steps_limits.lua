-- take, refund, reset: limits. Each count is one key, which ends by itself.
--
--   rate_limit:{project}:{scope}:{id}:{window}         list: charges of a sliding window, packed:
--                                                      when it ends, how much, total so far
--   rate_limit:{project}:{scope}:{id}:{window}:fixed   string: start, end and count, packed
--   rate_limit:{project}:{scope}:{id}:{window}:bucket  string: time, unit, what is missing, drain
--   tokens:{project}:{scope}:{id}:{period}             string: as fixed, of a calendar budget
--
-- A check is {kind, key, limit, cost, dry run, and three numbers of its kind}; see also limit_blocks.

parts.need('limit_blocks')

local take_all, take_part, only_look = 0, 1, 2
local kinds = {[4] = limiter.permits}

-- Totals go round, so that they stay exact however long a window is never empty.
local round = 4503599627370496
local piece = 64  -- elements read at once

-- Only a clock that ticks lets Redis end a key by itself.
local function lifetime(ends) return format('%.0f', floor((ends - now) / 1000) + 1000) end

local function put(key, ends, text)
  if manual_clock then return redis_call('SET', key, text) end
  redis_call('SET', key, text, 'PX', lifetime(ends))
end

local function state_of(count, most, wanted)
  return {count = count, limit = most, remaining = max(most - count, 0),
          allowed = count + wanted <= most, retry_after = 0}
end

-- Sliding windows. Numbers: window, width of a part (0: exact).

local function element(text)
  local _, ends, cost, total = unpack_some(text, 3, 0)
  return ends, cost, total
end

-- Calls `visit(index, ends, cost, total)` for each element from an index on, until it answers true.
local function walk(key, from, visit)
  while true do
    local found = redis_call('LRANGE', key, from, from + piece - 1)
    for i, text in ipairs(found) do
      if visit(from + i - 1, element(text)) then return end
    end
    if #found < piece then return end
    from = from + piece
  end
end

local sliding = {}
kinds[0] = sliding

function sliding.read(check)
  local kept, key = {count = 0, total = 0, base = 0, first = 0}, check[2]
  local last = redis_call('LINDEX', key, -1)
  if not last then return kept end
  kept.there = true
  local ends, cost, total = element(last)
  if ends <= now then return kept end
  kept.ends, kept.last_cost, kept.total = ends, cost, total
  ends, cost, total = element(redis_call('LINDEX', key, 0))
  if ends <= now then
    walk(key, 1, function(index, its_end, its_cost, its_total)
      kept.first, cost, total = index, its_cost, its_total
      return its_end > now
    end)
  end
  kept.base = (total - cost) % round
  kept.count = (kept.total - kept.base) % round
  return kept
end

-- When no more than `most` is left.
local function fits_at(kept, key, most)
  local needed, at = kept.count - most, now
  walk(key, kept.first, function(_, ends, _, total)
    at = ends
    return (total - kept.base) % round >= needed
  end)
  return at
end

function sliding.look(kept, check, wanted)
  local out = state_of(kept.count, check[3], wanted)
  out.start, out.reset = now - check[6], kept.ends or now
  if not out.allowed then out.retry_after = fits_at(kept, check[2], check[3] - wanted) - now end
  return out
end

local function drop_old(kept, key)
  if kept.there and not kept.ends then
    redis_call('DEL', key)
  elseif kept.first > 0 then
    redis_call('LTRIM', key, kept.first, -1)
  end
  kept.first = 0
end

function sliding.charge(kept, check, cost)
  local key, window, part = check[2], check[6], check[7]
  local ends = now + window
  if part > 0 then ends = now - now % part + part + window end
  drop_old(kept, key)
  local total = (kept.total + cost) % round
  if kept.ends and kept.ends >= ends then
    ends = kept.ends
    redis_call('LSET', key, -1, pack(ends, kept.last_cost + cost, total))
  else
    redis_call('RPUSH', key, pack(ends, cost, total))
  end
  if not manual_clock then redis_call('PEXPIRE', key, lifetime(ends)) end
  kept.count, kept.ends = kept.count + cost, ends
end

function sliding.give_back(kept, check, taken_at)
  local key, left = check[2], min(check[4], kept.count)
  if left == 0 or (taken_at and taken_at + check[6] <= now) then return end
  kept.count = kept.count - left
  if kept.count == 0 then
    redis_call('DEL', key)
    kept.ends = nil
    return
  end
  walk(key, kept.first, function(index, ends, cost, total)
    kept.first = index
    if cost > left then
      redis_call('LSET', key, index, pack(ends, cost - left, total))
      return true
    end
    left = left - cost
  end)
  drop_old(kept, key)
end

-- Windows that follow each other, and calendar budgets. Numbers: window; or start, end.

local period = {}
kinds[1], kinds[3] = period, period

local function present(check)
  if check[1] == 3 then return check[6], check[7] end
  local start = now - now % check[6]
  return start, start + check[6]
end

function period.read(check)
  local text = redis_call('GET', check[2])
  if not text then return {count = 0, ends = 0} end
  local _, _, ends, count = unpack_some(text, 3, 0)
  return {count = ends > now and count or 0, ends = ends}
end

function period.look(kept, check, wanted)
  local out, ends = state_of(kept.count, check[3], wanted), nil
  out.start, ends = present(check)
  out.reset = max(ends, kept.ends)
  if not out.allowed then out.retry_after = kept.ends - now end
  return out
end

function period.charge(kept, check, cost)
  local start, ends = present(check)
  if kept.ends > now then ends = max(ends, kept.ends) end
  kept.count, kept.ends = kept.count + cost, ends
  put(check[2], ends, pack(start, ends, kept.count))
end

function period.give_back(kept, check, taken_at)
  local start = present(check)
  if kept.count == 0 or (taken_at and taken_at < start) then return end
  kept.count = max(kept.count - check[4], 0)
  if kept.count == 0 then
    redis_call('DEL', check[2])
    kept.ends = 0
  else
    put(check[2], kept.ends, pack(start, kept.ends, kept.count))
  end
end

-- Token buckets. Numbers: units of a token, units that come back a microsecond, units of a full one.

local bucket = {}
kinds[2] = bucket

local function ceil_div(a, b)
  local whole = (a - a % b) / b
  return a % b > 0 and whole + 1 or whole
end

function bucket.read(check)
  local text = redis_call('GET', check[2])
  if not text then return {missing = 0} end
  local _, time, unit, missing, drain = unpack_some(text, 4, 0)
  -- What has come back until now came at the rate of before. No more steps than empty it: the
  -- product stays exact.
  local elapsed = min(now - time, (missing - missing % drain) / drain + 1)
  missing = max(missing - elapsed * drain, 0)
  if unit ~= check[6] then missing = ceil_div(missing, unit) * check[6] end
  return {missing = missing}
end

function bucket.look(kept, check, wanted)
  local unit, drain, capacity = check[6], check[7], check[8]
  local out = state_of(ceil_div(kept.missing, unit), check[3], wanted)
  out.start, out.reset = now, now + ceil_div(kept.missing, drain)
  local beyond = kept.missing - (capacity - wanted * unit)
  out.allowed = beyond <= 0
  if beyond > 0 then out.retry_after = ceil_div(beyond, drain) end
  return out
end

local function keep_bucket(kept, check)
  if kept.missing == 0 then return redis_call('DEL', check[2]) end
  put(check[2], now + ceil_div(kept.missing, check[7]),
      pack(now, check[6], kept.missing, check[7]))
end

function bucket.charge(kept, check, cost)
  kept.missing = kept.missing + cost * check[6]
  keep_bucket(kept, check)
end

function bucket.give_back(kept, check)
  if kept.missing == 0 then return end
  local most = ceil_div(kept.missing, check[6])
  kept.missing = max(kept.missing - min(check[4], most) * check[6], 0)
  keep_bucket(kept, check)
end

-- The keys come without what every key begins with.
local function complete(checks)
  for _, check in ipairs(checks) do check[2] = prefix .. check[2] end
  return checks
end

local function refuse_moved(checks)
  for _, check in ipairs(checks) do
    if check[1] == 3 and (check[6] > now or check[7] <= now) then return 'limit_period_moved' end
  end
end

local function checked(allowed, granted, states, permit)
  local out = {pack('m', allowed, granted, now, permit or 0, #states)}
  for i, s in ipairs(states) do
    out[i + 1] = pack(s.count, s.limit, s.remaining, s.start, s.reset, s.allowed, s.retry_after,
                      s.blocked or 0)
  end
  return concat(out)
end

limiter.complete, limiter.checked = complete, checked

steps[40] = {
  arity = 2,
  check = function(step) return refuse_moved(step[3]) end,
  apply = function(step)
    local mode, checks = step[2], complete(step[3])
    local kept, states, allowed, granted = {}, {}, true, checks[1][4]
    local blocks = limiter.find_blocks(checks)
    for i, check in ipairs(checks) do
      local kind = kinds[check[1]]
      kept[i] = kind.read(check)
      states[i] = kind.look(kept[i], check, mode == take_part and 1 or check[4])
      if blocks and blocks[i] then limiter.show_block(states[i], blocks[i]) end
      if not check[5] then
        allowed = allowed and states[i].allowed
        granted = min(granted, states[i].remaining)
      end
    end
    if mode ~= only_look and not allowed then limiter.count_strikes(checks, states) end
    if mode == only_look or not allowed then return checked(allowed, 0, states) end
    limiter.permit = 0
    for i, check in ipairs(checks) do
      local kind, cost = kinds[check[1]], mode == take_all and check[4] or granted
      if cost <= states[i].remaining and not states[i].blocked then
        kind.charge(kept[i], check, cost)
        states[i] = kind.look(kept[i], check, 0)
      end
    end
    return checked(true, mode == take_part and granted or 0, states, limiter.permit)
  end,
}

steps[41] = {
  arity = 2,
  check = function(step) return refuse_moved(step[3]) end,
  apply = function(step)
    local states, checks = {}, complete(step[3])
    local blocks = limiter.find_blocks(checks)
    for i, check in ipairs(checks) do
      local kind = kinds[check[1]]
      local kept = kind.read(check)
      kind.give_back(kept, check, step[2])
      states[i] = kind.look(kept, check, 0)
      if blocks and blocks[i] then limiter.show_block(states[i], blocks[i]) end
    end
    return checked(true, 0, states)
  end,
}

steps[42] = {
  arity = 1,
  check = function() end,
  apply = function(step)
    local states = {}
    for i, check in ipairs(complete(step[2])) do
      local kind = kinds[check[1]]
      limiter.forget(check)
      states[i] = kind.look(kind.read(check), check, 0)
    end
    return checked(true, 0, states)
  end,
}
