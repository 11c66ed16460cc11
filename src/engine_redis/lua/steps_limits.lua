-- take, refund, reset: limits (counts.lua). A check is {kind, key, limit, cost, dry run, and three
-- numbers of its kind}.

parts.need('counts')

local struct_pack, struct_unpack = struct.pack, struct.unpack
local kinds = counts.kinds
local take_all, take_part, only_look = 0, 1, 2

-- What decides on the checks of a step: first on what is there, then charges. `into` gets the state
-- of each: count, limit, allowed, after how long, start, reset.
local function take(mode, meters, costs, dry_runs, into)
  local allowed, granted, found, n = true, costs[1], {}, #meters
  for i = 1, n do
    local meter = meters[i]
    local count = counts.find(meter)
    local fine, after, start, reset =
        meter.kind.look(count, meter, mode == take_part and 1 or costs[i])
    found[i] = count
    into(i, count.count, meter.limit, fine, after, start, reset)
    if not dry_runs[i] then
      allowed = allowed and fine
      granted = min(granted, max(meter.limit - count.count, 0))
    end
  end
  if mode == only_look or not allowed then return allowed, 0 end
  for i = 1, n do
    local meter, count, cost = meters[i], found[i], mode == take_all and costs[i] or granted
    if cost <= max(meter.limit - count.count, 0) then
      meter.kind.charge(count, meter, cost)
      into(i, count.count, meter.limit, meter.kind.look(count, meter, 0))
    end
  end
  return true, mode == take_part and granted or 0
end

-- One by one, as all other steps.

local function read_checks(checks)
  local meters, costs, dry_runs = {}, {}, {}
  for i, check in ipairs(checks) do
    meters[i] = {kind = kinds[check[1]], key = prefix .. check[2], limit = check[3], a = check[6],
                 b = check[7], c = check[8]}
    costs[i], dry_runs[i] = check[4], check[5]
  end
  return meters, costs, dry_runs
end

local function refuse_moved(checks)
  for _, check in ipairs(checks) do
    if check[1] == 3 and (check[6] > now or check[7] <= now) then return 'limit_period_moved' end
  end
end

local states

local function note_state(i, count, limit, allowed, after, start, reset)
  states[i] = pack(count, limit, max(limit - count, 0), start, reset, allowed, after)
end

local function checked(allowed, granted)
  return pack('m', allowed, granted, now, #states) .. concat(states)
end

steps[40] = {
  arity = 2,
  check = function(step) return refuse_moved(step[3]) end,
  apply = function(step)
    states = {}
    local meters, costs, dry_runs = read_checks(step[3])
    return checked(take(step[2], meters, costs, dry_runs, note_state))
  end,
}

steps[41] = {
  arity = 2,
  check = function(step) return refuse_moved(step[3]) end,
  apply = function(step)
    states = {}
    local meters, costs = read_checks(step[3])
    for i, meter in ipairs(meters) do
      local count = counts.find(meter)
      meter.kind.give_back(count, meter, costs[i], step[2])
      note_state(i, count.count, meter.limit, meter.kind.look(count, meter, 0))
    end
    return checked(true, 0)
  end,
}

steps[42] = {
  arity = 1,
  check = function() end,
  apply = function(step)
    states = {}
    for i, meter in ipairs((read_checks(step[2]))) do
      counts.drop(meter)
      local count = counts.find(meter)
      note_state(i, count.count, meter.limit, meter.kind.look(count, meter, 0))
    end
    return checked(true, 0)
  end,
}

-- Many takes in one argument, numbers in fixed places: 5 (a byte); how many meters (2 bytes), of each
-- kind (1), key behind its length (2), limit and the three numbers (7 each); how many steps (2), of
-- each mode and checks (1 each), of each of those which meter (2), cost (7), dry run (1).
-- The answer: now; of each step 1 and why it is refused, as in hot.lua, or 0, allowed (1), granted
-- (7), and of each check allowed (1), count, start, reset, after how long (7 each).

local shown = {}

local function show_state(i, count, _, allowed, after, start, reset)
  shown[i] = struct_pack('>BI7i7i7I7', allowed and 1 or 0, count, start, reset, after)
end

local moved = struct_pack('>BBc0H', 1, 18, 'limit_period_moved', 0)

local function is_moved(meter)
  return meter.kind.is_calendar and (meter.a > now or meter.b <= now)
end

local function read_meters(text)
  local count, pos = struct_unpack('>H', text, 2)
  local meters = {}
  for i = 1, count do
    local kind, key, limit, a, b, c
    kind, key, limit, a, b, c, pos = struct_unpack('>BHc0I7i7i7i7', text, pos)
    meters[i] = {kind = kinds[kind], key = prefix .. key, limit = limit, a = a, b = b, c = c}
  end
  return meters, pos
end

function transact_limits(text)
  local all, pos = read_meters(text)
  counts.prefetch(all)
  local count
  count, pos = struct_unpack('>H', text, pos)
  local out, meters, costs, dry_runs = {struct_pack('>i7', now)}, {}, {}, {}
  for i = 1, count do
    local mode, checks
    mode, checks, pos = struct_unpack('>BB', text, pos)
    local is_refused = false
    for n = #meters, checks + 1, -1 do meters[n], shown[n] = nil, nil end
    for n = 1, checks do
      local number, dry_run
      number, costs[n], dry_run, pos = struct_unpack('>HI7B', text, pos)
      meters[n], dry_runs[n] = all[number], dry_run == 1
      is_refused = is_refused or is_moved(meters[n])
    end
    if is_refused then
      out[i + 1] = moved
    else
      local allowed, granted = take(mode, meters, costs, dry_runs, show_state)
      out[i + 1] = struct_pack('>BBI7', 0, allowed and 1 or 0, granted) .. concat(shown, '', 1, checks)
    end
  end
  return concat(out)
end
