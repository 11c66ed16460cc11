-- What is kept for a while after it was last heard of: locks, progress, agents, connections.
--
--   live:{kind}        hash: name -> made, changed, ends, version, value, packed
--   live:{kind}:names  sorted set: the names of agents and connections, in their order
--   live:due           sorted set: what happens by itself, by its time: the kind and name of what
--                      ends, `s` and the name of a stream, `i` and the id of an event, `h` and the
--                      name of a session
--
-- Kinds: l lock, p progress, a agent, c connection, f fence. Names begin with the project.

local record_keys, name_keys  -- by kind

at_each_store(function()
  live.due_key = prefix .. 'live:due'
  record_keys, name_keys = {}, {}
  for _, kind in ipairs({'l', 'p', 'a', 'c', 'f'}) do record_keys[kind] = prefix .. 'live:' .. kind end
  for _, kind in ipairs({'a', 'c'}) do
    name_keys[kind] = prefix .. 'live:' .. kind .. ':names'
  end
  live.name_keys = name_keys
end)

-- The numbers of the port.
local topic_stream, topic_lock, topic_progress, topic_flow = 4, 5, 6, 7

function live.hint(topic, project, key)
  local text = pack(topic, project, key)
  if hints.topics[text] then return end
  hints.topics[text] = true
  hints.topics[#hints.topics + 1] = text
end
function live.hint_turn(project, resource, token)
  live.hint(topic_lock, project, resource .. '\n' .. token)
end
function live.hint_stream(project, name) live.hint(topic_stream, project, name) end

function live.count(kind) return redis_call('HLEN', record_keys[kind]) end

function live.find(kind, name)
  local text = redis_call('HGET', record_keys[kind], name)
  if not text then return nil end
  local _, made, changed, ends, version, value = unpack_some(text, 5, 0)
  return {made = made, changed = changed, ends = ends, version = version, value = value}
end

function live.write(kind, name, r)
  redis_call('HSET', record_keys[kind], name, pack(r.made, r.changed, r.ends, r.version, r.value))
  redis_call('ZADD', live.due_key, r.ends, kind .. name)
  if name_keys[kind] then redis_call('ZADD', name_keys[kind], 0, name) end
end

function live.remove(kind, name)
  redis_call('HDEL', record_keys[kind], name)
  redis_call('ZREM', live.due_key, kind .. name)
  if name_keys[kind] then redis_call('ZREM', name_keys[kind], name) end
end

function live.hint_record(kind, name)
  local project, rest = string.match(name, '^(%Z+)%z(.+)$')
  if kind == 'l' then
    live.hint(topic_lock, project, rest)
  elseif kind == 'p' then
    live.hint(topic_progress, project, rest)
  elseif kind == 'a' then
    live.hint(topic_flow, project, string.match(rest, '^(%Z+)'))
  end
end

-- A lock that several hold, or for which somebody waits, has no token of its own.
function live.is_shared(lock)
  if not lock then return false end
  local _, token = unpack_some(lock.value, 1, 0)
  return token == ''
end

-- Lets everything end that is over. False: there is more of it than one call should do.
function live.let_end()
  local most = 1000
  local due = redis_call('ZRANGEBYSCORE', live.due_key, '-inf', now, 'LIMIT', 0, most)
  for _, member in ipairs(due) do
    local kind, name = string.sub(member, 1, 1), string.sub(member, 2)
    if kind == 's' then
      streams.forget_old(name)
    elseif kind == 'i' then
      redis_call('HDEL', streams.ids_key, name)
      redis_call('ZREM', live.due_key, member)
    elseif kind == 'h' then
      parts.need('steps_sessions')
      sessions.forget(name)
    elseif kind == 'l' and live.is_shared(live.find('l', name)) then
      parts.need('steps_permits')
      live.end_lock(name)
    else
      live.remove(kind, name)
      live.hint_record(kind, name)
    end
  end
  return #due < most
end

-- When that is next.
function live.next_time()
  return tonumber(redis_call('ZRANGE', live.due_key, 0, 0, 'WITHSCORES')[2])
end
