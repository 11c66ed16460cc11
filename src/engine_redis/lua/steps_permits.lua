-- Locks that several hold, or for which somebody waits; and fences.
--
-- The value of such a lock in `live:l` begins with an empty token and an empty owner; then come how
-- many hold it and token, owner, mode, fence, begin and end of each; how many wait and token, mode,
-- permits, until when of each, and 0, or where it is its turn how many have been given in a row, all but
-- this one missed. What ends first is when the record ends.
--
--   live:f  hash: name -> the newest fence that was seen, as the version of a record (live.lua)

local exclusive = 0

local function name_of(project, resource) return project .. '\0' .. resource end

local function find(project, resource)
  local record = live.find('l', name_of(project, resource))
  local lock = {project = project, resource = resource, holders = {}, waiters = {}}
  if not record then return lock, false end
  local off, token, owner = unpack_some(record.value, 2, 0)
  if token ~= '' then
    lock.holders[1] = {token, owner, exclusive, record.version, record.made, record.ends}
    return lock, true
  end
  local count, a, b, c, d, e, f
  off, count = unpack_some(record.value, 1, off)
  for i = 1, count do
    off, a, b, c, d, e, f = unpack_some(record.value, 6, off)
    lock.holders[i] = {a, b, c, d, e, f}
  end
  off, count = unpack_some(record.value, 1, off)
  for i = 1, count do
    off, a, b, c, d, e = unpack_some(record.value, 5, off)
    lock.waiters[i] = {token = a, mode = b, permits = c, ends = d, turn = e}
  end
  return lock, true
end

local function place_of(list, token)
  for i, each in ipairs(list) do
    if (each.token or each[1]) == token then return i end
  end
end

-- Who holds it, or has a place among the holders kept.
local function room_of(lock)
  local room = {taken = #lock.holders, alone = false}
  for _, each in ipairs(lock.holders) do
    if each[3] == exclusive then room.alone = true end
  end
  return room
end

local function takes(room, mode, permits)
  if mode == exclusive then return room.taken == 0 end
  return not room.alone and room.taken < (permits == 0 and limits.lock_holders or permits)
end

local function take(room, mode)
  room.taken = room.taken + 1
  if mode == exclusive then room.alone = true end
end

local function may_have(lock, token, mode, permits)
  local room = room_of(lock)
  for _, each in ipairs(lock.waiters) do
    if each.token == token then break end
    if not takes(room, each.mode, each.permits) then return false end
    take(room, each.mode)
  end
  return takes(room, mode, permits)
end

local function length_of_turn(turn)
  return max(limits.lock_turn_min, floor(limits.lock_turn / 2 ^ (turn - 1)))
end

-- Those whose turn it has become are told. `lock.missed`: turns in a row until now.
local function call_waiters(lock)
  local room, turn = room_of(lock), (lock.missed or 0) + 1
  for _, each in ipairs(lock.waiters) do
    if not takes(room, each.mode, each.permits) then return end
    take(room, each.mode)
    if each.turn == 0 then
      each.turn, each.ends = turn, now + length_of_turn(turn)
      live.hint_turn(lock.project, lock.resource, each.token)
    end
  end
end

local function write(lock)
  call_waiters(lock)
  local name, holders, waiters = name_of(lock.project, lock.resource), lock.holders, lock.waiters
  local first = holders[1]
  if not first and #waiters == 0 then
    live.remove('l', name)
    live.hint_record('l', name)
    return
  end
  if #waiters == 0 and #holders == 1 and first[3] == exclusive then
    live.write('l', name, {made = first[5], changed = now, ends = first[6], version = first[4],
                           value = pack(first[1], first[2])})
    return
  end
  local out, ends = {pack('', '', #holders)}, nil
  for _, each in ipairs(holders) do
    out[#out + 1] = pack(unpack(each, 1, 6))
    ends = earlier(ends, each[6])
  end
  out[#out + 1] = pack(#waiters)
  for _, each in ipairs(waiters) do
    out[#out + 1] = pack(each.token, each.mode, each.permits, each.ends, each.turn)
    ends = earlier(ends, each.ends)
  end
  live.write('l', name, {made = first and first[5] or now, changed = now, ends = ends,
                         version = first and first[4] or 0, value = concat(out)})
end

local function describe_holder(lock, holder)
  return pack(lock.project, lock.resource, holder[2], holder[4], holder[5], holder[6], holder[3],
              #lock.holders, #lock.waiters)
end

-- The holder whose lease ends first, or the turn that is somebody's.
local function describe(lock)
  local first = lock.holders[1]
  for _, each in ipairs(lock.holders) do
    if each[6] < first[6] then first = each end
  end
  if first then return describe_holder(lock, first) end
  local waiter = lock.waiters[1]
  return pack(lock.project, lock.resource, '', 0, 0, waiter and waiter.ends or 0,
              waiter and waiter.mode or exclusive, 0, #lock.waiters)
end

local function answer(granted, queued, ahead, described)
  return pack('kk', granted, queued, ahead) .. described
end

function live.take_lock(project, resource, token, ttl, owner, mode, permits, queue)
  local lock = find(project, resource)
  local held = place_of(lock.holders, token)
  if held then return answer(true, false, 0, describe_holder(lock, lock.holders[held])) end
  local place = place_of(lock.waiters, token)
  if may_have(lock, token, mode, permits) then
    if place then table.remove(lock.waiters, place) end
    local holder = {token, owner, mode, next_stamp(), now, now + ttl}
    lock.holders[#lock.holders + 1] = holder
    local described = describe_holder(lock, holder)
    write(lock)
    return answer(true, false, 0, described)
  end
  if queue > 0 then
    place = place or #lock.waiters + 1
    lock.waiters[place] = {token = token, mode = mode, permits = permits, ends = now + queue,
                           turn = 0}
  elseif place then
    table.remove(lock.waiters, place)
  end
  local described = describe(lock)
  if queue > 0 or place then write(lock) end
  return answer(false, queue > 0, queue > 0 and place - 1 or 0, described)
end

-- Whether it holds the lock, or stands in its queue where that is enough.
function live.has_lock(project, resource, token, waiting)
  local lock = find(project, resource)
  return place_of(lock.holders, token) or (waiting and place_of(lock.waiters, token))
end

function live.prolong_lock(project, resource, token, ttl)
  local lock = find(project, resource)
  local holder = lock.holders[place_of(lock.holders, token)]
  if ttl > 0 then holder[6] = now + ttl end
  local described = describe_holder(lock, holder)
  if ttl > 0 then write(lock) end
  return answer(true, false, 0, described)
end

function live.drop_lock(project, resource, token)
  local lock = find(project, resource)
  local held = place_of(lock.holders, token)
  local described
  if held then
    described = describe_holder(lock, lock.holders[held])
    table.remove(lock.holders, held)
  else
    described = describe(lock)
    table.remove(lock.waiters, place_of(lock.waiters, token))
  end
  write(lock)
  return answer(false, false, 0, described)
end

-- What is over of it goes.
function live.end_lock(name)
  local lock = find(string.match(name, '^(%Z+)%z(.+)$'))
  local holders, waiters = {}, {}
  for _, each in ipairs(lock.holders) do
    if each[6] > now then holders[#holders + 1] = each end
  end
  for _, each in ipairs(lock.waiters) do
    if each.ends > now then
      waiters[#waiters + 1] = each
    else
      lock.missed = max(lock.missed or 0, each.turn)
    end
  end
  lock.holders, lock.waiters = holders, waiters
  write(lock)
end

steps[53] = {
  arity = 8,
  check = function(step, plan)
    local _, project, resource, token, _, _, mode, permits, queue = unpack(step, 1, 9)
    local lock, there = find(project, resource)
    if queue > 0 and #lock.waiters >= limits.lock_waiters and
        not place_of(lock.waiters, token) and not place_of(lock.holders, token) and
        not may_have(lock, token, mode, permits) then
      return 'too_many_waiters'
    end
    if there then return nil end
    local added = plan.added_l or 0
    if live.count('l') + added >= limits.locks then return 'too_many_locks' end
    if not plan.alone then plan.added_l = added + 1 end
  end,
  apply = function(step) return live.take_lock(unpack(step, 2, 9)) end,
}

local function exclusive_fence(project, resource)
  local lock = find(project, resource)
  local first = lock.holders[1]
  return first and first[3] == exclusive and first[4] or 0
end

steps[56] = {
  arity = 3,
  check = function(step, plan)
    local _, project, resource, fence = unpack(step, 1, 4)
    local seen = live.find('f', name_of(project, resource))
    if fence < (seen and seen.version or 0) or fence < exclusive_fence(project, resource) then
      return 'stale_fence'
    end
    if seen then return nil end
    -- Fences are moments at least: one from before all that is remembered may be of anybody.
    if fence < now - limits.fence_kept then return 'stale_fence' end
    local added = plan.added_f or 0
    if live.count('f') + added >= limits.fences then return 'too_many_records' end
    if not plan.alone then plan.added_f = added + 1 end
  end,
  apply = function(step)
    local _, project, resource, fence = unpack(step, 1, 4)
    local name = name_of(project, resource)
    local seen = live.find('f', name)
    live.write('f', name, {made = seen and seen.made or now, changed = now,
                           ends = now + limits.fence_kept, version = fence, value = ''})
    return pack('kf', seen and seen.version or 0)
  end,
}

queries[53] = {
  arity = 2,
  answer = function(_, project, resource)
    local lock = find(project, resource)
    return #lock.holders > 0 and pack(true) .. describe(lock) or pack(false)
  end,
}

queries[54] = {
  arity = 2,
  answer = function(_, project, resource)
    local lock = find(project, resource)
    local out = {pack(#lock.holders)}
    for i, each in ipairs(lock.holders) do out[i + 1] = describe_holder(lock, each) end
    return concat(out)
  end,
}
