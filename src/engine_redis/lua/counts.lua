-- How often something has happened: what limits count. Each count is one key, which ends by itself.
--
--   rate_limit:{project}:{scope}:{id}:{window}         string: charges of a sliding window, in
--                                                      records of 25 bytes (below)
--   rate_limit:{project}:{scope}:{id}:{window}:fixed   string: start, end and count (7 bytes each)
--   rate_limit:{project}:{scope}:{id}:{window}:bucket  string: time, unit, what is missing, drain (7)
--   tokens:{project}:{scope}:{id}:{period}             string: as fixed, of a calendar budget
--
-- What is counted by: {kind, key, limit, and the three numbers a, b, c of its kind}. Counts are written
-- once a call, at its end, and known until somebody else changes the store: a key that we know to
-- count something is there, since it ends no sooner than that.

local struct_pack, struct_unpack = struct.pack, struct.unpack

local known, known_count = {}, 0      -- key -> count
local changed, changed_count = {}, 0  -- those to write
local known_at_most = 4000
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
  if count.is_changed then return end  -- callers that are in a hurry look by themselves
  count.is_changed, changed_count = true, changed_count + 1
  changed[changed_count] = count
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
  if number == count.last then return count.ends, count.last_cost, count.total end
  if count.unsaved and number >= count.unsaved then
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

local function set_empty(count)
  -- Before the first record there is none.
  count.count, count.last, count.first, count.total, count.base = 0, -1, 0, 0, 0
  count.ends, count.first_ends, count.unsaved, count.text, count.from = false, false, false, '', 0
  count.is_one = false  -- its key has one record, which we have written
end

-- Passes over what is over by now.
local function find_first(count, first)
  local its_end, its_cost, its_total = record_at(count, first)
  while its_end <= now do
    first = first + 1
    its_end, its_cost, its_total = record_at(count, first)
  end
  count.first, count.first_ends, count.base = first, its_end, (its_total - its_cost) % round
  count.count = (count.total - count.base) % round
end

-- `text`: all of it, or where it is long, its last record.
function sliding.read(count, text)
  set_empty(count)
  if #text < record_bytes then return end
  local ends, cost, total, first, last = struct_unpack(record_format, text, #text - record_bytes + 1)
  if ends <= now then return end
  count.ends, count.last_cost, count.total, count.last = ends, cost, total, last
  count.text, count.from = text, last + 1 - #text / record_bytes
  find_first(count, first)
end

-- It was known by an earlier call.
function sliding.pass_time(count)
  local ends = count.ends
  if not ends or count.first_ends > now then return end
  if ends <= now then return set_empty(count) end
  find_first(count, count.first)
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

function counts.end_of_charge(meter)
  local window, part = meter.a, meter.b
  if part == 0 then return now + window end
  return now - now % part + part + window
end

-- The charge ends then; answers when the window is empty.
function counts.charge_sliding(count, window, ends, cost)
  local total, last_ends, unsaved = count.total, count.ends, count.unsaved
  local sum = total + cost
  if sum >= round then sum = sum - round end
  count.window, count.total, count.count = window, sum, count.count + cost
  if not count.is_changed then change(count) end
  if last_ends and last_ends >= ends then
    if not unsaved then count.unsaved, count.tail = count.last, false end
    count.last_cost = count.last_cost + cost
    return last_ends
  end
  local last = count.last + 1
  if not unsaved then
    count.unsaved, count.tail = last, false
  else
    local tail = count.tail or {}
    tail[#tail + 1] = struct_pack(record_format, last_ends, count.last_cost, total, 0, 0)
    count.tail = tail
  end
  count.ends, count.last_cost, count.last = ends, cost, last
  if not count.first_ends then count.first_ends = ends end
  return ends
end

-- Answers when it is empty then, as each kind does.
function sliding.charge(count, meter, cost)
  return counts.charge_sliding(count, meter.a, counts.end_of_charge(meter), cost)
end

function sliding.give_back(count, meter, cost, taken_at)
  local left = min(cost, count.count)
  if left == 0 or (taken_at and taken_at + meter.a <= now) then return end
  count.window = meter.a
  local number = count.first
  local ends, its_cost, total = record_at(count, number)
  while its_cost <= left and number < count.last do
    left, number = left - its_cost, number + 1
    ends, its_cost, total = record_at(count, number)
  end
  count.count = count.count - min(cost, count.count)
  change(count)
  -- What remains is written anew.
  local first_ends = ends
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
  count.first_ends = #tail > 0 and first_ends or count.ends
  if count.count == 0 then set_empty(count) end
end

local function text_of_tail(count, from)
  return count.tail and concat(count.tail, '', from) or ''
end

-- A key lasts until the charges of the same eighth of a window have ended: how much longer than
-- those that end now.
local function keep(count)
  local slice = (count.window - count.window % 8) / 8
  if slice < 1000000 then slice = 1000000 end
  count.kept_until = count.ends - count.ends % slice + slice
  return slice
end

-- Only what counts is kept.
local function rewrite(count)
  local first, unsaved, before = count.first, count.unsaved, ''
  if first < unsaved then
    before = redis_call('GETRANGE', count.key, first * record_bytes, unsaved * record_bytes - 1)
  end
  put(count.key,
      before .. text_of_tail(count, max(first - unsaved, 0) + 1) ..
          struct_pack(record_format, count.ends, count.last_cost, count.total, 0,
                      count.last - first),
      count.ends, keep(count))
  count.first, count.last, count.text = 0, count.last - first, ''
  count.is_one = count.last == 0
end

-- Of records, as texts: Redis would write numbers as fractions.
local places = runs.made_once(function(number) return format('%d', number * record_bytes) end)

function sliding.write(count)
  local first, last, ends, unsaved = count.first, count.last, count.ends, count.unsaved
  if not unsaved then return redis_call('DEL', count.key) end
  if unsaved == 0 then
    if not (count.is_one and last == 0 and ends < count.kept_until) then return rewrite(count) end
  elseif first > dead_at_least and first > last - first then
    return rewrite(count)
  else
    count.is_one = false
  end
  local text = struct_pack(record_format, ends, count.last_cost, count.total, first, last)
  if count.tail then text = concat(count.tail) .. text end
  redis_call('SETRANGE', count.key, places[unsaved], text)
  -- What has been read of it is not what is there any more.
  if unsaved < count.from + #count.text / record_bytes then count.text = '' end
  if manual_clock or ends < count.kept_until then return end
  redis_call('PEXPIRE', count.key, format('%d', floor((ends - now + keep(count)) / 1000) + 1000))
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
  count.ends, count.saved_ends = 0, false
  if #text == 0 then return end
  local _, ends, its_count = struct_unpack('>I7I7I7', text)
  count.ends, count.saved_ends = ends, ends
  if ends > now then count.count = its_count end
end

function period.pass_time(count)
  if count.ends <= now then count.count = 0 end
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
  return ends
end

function period.give_back(count, meter, cost, taken_at)
  local start = present(meter)
  if count.count == 0 or (taken_at and taken_at < start) then return end
  count.count, count.start = max(count.count - cost, 0), start
  if count.count == 0 then count.ends = 0 end
  change(count)
end

function period.write(count)
  if count.count == 0 then
    count.saved_ends = false
    return redis_call('DEL', count.key)
  end
  local text = struct_pack('>I7I7I7', count.start, count.ends, count.count)
  if count.ends == count.saved_ends then return redis_call('SETRANGE', count.key, '0', text) end
  count.saved_ends = count.ends
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

-- What has come back until now came at the rate of before. No more steps than empty it: the product
-- stays exact.
function bucket.pass_time(count)
  local missing, drain = count.missing, count.drain
  local elapsed = min(now - count.time, (missing - missing % drain) / drain + 1)
  count.missing, count.time = max(missing - elapsed * drain, 0), now
end

function bucket.read(count, text, meter)
  count.missing, count.unit, count.drain, count.time = 0, meter.a, meter.b, now
  if #text == 0 then return end
  count.time, count.unit, count.missing, count.drain = struct_unpack('>I7I7I7I7', text)
  bucket.pass_time(count)
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
  return now + ceil_div(count.missing, meter.b)
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
  local key, kind = meter.key, meter.kind
  local count = {key = key, kind = kind, count = 0, at = now, is_there = text and #text > 0,
                 is_changed = false, ends = false, first_ends = false, saved_ends = false, last = 0,
                 first = 0, total = 0, base = 0, last_cost = 0, unsaved = false, tail = false,
                 text = '', from = 0, window = 0, kept_until = 0, is_one = false,
                 asked_by = 0}
  known[key], known_count = count, known_count + 1
  kind.read(count, text or '', meter)
  return count
end

function counts.find(meter)
  local count = known[meter.key]
  if count then
    if count.at < now then
      count.at = now
      count.kind.pass_time(count)
    end
    return count
  end
  local key = meter.key
  if meter.kind == sliding and sliding.is_long(meter) then
    return read(meter, redis_call('GETRANGE', key, -record_bytes, -1))
  end
  return read(meter, redis_call('GET', key))
end

-- Reads with one command, but for what is long.
local function read_some(meters)
  local names = {}
  for i, meter in ipairs(meters) do names[i] = meter.key end
  local found = redis_call('MGET', unpack(names))
  for i, meter in ipairs(meters) do
    if not known[meter.key] then read(meter, found[i]) end
  end
end

-- What the first of these count, at their places in `into`.
function counts.find_all(meters, count, into)
  local wanted, missing = nil, false
  for i = 1, count do
    local meter = meters[i]
    local its = known[meter.key]
    into[i] = its
    if its then
      if its.at < now then
        its.at = now
        -- Of a sliding window most often nothing ends.
        if its.kind ~= sliding or (its.first_ends and its.first_ends <= now) then
          its.kind.pass_time(its)
        end
      end
    else
      missing = true
      if not (meter.kind == sliding and sliding.is_long(meter)) then
        wanted = wanted or {}
        wanted[#wanted + 1] = meter
      end
    end
  end
  if wanted then read_some(wanted) end
  if not missing then return end
  for i = 1, count do into[i] = into[i] or counts.find(meters[i]) end
end

function counts.drop(key)
  local count = known[key]
  if count then count.is_changed, known[key] = false, nil end
end

-- Somebody else has changed the store, or a call has failed.
function counts.forget() known, known_count, changed, changed_count = {}, 0, {}, 0 end

local function refuse_others(count)
  local is = redis_call('TYPE', count.key).ok
  if is ~= 'string' and is ~= 'none' then
    error({err = 'WRONGTYPE ' .. count.key .. ' is a ' .. is .. ', not a string'})
  end
end

function counts.save()
  if changed_count == 0 then return end
  -- Nothing may be half written because a key is somebody else's.
  for i = 1, changed_count do
    if not changed[i].is_there then refuse_others(changed[i]) end
  end
  for i = 1, changed_count do
    local count = changed[i]
    -- Unless it was dropped.
    if count.is_changed then
      count.kind.write(count)
      count.is_changed, count.is_there, count.unsaved = false, true, false
    end
  end
  changed_count = 0
  if known_count > known_at_most then counts.forget() end
end
