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

-- Many takes in one argument, numbers in fixed places: 5 (a byte); how many meters, how many rows (2
-- bytes each); of each meter its length (2), kind (1), key behind its length (2), limit and the three
-- numbers (7 each); of each row how many steps (2), mode and checks (1 each), of each of those cost (7)
-- and dry run (1), then of each step and check which meter (2).
-- None has a penalty or is about permits.
-- The answer: now; of each row how many steps (2), what became of each (1), then what there is to say
-- of each, in numbers of 7 bytes: of what is allowed (0) of each check how much counts and when it is
-- empty; nothing of a period that has moved (1); of anything else (2) whether it is allowed, granted,
-- and of each check whether it is allowed (+ 2: its id is blocked), count, reset, after how long, and
-- until when it is blocked, if it is.

local is_fine, is_moved, is_told = 0, 1, 2

-- The state of each check of a step: how much counts, whether it is allowed and else after how long,
-- and when it is empty.
local count_is, fine_is, after_is, reset_is = {}, {}, {}, {}
local found = {}
local all, its, meters, costs, dry_runs = {}, {}, {}, {}, {}  -- used again by each call

-- What decides on so many checks: first looks at what is there, then charges.
local function take(mode, n)
  local allowed, granted = true, costs[1]
  for i = 1, n do
    local meter, count = meters[i], found[i]
    local fine, after, _, reset = meter.kind.look(count, meter, mode == take_part and 1 or costs[i])
    count_is[i], fine_is[i], after_is[i], reset_is[i] = count.count, fine, after, reset
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

-- Most are asked for again and again: as they are written down -> meter.
local known, known_count, known_prefix = {}, 0, nil
local known_at_most = 4000

local function new_meter(asked)
  local kind, key, limit, a, b, c = struct_unpack('>BHc0I7i7i7i7', asked)
  local meter = {kind = kinds[kind], key = prefix .. key, limit = limit, a = a, b = b, c = c,
                 number = kind, is_sliding = kind == 0, is_quick = kind < 2, ends = 0}
  known[asked], known_count = meter, known_count + 1
  return meter
end

local texts_of = runs.made_once(function(count) return '>' .. string.rep('Hc0', count) end)
local shorts_of = runs.made_once(function(count) return '>' .. string.rep('H', count) end)
local longs_of = runs.made_once(function(count) return '>' .. string.rep('i7', count) end)
local read_at_once = 240  -- texts or numbers of one command, out of a stack of 8000

-- The meters, and the count of each.
local function read_meters(text, count, pos)
  if known_count > known_at_most or prefix ~= known_prefix then
    known, known_count, known_prefix = {}, 0, prefix
  end
  for first = 0, count - 1, read_at_once do
    local some = min(read_at_once, count - first)
    local asked = {struct_unpack(texts_of[some], text, pos)}
    pos = asked[some + 1]
    for i = 1, some do
      local meter = known[asked[i]] or new_meter(asked[i])
      all[first + i] = meter
      if meter.is_sliding then
        meter.ends = meter.b == 0 and now + meter.a or counts.end_of_charge(meter)
      elseif meter.kind.is_calendar then
        meter.is_quick = meter.a <= now and now < meter.b
      end
    end
  end
  counts.find_all(all, count, its)
  return pos
end

local function read_numbers(text, pos, count)
  if count <= read_at_once then
    return {struct_unpack(shorts_of[count], text, pos)}, pos + 2 * count
  end
  local numbers = {}
  for i = 1, count do numbers[i], pos = struct_unpack('>H', text, pos) end
  return numbers, pos
end

-- While anybody at all is blocked.
local function take_with_blocks(mode, n, said, at)
  local checks = {}
  for i = 1, n do
    local meter = meters[i]
    checks[i] = {meter.number, meter.key, meter.limit, costs[i], dry_runs[i], meter.a, meter.b,
                 meter.c}
  end
  local allowed, granted, states = take_checks(mode, checks)
  said[at + 1], said[at + 2] = allowed and 1 or 0, granted
  at = at + 2
  for _, s in ipairs(states) do
    said[at + 1], said[at + 2] = (s.allowed and 1 or 0) + (s.blocked and 2 or 0), s.count
    said[at + 3], said[at + 4], said[at + 5] = s.reset, s.retry_after, s.blocked
    at = at + (s.blocked and 5 or 4)
  end
  return at
end

local function take_plainly(mode, n, said, at)
  local allowed, granted = take(mode, n)
  said[at + 1], said[at + 2] = allowed and 1 or 0, granted
  at = at + 2
  for i = 1, n do
    said[at + 1], said[at + 2] = fine_is[i] and 1 or 0, count_is[i]
    said[at + 3], said[at + 4] = reset_is[i], after_is[i]
    at = at + 4
  end
  return at
end

-- A step whose checks have the meters behind `from`.
local function take_step(mode, n, numbers, from, said, at, take_any)
  for i = 1, n do
    local number = numbers[from + i]
    local meter = all[number]
    if meter.kind.is_calendar and not meter.is_quick then return is_moved, at end
    meters[i], found[i] = meter, its[number]
  end
  return is_told, take_any(mode, n, said, at)
end

local step_number = 0

-- Whether all that a step asks for is there, each of another count.
local function has_room(n, numbers, from)
  step_number = step_number + 1
  for i = 1, n do
    local number = numbers[from + i]
    local meter, count = all[number], its[number]
    if count.count + costs[i] > meter.limit or not meter.is_quick or
        count.asked_by == step_number then
      return false
    end
    count.asked_by = step_number
  end
  return true
end

-- Of what there is room for.
local function charge_step(n, numbers, from, said, at)
  for i = 1, n do
    local number = numbers[from + i]
    local meter, count = all[number], its[number]
    if meter.is_sliding then
      said[at + 2] = counts.charge_sliding(count, meter.a, meter.ends, costs[i])
    else
      said[at + 2] = meter.kind.charge(count, meter, costs[i])
    end
    said[at + 1] = count.count
    at = at + 2
  end
  return at
end

-- One check a step, which all cost the same. Those that are not allowed are done by `otherwise`.
local function charge_ones(count, numbers, said, codes, otherwise)
  local cost, at, charge_sliding = costs[1], 0, counts.charge_sliding
  for step = 1, count do
    local number = numbers[step]
    local meter, its_count = all[number], its[number]
    if meter.is_sliding and its_count.count + cost <= meter.limit then
      codes[step] = is_fine
      said[at + 2] = charge_sliding(its_count, meter.a, meter.ends, cost)
      said[at + 1], at = its_count.count, at + 2
    else
      codes[step], at = otherwise(1, numbers, step - 1, said, at)
    end
  end
  return at
end

local function take_fine(n, numbers, from, said, at)
  if has_room(n, numbers, from) then return is_fine, charge_step(n, numbers, from, said, at) end
  return take_step(take_all, n, numbers, from, said, at, take_plainly)
end

local function write_numbers(said, count, out)
  local made = #out
  for first = 1, count, read_at_once do
    local last = min(first + read_at_once - 1, count)
    made = made + 1
    out[made] = struct_pack(longs_of[last - first + 1], unpack(said, first, last))
  end
end

local function take_row(text, pos, take_any, out)
  local count, mode, n, behind = struct_unpack('>HBB', text, pos)
  local is_plain, numbers = mode == take_all and take_any == take_plainly, nil
  pos = behind
  for i = 1, n do
    local dry_run
    costs[i], dry_run, pos = struct_unpack('>I7B', text, pos)
    dry_runs[i] = dry_run == 1
    if dry_runs[i] then is_plain = false end
  end
  numbers, pos = read_numbers(text, pos, count * n)
  local said, codes, at = {}, {}, 0
  if is_plain and n == 1 then
    at = charge_ones(count, numbers, said, codes, take_fine)
  else
    for step = 1, count do
      local from = (step - 1) * n
      if is_plain then
        codes[step], at = take_fine(n, numbers, from, said, at)
      else
        codes[step], at = take_step(mode, n, numbers, from, said, at, take_any)
      end
    end
  end
  out[#out + 1] = struct_pack('>H', count) .. string.char(unpack(codes))
  write_numbers(said, at, out)
  return pos
end

function transact_limits(text)
  local meter_count, rows_count, pos = struct_unpack('>HH', text, 2)
  pos = read_meters(text, meter_count, pos)
  local out = {struct_pack('>i7', now)}
  local take_any = limiter.is_anybody_blocked() and take_with_blocks or take_plainly
  for _ = 1, rows_count do pos = take_row(text, pos, take_any, out) end
  return concat(out)
end
