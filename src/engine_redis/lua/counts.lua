-- How often something has happened: what limits count. Each count is one key, which ends by itself.
--
--   rate_limit:{project}:{scope}:{id}:{window}         string: charges of a sliding window, in
--                                                      records of 25 bytes (below)
--   rate_limit:{project}:{scope}:{id}:{window}:fixed   string: start, end and count (7 bytes each)
--   rate_limit:{project}:{scope}:{id}:{window}:bucket  string: time, unit, what is missing, drain (7)
--   tokens:{project}:{scope}:{id}:{period}             string: as fixed, of a calendar budget
--
-- What is counted by: {kind, key, limit, and the three numbers a, b, c of its kind}. Counts are read
-- once a call and written once, at its end.

local struct_pack, struct_unpack = struct.pack, struct.unpack
local sub = string.sub

local known, changed = {}, {}  -- key -> count; those to write
local kinds = {}
counts.kinds = kinds

-- Totals go round, so that they stay exact however long a window is never empty.
local round = 4503599627370496

-- Only a clock that ticks lets Redis end a key by itself. `later`: than a second after that time.
local function put(key, text, ends, later_by)
  if manual_clock then return redis_call('SET', key, text) end
  redis_call('SET', key, text, 'PX', format('%d', floor((ends - now + later_by) / 1000) + 1000))
end

local function change(count)
  if count.is_changed then return end
  count.is_changed = true
  changed[#changed + 1] = count
end

-- Sliding windows. Numbers: window, width of a part (0: exact).
--
-- A record: when it ends, how much, the total so far (7 bytes each); and, of the last alone, the
-- first that counts and its own number (2 each). A charge appends one; what is over stays before
-- the first that counts, until it is more than half of all.

local sliding = {}
kinds[0] = sliding
local record_format, head_format, record_bytes = '>I7I7I7HH', '>I7I7I7', 25
local read_at_once = 32   -- records, where not all are read
local read_whole = 128    -- the largest limit whose records are read at once
local dead_at_least = 32

function sliding.is_long(meter) return meter.b == 0 and meter.limit > read_whole end

-- The number: end, cost and total. `text` has those from `from` on; from `unsaved` on they are here.
local function record_at(count, number)
  if count.unsaved and number >= count.unsaved then
    if number == count.last then return count.ends, count.last_cost, count.total end
    return struct_unpack(head_format, count.tail[number - count.unsaved + 1])
  end
  local at = (number - count.from) * record_bytes
  if at < 0 or at >= #count.text then
    local first = number * record_bytes
    count.text = redis_call('GETRANGE', count.key, first,
                            first + read_at_once * record_bytes - 1)
    count.from, at = number, 0
  end
  return struct_unpack(head_format, count.text, at + 1)
end

-- `text`: all of it, or where it is long, its last record.
function sliding.read(count, text)
  -- Before the first record there is none.
  count.last, count.first, count.total, count.base, count.ends = -1, 0, 0, 0, nil
  count.unsaved, count.tail = nil, nil
  if #text < record_bytes then return end
  local ends, cost, total, first, last = struct_unpack(record_format, text, #text - record_bytes + 1)
  if ends <= now then return end
  count.text, count.from = text, last + 1 - #text / record_bytes
  count.ends, count.last_cost, count.total, count.last = ends, cost, total, last
  count.saved_ends = ends
  local its_end, its_cost, its_total = record_at(count, first)
  while its_end <= now do
    first = first + 1
    its_end, its_cost, its_total = record_at(count, first)
  end
  count.first, count.base = first, (its_total - its_cost) % round
  count.count = (total - count.base) % round
end

-- When no more than `most` is left.
local function fits_at(count, most)
  local needed, number = count.count - most, count.first
  local ends, _, total = record_at(count, number)
  while (total - count.base) % round < needed do
    number = number + 1
    ends, _, total = record_at(count, number)
  end
  return ends
end

-- Whether so much is allowed, after how long it is, where the window begins, when it is empty.
function sliding.look(count, meter, wanted)
  local start, reset = now - meter.a, count.ends or now
  if count.count + wanted <= meter.limit then return true, 0, start, reset end
  return false, fits_at(count, meter.limit - wanted) - now, start, reset
end

function sliding.charge(count, meter, cost)
  local window, part = meter.a, meter.b
  local ends = now + window
  if part > 0 then ends = now - now % part + part + window end
  count.slice = max(floor(window / 8), 1000000)
  local total = count.total
  count.total, count.count = (total + cost) % round, count.count + cost
  if count.ends and count.ends >= ends then
    if not count.unsaved then count.unsaved, count.tail = count.last, {} end
    count.last_cost = count.last_cost + cost
  else
    if not count.unsaved then
      count.unsaved, count.tail = count.last + 1, {}
    else
      count.tail[#count.tail + 1] = struct_pack(record_format, count.ends, count.last_cost, total,
                                                0, 0)
    end
    count.ends, count.last_cost, count.last = ends, cost, count.last + 1
  end
  change(count)
end

function sliding.give_back(count, meter, cost, taken_at)
  local left = min(cost, count.count)
  if left == 0 or (taken_at and taken_at + meter.a <= now) then return end
  count.slice = max(floor(meter.a / 8), 1000000)
  local number = count.first
  local ends, its_cost, total = record_at(count, number)
  while its_cost <= left and number < count.last do
    left, number = left - its_cost, number + 1
    ends, its_cost, total = record_at(count, number)
  end
  count.count = count.count - min(cost, count.count)
  change(count)
  -- What remains is written anew.
  its_cost = its_cost - left
  count.base = (total - its_cost) % round
  local tail = {}
  if number < count.last then
    tail[1] = struct_pack(record_format, ends, its_cost, total, 0, 0)
    for i = number + 1, count.last - 1 do
      ends, its_cost, total = record_at(count, i)
      tail[#tail + 1] = struct_pack(record_format, ends, its_cost, total, 0, 0)
    end
  else
    count.last_cost = its_cost
  end
  count.unsaved, count.tail, count.first, count.last = 0, tail, 0, #tail
  if count.count == 0 then count.unsaved, count.last, count.ends = nil, -1, nil end
end

-- Only what counts is kept.
local function rewrite(count)
  local first, unsaved, before = count.first, count.unsaved, ''
  if first < unsaved then
    before = redis_call('GETRANGE', count.key, first * record_bytes, unsaved * record_bytes - 1)
  end
  local tail = concat(count.tail, '', max(first - unsaved, 0) + 1)
  put(count.key, before .. tail .. struct_pack(record_format, count.ends, count.last_cost,
                                               count.total, 0, count.last - first),
      count.ends, count.slice)
end

function sliding.write(count)
  if not count.unsaved then return redis_call('DEL', count.key) end
  if count.unsaved == 0 or
     (count.first > dead_at_least and count.first > count.last - count.first) then
    return rewrite(count)
  end
  redis_call('SETRANGE', count.key, format('%d', count.unsaved * record_bytes),
             concat(count.tail) .. struct_pack(record_format, count.ends, count.last_cost,
                                               count.total, count.first, count.last))
  local slice = count.slice
  if manual_clock or floor(count.saved_ends / slice) == floor(count.ends / slice) then return end
  -- It lasts until the charges of the same eighth of a window have ended.
  redis_call('PEXPIRE', count.key, format('%d', floor((count.ends - now + slice) / 1000) + 1000))
end

-- Windows that follow each other, and calendar budgets. Numbers: window; or start, end.

local period = {}
kinds[1] = period
kinds[3] = setmetatable({is_calendar = true}, {__index = period})

local function present(meter)
  if meter.kind.is_calendar then return meter.a, meter.b end
  local start = now - now % meter.a
  return start, start + meter.a
end

function period.read(count, text)
  count.ends, count.saved_ends = 0, nil
  if #text == 0 then return end
  local _, ends, its_count = struct_unpack('>I7I7I7', text)
  count.ends, count.saved_ends = ends, ends
  if ends > now then count.count = its_count end
end

function period.look(count, meter, wanted)
  local start, ends = present(meter)
  local reset = max(ends, count.ends)
  if count.count + wanted <= meter.limit then return true, 0, start, reset end
  return false, count.ends - now, start, reset
end

function period.charge(count, meter, cost)
  local start, ends = present(meter)
  if count.ends > now then ends = max(ends, count.ends) end
  count.count, count.start, count.ends = count.count + cost, start, ends
  change(count)
end

function period.give_back(count, meter, cost, taken_at)
  local start = present(meter)
  if count.count == 0 or (taken_at and taken_at < start) then return end
  count.count, count.start = max(count.count - cost, 0), start
  if count.count == 0 then count.ends = 0 end
  change(count)
end

function period.write(count)
  if count.count == 0 then return redis_call('DEL', count.key) end
  local text = struct_pack('>I7I7I7', count.start, count.ends, count.count)
  if count.ends == count.saved_ends then return redis_call('SETRANGE', count.key, '0', text) end
  put(count.key, text, count.ends, 0)
end

-- Token buckets. Numbers: units of a token, units that come back a microsecond, units of a full one.

local bucket = {}
kinds[2] = bucket

local function ceil_div(a, b)
  local whole = (a - a % b) / b
  return a % b > 0 and whole + 1 or whole
end

-- In units of the meter: limits of the same name may differ in them.
local function missing_for(count, meter)
  if count.unit == meter.a then return count.missing end
  return ceil_div(count.missing, count.unit) * meter.a
end

function bucket.read(count, text, meter)
  count.missing, count.unit, count.drain = 0, meter.a, meter.b
  if #text == 0 then return end
  local time, missing
  time, count.unit, missing, count.drain = struct_unpack('>I7I7I7I7', text)
  -- What has come back until now came at the rate of before. No more steps than empty it: the
  -- product stays exact.
  local elapsed = min(now - time, (missing - missing % count.drain) / count.drain + 1)
  count.missing = max(missing - elapsed * count.drain, 0)
end

function bucket.look(count, meter, wanted)
  local unit, drain, capacity = meter.a, meter.b, meter.c
  local missing = missing_for(count, meter)
  count.count = ceil_div(missing, unit)
  local beyond = missing - (capacity - wanted * unit)
  return beyond <= 0, beyond > 0 and ceil_div(beyond, drain) or 0, now,
         now + ceil_div(missing, drain)
end

local function set_missing(count, meter, missing)
  count.missing, count.unit, count.drain = missing, meter.a, meter.b
  count.count = ceil_div(missing, meter.a)
  change(count)
end

function bucket.charge(count, meter, cost)
  set_missing(count, meter, missing_for(count, meter) + cost * meter.a)
end

function bucket.give_back(count, meter, cost)
  local missing = missing_for(count, meter)
  if missing == 0 then return end
  set_missing(count, meter, max(missing - min(cost, ceil_div(missing, meter.a)) * meter.a, 0))
end

function bucket.write(count)
  if count.missing == 0 then return redis_call('DEL', count.key) end
  put(count.key, struct_pack('>I7I7I7I7', now, count.unit, count.missing, count.drain),
      now + ceil_div(count.missing, count.drain), 0)
end

-- All of them.

local function read(meter, text)
  local count = {key = meter.key, kind = meter.kind, count = 0, is_there = text and #text > 0,
                 is_changed = false}
  known[meter.key] = count
  count.kind.read(count, text or '', meter)
  return count
end

function counts.find(meter)
  local count = known[meter.key]
  if count then return count end
  local key = meter.key
  if meter.kind == sliding and sliding.is_long(meter) then
    return read(meter, redis_call('GETRANGE', key, -record_bytes, -1))
  end
  return read(meter, redis_call('GET', key))
end

-- Reads what these need with one command, but for what is long.
function counts.prefetch(meters)
  local wanted, names = {}, {}
  for _, meter in ipairs(meters) do
    local is_long = meter.kind == sliding and sliding.is_long(meter)
    if not is_long and not known[meter.key] then
      wanted[#wanted + 1], names[#names + 1] = meter, meter.key
    end
  end
  if #names == 0 then return end
  local found = redis_call('MGET', unpack(names))
  for i, meter in ipairs(wanted) do
    if not known[meter.key] then read(meter, found[i]) end
  end
end

function counts.drop(meter)
  local count = known[meter.key]
  if count then count.is_dropped, known[meter.key] = true, nil end
  redis_call('DEL', meter.key)
end

-- Of a call that has failed nothing is kept.
function counts.forget() known, changed = {}, {} end

function counts.save()
  -- Nothing may be half written because a key is somebody else's.
  for _, count in ipairs(changed) do
    local is = count.is_there and 'string' or redis_call('TYPE', count.key).ok
    if is ~= 'string' and is ~= 'none' then
      error({err = 'WRONGTYPE ' .. count.key .. ' is a ' .. is .. ', not a string'})
    end
  end
  for _, count in ipairs(changed) do
    if not count.is_dropped then count.kind.write(count) end
  end
  known, changed = {}, {}
end
