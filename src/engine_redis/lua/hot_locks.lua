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
local sub = string.sub

local record_format = '>I7I7I7I7'  -- made, changed, ends, fence; then token and owner, packed
local no_token = string.byte(pack(''))
local alone = {alone = true, addressed = {}}
local numbers_bytes, changed_from, ends_from, fence_from = 28, 8, 15, 22

local function refused(why) return struct_pack('>BBc0H', 1, #why, why, 0) end

local function shown(granted, record) return struct_pack('>BBBHc0', 0, 2, granted, #record, record) end

local function is_held_by(record, token)
  return record and sub(record, numbers_bytes + 1, numbers_bytes + #token) == token
end

-- By number: what they are called, what was there, what is now (false: nothing) of those that have
-- changed. The tables are used again by the next call.
local names, found, made = {}, {}, {}
local touched, touched_count = {}, 0

local function record_of(at)
  local record = made[at]
  if record == nil then return found[at] end
  return record
end

local function put(at, record)
  if made[at] == nil then
    touched_count = touched_count + 1
    touched[touched_count] = at
  end
  made[at] = record
end

-- Writes down what has changed.
local function write()
  local key, fields, ends, gone, due_gone = live.key_of('l'), nil, nil, nil, nil
  for i = 1, touched_count do
    local at = touched[i]
    local name, record, before = names[at], made[at], found[at]
    made[at], found[at] = nil, record
    live.note_lock(name, record)
    if record then
      local till = format('%d', (struct_unpack('>I7', record, ends_from)))
      if not fields then
        fields, ends = {name, record}, {till, 'l' .. name}
      else
        local count = #fields
        fields[count + 1], fields[count + 2] = name, record
        ends[count + 1], ends[count + 2] = till, 'l' .. name
      end
    elseif before then
      if not gone then
        gone, due_gone = {name}, {'l' .. name}
      else
        gone[#gone + 1], due_gone[#due_gone + 1] = name, 'l' .. name
      end
    end
  end
  touched_count = 0
  if fields then
    redis_call('HSET', key, unpack(fields))
    redis_call('ZADD', live.due_key, unpack(ends))
  end
  if gone then
    redis_call('HDEL', key, unpack(gone))
    redis_call('ZREM', live.due_key, unpack(due_gone))
  end
end

local function is_shared(record)
  return record and string.byte(record, numbers_bytes + 1) == no_token
end

-- What the step of this number answers, which reads and writes by itself.
local function apply_step(number, at, token, ...)
  write()
  local project, resource = string.match(names[at], '^(%Z+)%z(.+)$')
  local _, its_token = unpack_some(token, 1, 0)
  local kind, step = steps[number], {0, project, resource, its_token, ...}
  local why = kind.check(step, alone)
  local outcome = not why and kind.apply(step, alone)
  found[at] = redis_call('HGET', live.key_of('l'), names[at])
  if why then return refused(why) end
  return struct_pack('>BBHc0', 0, 3, #outcome, outcome)
end

local function acquire(at, token, ttl, owner)
  local record = record_of(at)
  if is_shared(record) then
    local _, its_owner = unpack_some(owner, 1, 0)
    return apply_step(50, at, token, ttl, its_owner)
  end
  if record then return shown(is_held_by(record, token) and 1 or 0, record) end
  if not live.take_room() then return refused('too_many_locks') end
  local fence = next_stamp()
  put(at, struct_pack(record_format, now, now, now + ttl, fence) .. token .. owner)
  state.due_by(now + ttl)
  return struct_pack('>BBI7', 0, 1, fence)
end

local function extend(at, token, ttl)
  local record = record_of(at)
  if is_shared(record) then return apply_step(51, at, token, ttl) end
  if not is_held_by(record, token) then return refused('lock_lost') end
  if ttl > 0 then
    record = sub(record, 1, changed_from - 1) .. struct_pack('>I7I7', now, now + ttl) ..
             sub(record, fence_from)
    put(at, record)
    state.due_by(now + ttl)
  end
  return shown(1, record)
end

local function release(at, token)
  local record = record_of(at)
  if is_shared(record) then return apply_step(52, at, token) end
  if not is_held_by(record, token) then return refused('lock_lost') end
  put(at, false)
  if hints.locks_wanted then live.hint_record('l', names[at]) end
  return shown(0, record)
end

-- What was there of so many names.
local function find(count)
  local asked, numbers, n = nil, nil, 0
  for i = 1, count do
    local record = live.known_lock(names[i])
    found[i] = record
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

function transact_locks(text)
  local count, steps_count, pos = struct_unpack('>HH', text, 2)
  for i = 1, touched_count do made[touched[i]] = nil end
  touched_count = 0
  for i = 1, count do names[i], pos = struct_unpack('>Hc0', text, pos) end
  find(count)
  local out = {struct_pack('>i7', now)}
  for i = 2, steps_count + 1 do
    local what, at, token
    what, at, token, pos = struct_unpack('>BHBc0', text, pos)
    if what == 3 then
      out[i] = release(at, token)
    elseif what == 2 then
      local ttl
      ttl, pos = struct_unpack('>I7', text, pos)
      out[i] = extend(at, token, ttl)
    else
      local ttl, owner
      ttl, owner, pos = struct_unpack('>I7Hc0', text, pos)
      out[i] = acquire(at, token, ttl, owner)
    end
  end
  if touched_count > 0 then write() end
  return concat(out)
end
