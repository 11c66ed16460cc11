-- Who is shut out for a time, and permits: limits on what happens at once. For steps_limits.
--
--   rate_limit:blocks                           string: until when anybody at all is blocked
--   rate_limit:{project}:{scope}:{id}:block     string: until when this id is blocked
--   rate_limit:{project}:{limit}:strikes        string: refusals that count for a penalty, and until
--                                               when, packed
--   rate_limit:{project}:{scope}:{id}:permits   sorted set: permits by when they end; of a permit
--                                               that counts n times as often, `{permit}:2` and so on
--
-- A check with a penalty has three numbers more: after how many refusals, for how long, and how long
-- refusals count (0: until the period ends).

local anybody
at_each_store(function() anybody = prefix .. 'rate_limit:blocks' end)

local function number_text(of) return format('%.0f', of) end

-- Only a clock that ticks lets Redis end a key by itself.
local function lifetime(ends) return number_text(floor((ends - now) / 1000) + 1000) end

local function put(key, ends, text)
  if manual_clock then return redis_call('SET', key, text) end
  redis_call('SET', key, text, 'PX', lifetime(ends))
end

-- Of a check whose key is complete: that without what it counts by.
local function block_key(check)
  local name = string.match(check[2], ':(.*):[^:]*$', #prefix + 1)
  if check[1] == 1 or check[1] == 2 then name = string.match(name, '^(.*):') end
  return prefix .. 'rate_limit:' .. name .. ':block'
end

local function ends_at(key) return tonumber(redis_call('GET', key) or 0) end

-- Until when anybody is blocked, as long as nobody else has changed the store.
local anybody_ends

function limiter.forget_blocks() anybody_ends = nil end

function limiter.is_anybody_blocked()
  if not anybody_ends then anybody_ends = ends_at(anybody) end
  return anybody_ends > now
end

-- By the place of a check: until when its id is blocked. Nil: nobody is.
function limiter.find_blocks(checks)
  if not limiter.is_anybody_blocked() then return nil end
  local block_keys, found = {}, nil
  for i, check in ipairs(checks) do block_keys[i] = block_key(check) end
  for i, text in ipairs(redis_call('MGET', unpack(block_keys))) do
    local ends = tonumber(text or 0)
    if ends > now then
      found = found or {}
      found[i] = ends
    end
  end
  return found
end

function limiter.show_block(state, ends)
  state.blocked, state.allowed = ends, false
  state.retry_after = max(state.retry_after, ends - now)
end

local function set_block(key, ends)
  parts.need('limit_lists')
  limiter.note_block(key, ends)
  put(key, ends, number_text(ends))
  if not limiter.is_anybody_blocked() or anybody_ends < ends then
    put(anybody, ends, number_text(ends))
    anybody_ends = ends
  end
end

-- A call was refused: what follows for those that refused it.
function limiter.count_strikes(checks, states)
  for i, check in ipairs(checks) do
    local after, s = check[9], states[i]
    if after and not check[5] and not s.allowed and not s.blocked then
      local key = check[2] .. ':strikes'
      local text, count, ends = redis_call('GET', key), 0, 0
      if text then
        local _, kept, until_then = unpack_some(text, 2, 0)
        count, ends = kept, until_then
      end
      if ends <= now then count, ends = 0, check[11] > 0 and now + check[11] or check[7] end
      count = count + 1
      if count < after then
        put(key, ends, pack(count, ends))
      else
        redis_call('DEL', key)
        local blocked = block_key(check)
        ends = max(ends_at(blocked), now + check[10])
        set_block(blocked, ends)
        limiter.show_block(s, ends)
      end
    end
  end
end

function limiter.forget(check)
  redis_call('DEL', check[2], check[2] .. ':strikes', block_key(check))
end

-- Permits. Numbers: how long one lasts.

local permits = {}
limiter.permits = permits

local function after_now() return '(' .. number_text(now) end

function permits.read(check)
  local kept, key = {count = redis_call('ZCOUNT', check[2], after_now(), '+inf')}, check[2]
  if kept.count > 0 then
    kept.ends = tonumber(redis_call('ZREVRANGE', key, 0, 0, 'WITHSCORES')[2])
  end
  return kept
end

function permits.look(kept, check, wanted)
  local most = check[3]
  local out = {count = kept.count, limit = most, remaining = max(most - kept.count, 0),
               allowed = kept.count + wanted <= most, retry_after = 0, start = now,
               reset = kept.ends or now}
  if not out.allowed then
    local beyond = kept.count + wanted - most
    local last = redis_call('ZRANGEBYSCORE', check[2], after_now(), '+inf', 'WITHSCORES', 'LIMIT',
                            beyond - 1, 1)
    out.retry_after = tonumber(last[2]) - now
  end
  return out
end

local function member(permit, i)
  return i == 1 and number_text(permit) or number_text(permit) .. ':' .. i
end

local function keep_until(key, ends)
  if not manual_clock then redis_call('PEXPIRE', key, lifetime(ends)) end
end

function permits.charge(kept, check, cost)
  local key, ends = check[2], now + check[6]
  if limiter.permit == 0 then limiter.permit = next_stamp() end
  redis_call('ZREMRANGEBYSCORE', key, '-inf', number_text(now))
  local added, text = {}, number_text(ends)
  for i = 1, cost do added[2 * i - 1], added[2 * i] = text, member(limiter.permit, i) end
  in_pieces('ZADD', key, added)
  kept.count, kept.ends = kept.count + cost, max(kept.ends or 0, ends)
  keep_until(key, kept.ends)
end

function permits.give_back() end

local function holds(check, permit)
  return tonumber(redis_call('ZSCORE', prefix .. check[2], number_text(permit)) or 0) > now
end

-- A step is {number, permit, checks}.

local function states_of(checks)
  local states = {}
  for i, check in ipairs(checks) do states[i] = permits.look(permits.read(check), check, 0) end
  return states
end

steps[43] = {
  arity = 2,
  check = function() end,
  apply = function(step)
    local key, length = prefix .. step[2], step[3]
    local s = {count = 0, limit = 0, remaining = 0, allowed = true, retry_after = 0, start = now,
               reset = now + length}
    if length > 0 then
      set_block(key, now + length)
      limiter.show_block(s, now + length)
    else
      redis_call('DEL', key)
    end
    return limiter.checked(s.allowed, 0, {s}, 0)
  end,
}

steps[44] = {
  arity = 2,
  check = function(step)
    for _, check in ipairs(step[3]) do
      if not holds(check, step[2]) then return 'permit_lost' end
    end
  end,
  apply = function(step)
    local permit, checks = step[2], limiter.complete(step[3])
    for _, check in ipairs(checks) do
      local key, ends, i = check[2], now + check[6], 1
      while redis_call('ZSCORE', key, member(permit, i)) do
        redis_call('ZADD', key, number_text(ends), member(permit, i))
        i = i + 1
      end
      keep_until(key, permits.read(check).ends)
    end
    return limiter.checked(true, 0, states_of(checks), permit)
  end,
}

steps[45] = {
  arity = 2,
  check = function(step)
    for _, check in ipairs(step[3]) do
      if holds(check, step[2]) then return end
    end
    return 'permit_lost'
  end,
  apply = function(step)
    local permit, checks = step[2], limiter.complete(step[3])
    for _, check in ipairs(checks) do
      local i = 1
      while redis_call('ZREM', check[2], member(permit, i)) == 1 do i = i + 1 end
    end
    return limiter.checked(true, 0, states_of(checks), 0)
  end,
}
