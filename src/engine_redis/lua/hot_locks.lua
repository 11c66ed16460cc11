-- Transactions of one step on a lock each, many in one argument. What they do is what steps 50 to 52
-- do (steps_live.lua); here all are read with one command and written with a handful.
--
-- The argument: 4 (a byte); how many names (2 bytes), each behind its length (2); how many steps (2);
-- of each: 1 acquire, 2 extend, 3 release; which name (2); the length of the token and one (1), the
-- same less one (1), the token; of an acquire the time it lasts (7) and the owner behind its length
-- (2), of an extension the time (7; 0: as it is).
-- The answer: now; of each step 1 and why it is refused, as in hot.lua, or 0 and either 1 and the
-- fence of a new lock, or 2, whether it is granted, and the record of the lock behind its length (2).

local struct_pack, struct_unpack = struct.pack, struct.unpack
local sub = string.sub

local record_format = '>I7I7I7I7'  -- made, changed, ends, fence; then the token, as above, and owner
local numbers_bytes, changed_from, fence_from = 28, 8, 22

local function refused(why) return struct_pack('>BBc0H', 1, #why, why, 0) end

local function shown(granted, record) return struct_pack('>BBBHc0', 0, 2, granted, #record, record) end

local function is_held_by(record, token)
  return record and sub(record, numbers_bytes + 1, numbers_bytes + #token) == token
end

local names, found, touched

local function acquire(at, token, ttl, owner)
  local record = found[at]
  if record then return shown(is_held_by(record, token) and 1 or 0, record) end
  if not live.take_room() then return refused('too_many_locks') end
  local fence = next_stamp()
  found[at] = struct_pack(record_format, now, now, now + ttl, fence) .. token .. owner
  touched[at] = true
  state.due_by(now + ttl)
  return struct_pack('>BBI7', 0, 1, fence)
end

local function extend(at, token, ttl)
  local record = found[at]
  if not is_held_by(record, token) then return refused('lock_lost') end
  if ttl > 0 then
    record = sub(record, 1, changed_from - 1) .. struct_pack('>I7I7', now, now + ttl) ..
             sub(record, fence_from)
    found[at], touched[at] = record, true
    state.due_by(now + ttl)
  end
  return shown(1, record)
end

local function release(at, token)
  local record = found[at]
  if not is_held_by(record, token) then return refused('lock_lost') end
  found[at], touched[at] = false, true
  if hints.locks_wanted then live.hint_record('l', names[at]) end
  return shown(0, record)
end

-- `were`: which of them were there.
local function write(were)
  local key, fields, ends, gone, due_gone = live.key_of('l'), {}, {}, {}, {}
  for at in pairs(touched) do
    local name, record = names[at], found[at]
    if record then
      local till = struct_unpack('>I7', record, 2 * 7 + 1)
      fields[#fields + 1], fields[#fields + 2] = name, record
      ends[#ends + 1], ends[#ends + 2] = format('%d', till), 'l' .. name
    elseif were[at] then
      gone[#gone + 1], due_gone[#due_gone + 1] = name, 'l' .. name
    end
  end
  if #fields > 0 then
    redis_call('HSET', key, unpack(fields))
    redis_call('ZADD', live.due_key, unpack(ends))
  end
  if #gone > 0 then
    redis_call('HDEL', key, unpack(gone))
    redis_call('ZREM', live.due_key, unpack(due_gone))
  end
end

function transact_locks(text)
  local count, pos = struct_unpack('>H', text, 2)
  names, touched = {}, {}
  for i = 1, count do names[i], pos = struct_unpack('>Hc0', text, pos) end
  found = redis_call('HMGET', live.key_of('l'), unpack(names))
  local were = {}
  for i = 1, count do were[i] = found[i] end
  count, pos = struct_unpack('>H', text, pos)
  local out = {struct_pack('>i7', now)}
  for i = 2, count + 1 do
    local what, at, token
    what, at, token, pos = struct_unpack('>BHBc0', text, pos)
    if what == 3 then
      out[i] = release(at, token)
    else
      local ttl
      ttl, pos = struct_unpack('>I7', text, pos)
      if what == 2 then
        out[i] = extend(at, token, ttl)
      else
        local owner
        owner, pos = struct_unpack('>Hc0', text, pos)
        out[i] = acquire(at, token, ttl, owner)
      end
    end
  end
  write(were)
  return concat(out)
end
