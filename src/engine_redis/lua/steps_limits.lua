-- take, refund, reset: limits (counts.lua). A check is {kind, key, limit, cost, dry run, and three
-- numbers of its kind}.

parts.need('counts')

local struct_pack, struct_unpack = struct.pack, struct.unpack
local kinds = counts.kinds
local take_all, take_part, only_look = 0, 1, 2

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

local function note_state(i, meter)
  local count = counts.find(meter)
  fine_is[i], after_is[i], start_is[i], reset_is[i] = meter.kind.look(count, meter, 0)
  count_is[i] = count.count
end

local function checked(meters, allowed, granted)
  local out = {pack('m', allowed, granted, now, #meters)}
  for i, meter in ipairs(meters) do
    out[i + 1] = pack(count_is[i], meter.limit, max(meter.limit - count_is[i], 0), start_is[i],
                      reset_is[i], fine_is[i], after_is[i])
  end
  return concat(out)
end

steps[40] = {
  arity = 2,
  check = function(step) return refuse_moved(step[3]) end,
  apply = function(step)
    local meters, costs, dry_runs = read_checks(step[3])
    return checked(meters, take(step[2], #meters, meters, costs, dry_runs))
  end,
}

steps[41] = {
  arity = 2,
  check = function(step) return refuse_moved(step[3]) end,
  apply = function(step)
    local meters, costs = read_checks(step[3])
    for i, meter in ipairs(meters) do
      meter.kind.give_back(counts.find(meter), meter, costs[i], step[2])
      note_state(i, meter)
    end
    return checked(meters, true, 0)
  end,
}

steps[42] = {
  arity = 1,
  check = function() end,
  apply = function(step)
    local meters = read_checks(step[2])
    for i, meter in ipairs(meters) do
      counts.drop(meter)
      note_state(i, meter)
    end
    return checked(meters, true, 0)
  end,
}

-- Many takes in one argument, numbers in fixed places: 5 (a byte); how many meters, how many steps (2
-- bytes each); of each meter its length (2), kind (1), key behind its length (2), limit and the three
-- numbers (7 each);
-- of each step mode and checks (1 each), of each of those which meter (2), cost (7), dry run (1).
-- The answer: now; of each step 1 and why it is refused, as in hot.lua, or 0, allowed (1), granted
-- (7), and of each check allowed (1), count, start, reset, after how long (7 each).

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
      meter = {kind = kinds[kind], key = prefix .. key, limit = limit, a = a, b = b, c = c}
      known[asked], known_count = meter, known_count + 1
    end
    all[i] = meter
  end
  counts.prefetch(all, count)
  return pos
end

function transact_limits(text)
  local meter_count, count, pos = struct_unpack('>HH', text, 2)
  pos = read_meters(text, meter_count, pos)
  local out, at = {struct_pack('>i7', now)}, 1
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
      local allowed, granted = take(mode, checks, meters, costs, dry_runs)
      out[at] = struct_pack('>BBI7', 0, allowed and 1 or 0, granted)
      for n = 1, checks do
        at = at + 1
        out[at] = struct_pack('>BI7i7i7I7', fine_is[n] and 1 or 0, count_is[n], start_is[n],
                              reset_is[n], after_is[n])
      end
    end
  end
  return concat(out)
end
