-- take, refund, reset: limits (counts.lua). A check is {kind, key, limit, cost, dry run, and three
-- numbers of its kind}; see also limit_blocks.

parts.need('counts')
parts.need('limit_blocks')

local struct_pack, struct_unpack = struct.pack, struct.unpack
local kinds = counts.kinds
local take_all, take_part, only_look = 0, 1, 2

-- One by one, as all other steps.

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

-- What there is of it, and what it is counted by; of permits nothing is.
local function find(check)
  if check[1] == 4 then return limiter.permits.read(check), nil end
  local meter = {kind = kinds[check[1]], key = check[2], limit = check[3], a = check[6],
                 b = check[7], c = check[8]}
  return counts.find(meter), meter
end

local function state_of(check, count, meter, wanted)
  if not meter then return limiter.permits.look(count, check, wanted) end
  local allowed, after, start, reset = meter.kind.look(count, meter, wanted)
  return {count = count.count, limit = meter.limit, remaining = max(meter.limit - count.count, 0),
          allowed = allowed, retry_after = after, start = start, reset = reset}
end

local function charge(check, count, meter, cost)
  if meter then
    meter.kind.charge(count, meter, cost)
  else
    limiter.permits.charge(count, check, cost)
  end
  return state_of(check, count, meter, 0)
end

-- Answers what `checked` wants.
local function take_checks(mode, checks)
  local found, meters, states, allowed, granted = {}, {}, {}, true, checks[1][4]
  local blocks = limiter.find_blocks(checks)
  for i, check in ipairs(checks) do
    found[i], meters[i] = find(check)
    states[i] = state_of(check, found[i], meters[i], mode == take_part and 1 or check[4])
    if blocks and blocks[i] then limiter.show_block(states[i], blocks[i]) end
    if not check[5] then
      allowed = allowed and states[i].allowed
      granted = min(granted, states[i].remaining)
    end
  end
  if mode ~= only_look and not allowed then limiter.count_strikes(checks, states) end
  if mode == only_look or not allowed then return allowed, 0, states end
  limiter.permit = 0
  for i, check in ipairs(checks) do
    local cost = mode == take_all and check[4] or granted
    if cost <= states[i].remaining and not states[i].blocked then
      states[i] = charge(check, found[i], meters[i], cost)
    end
  end
  return true, mode == take_part and granted or 0, states, limiter.permit
end

limiter.take_checks = take_checks

steps[40] = {
  arity = 2,
  check = function(step) return refuse_moved(step[3]) end,
  apply = function(step) return checked(take_checks(step[2], complete(step[3]))) end,
}

steps[41] = {
  arity = 2,
  check = function(step) return refuse_moved(step[3]) end,
  apply = function(step)
    local states, checks = {}, complete(step[3])
    local blocks = limiter.find_blocks(checks)
    for i, check in ipairs(checks) do
      local count, meter = find(check)
      if meter then meter.kind.give_back(count, meter, check[4], step[2]) end
      states[i] = state_of(check, count, meter, 0)
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
      counts.drop(check[2])
      limiter.forget(check)
      local count, meter = find(check)
      states[i] = state_of(check, count, meter, 0)
    end
    return checked(true, 0, states)
  end,
}

-- Many takes in one argument, numbers in fixed places: 5 (a byte); how many meters, how many steps (2
-- bytes each); of each meter its length (2), kind (1), key behind its length (2), limit and the three
-- numbers (7 each);
-- of each step mode and checks (1 each), of each of those which meter (2), cost (7), dry run (1).
-- None has a penalty or is about permits.
-- The answer: now; of each step 1 and why it is refused, as in hot.lua, or 0, allowed (1), granted
-- (7), and of each check allowed (1; + 2: its id is blocked), count, start, reset, after how long, and
-- until when it is blocked, if it is (7 each).

-- The state of each check of a step: how much counts, whether it is allowed and else after how long,
-- where its window begins and when it is empty.
local count_is, fine_is, after_is, start_is, reset_is = {}, {}, {}, {}, {}
local found = {}

-- What decides on so many checks: first looks at what is there, then charges.
local function take(mode, n, meters, costs, dry_runs)
  local allowed, granted = true, costs[1]
  for i = 1, n do
    local meter = meters[i]
    local count = counts.find(meter)
    local wanted = mode == take_part and 1 or costs[i]
    local fine, after, start, reset = meter.kind.look(count, meter, wanted)
    found[i] = count
    count_is[i], fine_is[i], after_is[i], start_is[i], reset_is[i] = count.count, fine, after, start, reset
    if not dry_runs[i] then
      if not fine then allowed = false end
      local left = meter.limit - count.count
      if left < granted then granted = left end
    end
  end
  if mode == only_look or not allowed then return allowed, 0 end
  for i = 1, n do
    local meter, count, cost = meters[i], found[i], mode == take_all and costs[i] or granted
    -- Only a dry run can be without room here.
    if cost <= meter.limit - count.count then
      reset_is[i] = meter.kind.charge(count, meter, cost)
      count_is[i], fine_is[i], after_is[i] = count.count, true, 0
    end
  end
  return true, mode == take_part and granted or 0
end

local moved = struct_pack('>BBc0H', 1, 18, 'limit_period_moved', 0)
local all, meters, costs, dry_runs = {}, {}, {}, {}  -- used again by each call

-- Most are asked for again and again: as they are written down -> meter.
local known, known_count, known_prefix = {}, 0, nil
local known_at_most = 4000

local function read_meters(text, count, pos)
  if known_count > known_at_most or prefix ~= known_prefix then
    known, known_count, known_prefix = {}, 0, prefix
  end
  for i = 1, count do
    local asked
    asked, pos = struct_unpack('>Hc0', text, pos)
    local meter = known[asked]
    if not meter then
      local kind, key, limit, a, b, c = struct_unpack('>BHc0I7i7i7i7', asked)
      meter = {kind = kinds[kind], key = prefix .. key, limit = limit, a = a, b = b, c = c,
               number = kind}
      known[asked], known_count = meter, known_count + 1
    end
    all[i] = meter
  end
  counts.prefetch(all, count)
  return pos
end

-- While anybody at all is blocked.
local function take_with_blocks(mode, n, out, at)
  local checks = {}
  for i = 1, n do
    local meter = meters[i]
    checks[i] = {meter.number, meter.key, meter.limit, costs[i], dry_runs[i], meter.a, meter.b,
                 meter.c}
  end
  local allowed, granted, states = take_checks(mode, checks)
  out[at] = struct_pack('>BBI7', 0, allowed and 1 or 0, granted)
  for i, s in ipairs(states) do
    out[at + i] = struct_pack('>BI7i7i7I7', (s.allowed and 1 or 0) + (s.blocked and 2 or 0), s.count,
                              s.start, s.reset, s.retry_after) ..
                      (s.blocked and struct_pack('>I7', s.blocked) or '')
  end
  return at + n
end

local function take_plainly(mode, n, out, at)
  local allowed, granted = take(mode, n, meters, costs, dry_runs)
  out[at] = struct_pack('>BBI7', 0, allowed and 1 or 0, granted)
  for i = 1, n do
    out[at + i] = struct_pack('>BI7i7i7I7', fine_is[i] and 1 or 0, count_is[i], start_is[i],
                              reset_is[i], after_is[i])
  end
  return at + n
end

function transact_limits(text)
  local meter_count, count, pos = struct_unpack('>HH', text, 2)
  pos = read_meters(text, meter_count, pos)
  local out, at = {struct_pack('>i7', now)}, 1
  local take_any = limiter.is_anybody_blocked() and take_with_blocks or take_plainly
  for _ = 1, count do
    local mode, checks
    mode, checks, pos = struct_unpack('>BB', text, pos)
    local is_refused = false
    for n = 1, checks do
      local number, dry_run
      number, costs[n], dry_run, pos = struct_unpack('>HI7B', text, pos)
      local meter = all[number]
      meters[n], dry_runs[n] = meter, dry_run == 1
      if meter.kind.is_calendar and (meter.a > now or meter.b <= now) then is_refused = true end
    end
    at = at + 1
    if is_refused then
      out[at] = moved
    else
      at = take_any(mode, checks, out, at)
    end
  end
  return concat(out)
end
