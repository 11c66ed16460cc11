-- Transactions of one step on a lock each, many in one argument. What they do is what steps 50 to 52
-- do (steps_live.lua), which are called where several hold a lock or somebody waits for it; all other
-- locks are read with one command here and written with a handful.
--
-- The argument: 4 (a byte); how many names, how many steps (2 bytes each); each name behind its length (2);
-- of each step: 1 acquire, 2 extend, 3 release; which name (2); the token, packed, behind its length
-- (1); of an acquire the time it lasts (7) and the owner, packed, behind its length (2), of an
-- extension the time (7; 0: as it is).
-- The answer: now; of each step 1 and why it is refused, as in hot.lua, or 0 and either 1 and the
-- fence of a new lock, or 2, whether it is granted, and the record of the lock behind its length (2), or
-- 3 and the outcome of the step behind its length (2).

local struct_pack, struct_unpack = struct.pack, struct.unpack
local byte, sub = string.byte, string.sub

local record_format = '>I7I7I7I7c0c0'  -- made, changed, ends, fence, token and owner, packed
local no_token = byte(pack(''))
local alone = {alone = true, addressed = {}}
local numbers_bytes, changed_from, ends_from, fence_from = 28, 8, 15, 22

local function refused(why) return struct_pack('>BBc0H', 1, #why, why, 0) end

-- By number: what they are called, what was there, what is now (false: nothing) of those that have
-- changed, and its token where that is known. The tables are used again by the next call.
local names, found, made, tokens = {}, {}, {}, {}
local touched, touched_count = {}, 0
local out, out_count  -- the answer

local shown_heads = {[0] = runs.made_once(function(bytes) return struct_pack('>BBBH', 0, 2, 0, bytes) end),
                     runs.made_once(function(bytes) return struct_pack('>BBBH', 0, 2, 1, bytes) end)}

local function show(granted, record)
  out[out_count + 1], out[out_count + 2] = shown_heads[granted][#record], record
  out_count = out_count + 2
end

local function say(text)
  out_count = out_count + 1
  out[out_count] = text
end

local function is_held_by(at, record, token)
  local its = tokens[at]
  if its then return its == token end
  return record and sub(record, numbers_bytes + 1, numbers_bytes + #token) == token
end

local function record_of(at)
  local record = made[at]
  if record == nil then return found[at] end
  return record
end

local function put(at, record, token)
  if made[at] == nil then
    touched_count = touched_count + 1
    touched[touched_count] = at
  end
  made[at], tokens[at] = record, token
end

local function ends_of(record) return (struct_unpack('>I7', record, ends_from)) end

-- Whether it does not stand in `live:due` early enough. `before`: what was there.
local function is_due_anew(name, record, before)
  local time = before and ends_of(before) or live.take_idle(name)
  return not time or time > ends_of(record)
end

-- Writes down what has changed.
local function write()
  local key, fields, ends, gone, due_gone = live.key_of('l'), nil, nil, nil, nil
  for i = 1, touched_count do
    local at = touched[i]
    local name, record, before = names[at], made[at], found[at]
    made[at], found[at] = nil, record
    live.note_lock(name, record, tokens[at])
    if record then
      fields = fields or {}
      local count = #fields
      fields[count + 1], fields[count + 2] = name, record
      if is_due_anew(name, record, before) then
        ends = ends or {}
        ends[#ends + 1], ends[#ends + 2] = format('%d', ends_of(record)), 'l' .. name
      end
    elseif before then
      gone = gone or {}
      gone[#gone + 1] = name
      if not live.leave_idle(name, ends_of(before)) then
        due_gone = due_gone or {}
        due_gone[#due_gone + 1] = 'l' .. name
      end
    end
  end
  touched_count = 0
  if fields then redis_call('HSET', key, unpack(fields)) end
  if ends then redis_call('ZADD', live.due_key, unpack(ends)) end
  if gone then redis_call('HDEL', key, unpack(gone)) end
  if due_gone then redis_call('ZREM', live.due_key, unpack(due_gone)) end
end

local function is_shared(at, record)
  return record and not tokens[at] and byte(record, numbers_bytes + 1) == no_token
end

-- What the step of this number answers, which reads and writes by itself.
local function apply_step(number, at, token, ...)
  write()
  local project, resource = string.match(names[at], '^(%Z+)%z(.+)$')
  local _, its_token = unpack_some(token, 1, 0)
  local kind, step = steps[number], {0, project, resource, its_token, ...}
  local why = kind.check(step, alone)
  local outcome = not why and kind.apply(step, alone)
  found[at], tokens[at] = redis_call('HGET', live.key_of('l'), names[at]), nil
  say(why and refused(why) or struct_pack('>BBHc0', 0, 3, #outcome, outcome))
end

local function acquire(at, token, ttl, owner)
  local record = record_of(at)
  if is_shared(at, record) then
    local _, its_owner = unpack_some(owner, 1, 0)
    return apply_step(50, at, token, ttl, its_owner)
  end
  if record then return show(is_held_by(at, record, token) and 1 or 0, record) end
  if not live.take_room() then return say(refused('too_many_locks')) end
  local fence, ends = next_stamp(), now + ttl
  put(at, struct_pack(record_format, now, now, ends, fence, token, owner), token)
  if ends < state.next_due then state.due_by(ends) end
  say(struct_pack('>BBI7', 0, 1, fence))
end

local function extend(at, token, ttl)
  local record = record_of(at)
  if is_shared(at, record) then return apply_step(51, at, token, ttl) end
  if not is_held_by(at, record, token) then return say(refused('lock_lost')) end
  if ttl > 0 then
    record = sub(record, 1, changed_from - 1) .. struct_pack('>I7I7', now, now + ttl) ..
             sub(record, fence_from)
    put(at, record, token)
    state.due_by(now + ttl)
  end
  show(1, record)
end

local function release(at, token)
  local record = record_of(at)
  if is_shared(at, record) then return apply_step(52, at, token) end
  if not is_held_by(at, record, token) then return say(refused('lock_lost')) end
  put(at, false, nil)
  if hints.locks_wanted then live.hint_record('l', names[at]) end
  show(0, record)
end

-- What was there of so many names.
local function find(count)
  local asked, numbers, n = nil, nil, 0
  for i = 1, count do
    local record, token = live.known_lock(names[i])
    found[i], tokens[i] = record, token
    if record == nil then
      if n == 0 then asked, numbers = {}, {} end
      n = n + 1
      asked[n], numbers[n] = names[i], i
    end
  end
  if n == 0 then return end
  local records = redis_call('HMGET', live.key_of('l'), unpack(asked))
  for i = 1, n do
    found[numbers[i]] = records[i]
    live.note_lock(asked[i], records[i])
  end
end

local texts_of = runs.made_once(function(count) return '>' .. string.rep('Hc0', count) end)
local read_at_once = 240

local function read_names(text, count, pos)
  for first = 0, count - 1, read_at_once do
    local some = min(read_at_once, count - first)
    local read = {struct_unpack(texts_of[some], text, pos)}
    for i = 1, some do names[first + i] = read[i] end
    pos = read[some + 1]
  end
  return pos
end

function transact_locks(text)
  local count, steps_count, pos = struct_unpack('>HH', text, 2)
  for i = 1, touched_count do made[touched[i]] = nil end
  touched_count = 0
  pos = read_names(text, count, pos)
  find(count)
  out, out_count = {struct_pack('>i7', now)}, 1
  for _ = 1, steps_count do
    local what = byte(text, pos)
    if what == 3 then
      local at, token, behind = struct_unpack('>xHBc0', text, pos)
      pos = behind
      release(at, token)
    elseif what == 2 then
      local at, token, ttl, behind = struct_unpack('>xHBc0I7', text, pos)
      pos = behind
      extend(at, token, ttl)
    else
      local at, token, ttl, owner, behind = struct_unpack('>xHBc0I7Hc0', text, pos)
      pos = behind
      acquire(at, token, ttl, owner)
    end
  end
  if touched_count > 0 then write() end
  local answered = concat(out)
  out = nil
  return answered
end
