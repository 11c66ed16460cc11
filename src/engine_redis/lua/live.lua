-- What is kept for a while after it was last heard of: locks, progress, agents, connections.
--
--   live:{kind}        hash: name -> made, changed, ends, version (7 bytes each), value
--   live:{kind}:names  sorted set: the names of agents and connections, in their order
--   live:due           sorted set: what happens by itself, by its time: the kind and name of what
--                      ends, `s` and the name of a stream, `i` and the id of an event, `h` and the
--                      name of a session. A lock that is taken or prolonged in a hurry may stand
--                      there with an earlier end of it, and one that was released until then
--
-- Kinds: l lock, p progress, a agent, c connection, f fence. Names begin with the project.

local record_keys, name_keys  -- by kind
local record_format = '>I7I7I7I7'
local struct_pack, struct_unpack, sub = struct.pack, struct.unpack, string.sub

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
function live.key_of(kind) return record_keys[kind] end

-- What the quick way (hot_locks.lua) knows of locks, as long as nobody but it changes any: records by
-- their names, false where there is none, the tokens of some, and for how many more there surely is
-- room.
local room
local known_locks, known_tokens, known_count, known_at_most = {}, {}, 0, 2000

-- Locks that were released and still stand in `live:due`: no later than at that time.
local idle, idle_count, idle_at_most = {}, 0, 1000

local function forget_locks()
  room = nil
  if known_count > 0 then known_locks, known_tokens, known_count = {}, {}, 0 end
end

function live.forget()
  forget_locks()
  if idle_count > 0 then idle, idle_count = {}, 0 end
end

function live.known_lock(name) return known_locks[name], known_tokens[name] end

function live.note_lock(name, record, token)
  if known_locks[name] == nil then
    if known_count >= known_at_most then known_locks, known_tokens, known_count = {}, {}, 0 end
    known_count = known_count + 1
  end
  known_locks[name], known_tokens[name] = record, token
end

-- When a lock that nobody holds stands in `live:due`, at the latest, if it does: it is held now.
function live.take_idle(name)
  local time = idle[name]
  if time then idle[name], idle_count = nil, idle_count - 1 end
  return time
end

-- Whether a lock that is released may stand there, until that time at most.
function live.leave_idle(name, time)
  if idle_count >= idle_at_most then return false end
  idle[name], idle_count = time, idle_count + 1
  return true
end

-- Takes the place of one more lock; false: there is none.
function live.take_room()
  if not room or room < 1 then room = limits.locks - live.count('l') end
  if room < 1 then return false end
  room = room - 1
  return true
end

function live.find(kind, name)
  local text = redis_call('HGET', record_keys[kind], name)
  if not text then return nil end
  local made, changed, ends, version, behind = struct_unpack(record_format, text)
  return {made = made, changed = changed, ends = ends, version = version, value = sub(text, behind)}
end

-- `member`, of these, ends at that time.
function live.ends_at(member, time)
  redis_call('ZADD', live.due_key, format('%d', time), member)
  state.due_by(time)
end

function live.write(kind, name, r)
  redis_call('HSET', record_keys[kind], name,
             struct_pack(record_format, r.made, r.changed, r.ends, r.version) .. r.value)
  live.ends_at(kind .. name, r.ends)
  if kind == 'l' then
    forget_locks()
    live.take_idle(name)
  end
  if name_keys[kind] then redis_call('ZADD', name_keys[kind], '0', name) end
end

function live.remove(kind, name)
  if kind == 'l' then
    live.note_lock(name, false)
    live.take_idle(name)
  end
  redis_call('HDEL', record_keys[kind], name)
  redis_call('ZREM', live.due_key, kind .. name)
  if name_keys[kind] then redis_call('ZREM', name_keys[kind], name) end
end

function live.hint_record(kind, name)
  local project, rest = string.match(name, '^(%Z+)%z(.+)$')
  if kind == 'l' then
    -- Only while somebody waits for any: hardly a lock is waited for.
    if hints.locks_wanted then live.hint(topic_lock, project, rest) end
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

-- Whether a lock that stands there ends now. Else it was taken anew, prolonged or released.
local function is_over(member, name)
  local lock = live.find('l', name)
  if lock and lock.ends <= now then return true end
  if lock then live.ends_at(member, lock.ends) else live.remove('l', name) end
  return false
end

-- Lets everything end that is over. False: there is more of it than one call should do.
function live.let_end()
  local most = 1000
  local due = redis_call('ZRANGEBYSCORE', live.due_key, '-inf', now, 'LIMIT', 0, most)
  for _, member in ipairs(due) do
    local kind, name = sub(member, 1, 1), sub(member, 2)
    if kind == 's' then
      streams.forget_old(name)
    elseif kind == 'i' then
      redis_call('HDEL', streams.ids_key, name)
      redis_call('ZREM', live.due_key, member)
    elseif kind == 'h' then
      parts.need('steps_sessions')
      sessions.forget(name)
    elseif kind ~= 'l' or is_over(member, name) then
      if kind == 'l' and live.is_shared(live.find('l', name)) then
        parts.need('steps_permits')
        live.end_lock(name)
      else
        live.remove(kind, name)
        live.hint_record(kind, name)
      end
    end
  end
  return #due < most
end

-- When that is next.
function live.next_time()
  return tonumber(redis_call('ZRANGE', live.due_key, 0, 0, 'WITHSCORES')[2])
end
