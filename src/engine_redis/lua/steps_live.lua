-- Locks, progress, agents, connections.

local function name_of(project, key) return project .. '\0' .. key end

local function has_room(kind, plan, limit)
  local field = 'added_' .. kind
  local added = plan[field] or 0
  if live.count(kind) + added >= limit then return false end
  if not plan.alone then plan[field] = added + 1 end
  return true
end

-- Locks. The value is the token and the owner, the version is the fence.

local function lock_answer(granted, project, resource, lock)
  local _, _, owner = unpack_some(lock.value, 2, 0)
  return pack(granted, project, resource, owner, lock.version, lock.made, lock.ends)
end

local function token_of(lock)
  local _, token = unpack_some(lock.value, 1, 0)
  return token
end

-- One that several hold, or for which somebody waits: steps_permits.lua.
local function is_shared(lock)
  if not live.is_shared(lock) then return false end
  parts.need('steps_permits')
  return true
end

local function refuse_lost(step, waiting)
  local lock = live.find('l', name_of(step[2], step[3]))
  if not lock then return 'lock_lost' end
  if token_of(lock) == step[4] then return nil end
  if is_shared(lock) and live.has_lock(step[2], step[3], step[4], waiting) then return nil end
  return 'lock_lost'
end

steps[50] = {
  arity = 5,
  check = function(step, plan)
    if live.find('l', name_of(step[2], step[3])) then return nil end
    if not has_room('l', plan, limits.locks) then return 'too_many_locks' end
  end,
  apply = function(step)
    local _, project, resource, token, ttl, owner = unpack(step, 1, 6)
    local name = name_of(project, resource)
    local lock = live.find('l', name)
    if lock then
      if is_shared(lock) then
        return live.take_lock(project, resource, token, ttl, owner, 0, 0, 0)
      end
      return pack('k') .. lock_answer(token_of(lock) == token, project, resource, lock)
    end
    lock = {made = now, changed = now, ends = now + ttl, version = next_stamp(),
            value = pack(token, owner)}
    live.write('l', name, lock)
    return pack('k') .. lock_answer(true, project, resource, lock)
  end,
}

steps[51] = {
  arity = 4,
  check = function(step) return refuse_lost(step, false) end,
  apply = function(step)
    local _, project, resource, token, ttl = unpack(step, 1, 5)
    local name = name_of(project, resource)
    local lock = live.find('l', name)
    if is_shared(lock) then return live.prolong_lock(project, resource, token, ttl) end
    if ttl > 0 then
      lock.changed, lock.ends = now, now + ttl
      live.write('l', name, lock)
    end
    return pack('k') .. lock_answer(true, project, resource, lock)
  end,
}

steps[52] = {
  arity = 3,
  check = function(step) return refuse_lost(step, true) end,
  apply = function(step)
    local name = name_of(step[2], step[3])
    local lock = live.find('l', name)
    if is_shared(lock) then return live.drop_lock(step[2], step[3], step[4]) end
    live.remove('l', name)
    live.hint_record('l', name)
    return pack('k') .. lock_answer(false, step[2], step[3], lock)
  end,
}

-- Progress. The value: total, step, status, message, how many marks, and those.

local is_running, is_completed = 0, 1

local function read_progress(record)
  local off, total, current, status, message, count = unpack_some(record.value, 5, 0)
  local p = {total = total, current = current, status = status, message = message, marks = {}}
  for i = 1, count do
    local step, time, text
    off, step, time, text = unpack_some(record.value, 3, off)
    p.marks[i] = pack(step, time, text)
  end
  return p
end

local function progress_value(p)
  return pack(p.total, p.current, p.status, p.message, #p.marks) .. concat(p.marks)
end

local function progress_answer(project, id, record)
  return pack(project, id, record.made, record.changed, record.ends, record.version) ..
         record.value
end

steps[62] = {
  arity = 7,
  check = function(step, plan)
    local _, project, id, total, at = unpack(step, 1, 5)
    local record = live.find('p', name_of(project, id))
    local of = total
    if not total then
      if not record then return 'progress_not_found' end
      local _, its_total, _, status = unpack_some(record.value, 3, 0)
      if status ~= is_running then return 'progress_ended' end
      of = its_total
    end
    if at and at > of then return 'step_beyond_total' end
    if not record and not has_room('p', plan, limits.live_records) then
      return 'too_many_records'
    end
  end,
  apply = function(step)
    local _, project, id, total, at, message, status, ttl = unpack(step, 1, 8)
    local name = name_of(project, id)
    local record = live.find('p', name)
    local p
    if total then
      p = {total = total, current = 0, status = is_running, message = '', marks = {}}
      record = {made = now}
    else
      p = read_progress(record)
    end
    local stood = p.current
    if at then p.current = at end
    if message then p.message = message end
    if status then p.status = status end
    if p.status == is_completed then p.current = p.total end
    if p.current ~= stood then
      p.marks[#p.marks + 1] = pack(p.current, now, p.message)
      if #p.marks > limits.progress_marks then table.remove(p.marks, 1) end
    end
    record.changed, record.ends, record.version = now, now + ttl, next_stamp()
    record.value = progress_value(p)
    live.write('p', name, record)
    live.hint_record('p', name)
    return pack('g') .. progress_answer(project, id, record)
  end,
}

steps[63] = {
  arity = 2,
  check = function(step)
    if not live.find('p', name_of(step[2], step[3])) then return 'progress_not_found' end
  end,
  apply = function(step)
    local name = name_of(step[2], step[3])
    local record = live.find('p', name)
    live.remove('p', name)
    live.hint_record('p', name)
    return pack('g') .. progress_answer(step[2], step[3], record)
  end,
}

queries[62] = {
  arity = 2,
  answer = function(_, project, id)
    local record = live.find('p', name_of(project, id))
    return record and pack(true) .. progress_answer(project, id, record) or pack(false)
  end,
}

-- Agents and connections: the value is the caller's.

local function names_of_flow(project, flow, most)
  local first = name_of(project, flow)
  return redis_call('ZRANGEBYLEX', live.name_keys.a, '[' .. first .. '\0', '(' .. first .. '\1',
                    'LIMIT', 0, most)
end

local function record_answer(name, record)
  return pack(name, record.made, record.changed, record.version, record.value)
end

steps[64] = {
  arity = 5,
  check = function(step, plan)
    local _, project, flow, agent = unpack(step, 1, 4)
    local of_flow = name_of(project, flow)
    if live.find('a', of_flow .. '\0' .. agent) then return nil end
    local field = 'added_to_' .. of_flow
    local added = plan[field] or 0
    if #names_of_flow(project, flow, limits.agents) + added >= limits.agents then
      return 'too_many_agents'
    end
    if not plan.alone then plan[field] = added + 1 end
    if not has_room('a', plan, limits.live_records) then return 'too_many_records' end
  end,
  apply = function(step)
    local _, project, flow, agent, ttl, value = unpack(step, 1, 6)
    local name = name_of(project, flow) .. '\0' .. agent
    local record = {made = now, changed = now, ends = now + ttl, version = next_stamp(),
                    value = value}
    live.write('a', name, record)
    live.hint_record('a', name)
    return pack('a') .. record_answer(agent, record)
  end,
}

queries[63] = {
  arity = 2,
  answer = function(_, project, flow)
    local names = names_of_flow(project, flow, limits.agents)
    local out = {pack(#names)}
    local before = #name_of(project, flow) + 2
    for i, name in ipairs(names) do
      out[i + 1] = record_answer(string.sub(name, before), live.find('a', name))
    end
    return concat(out)
  end,
}

steps[65] = {
  arity = 4,
  check = function(step, plan)
    if live.find('c', name_of(step[2], step[3])) then return nil end
    if not has_room('c', plan, limits.live_records) then return 'too_many_records' end
  end,
  apply = function(step)
    local _, project, id, ttl, value = unpack(step, 1, 5)
    local name = name_of(project, id)
    local before = live.find('c', name)
    local record = {made = before and before.made or now, changed = now, ends = now + ttl,
                    version = 0, value = value}
    live.write('c', name, record)
    return pack('n') .. record_answer(id, record)
  end,
}

steps[66] = {
  arity = 2,
  check = function(step)
    if not live.find('c', name_of(step[2], step[3])) then return 'connection_not_found' end
  end,
  apply = function(step)
    local name = name_of(step[2], step[3])
    local record = live.find('c', name)
    live.remove('c', name)
    return pack('n') .. record_answer(step[3], record)
  end,
}

-- A page of so many, whatever they are: who asked looks at each.
queries[64] = {
  arity = 3,
  answer = function(_, project, after, most)
    local first = after and '(' .. name_of(project, after) or '[' .. project .. '\0'
    local names = redis_call('ZRANGEBYLEX', live.name_keys.c, first, '(' .. project .. '\1',
                             'LIMIT', 0, most + 1)
    local count = min(#names, most)
    local out = {pack(#names > most, count)}
    for i = 1, count do
      out[i + 1] = record_answer(string.sub(names[i], #project + 2), live.find('c', names[i]))
    end
    return concat(out)
  end,
}
