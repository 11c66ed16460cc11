-- Sessions: who somebody is between two requests.
--
--   sessions        hash: name -> ref, user, label, idle, absolute, touched how often, begun,
--                   touched, ends, version, is it a former id, the hash of the other id, how many
--                   fields, and those; packed
--   sessions:users  sorted set: project, user, ref, hash, in their order; without former ids
--   sessions:ages   sorted set: project, ref, hash, in their order; without former ids
--
-- A name is the project and the hash of an id. When each ends stands in `live:due` (live.lua).

local records_key, users_key, ages_key

at_each_store(function()
  records_key = prefix .. 'sessions'
  users_key, ages_key = prefix .. 'sessions:users', prefix .. 'sessions:ages'
end)

local function name_of(project, hash) return project .. '\0' .. hash end

local function user_member(project, user, ref, hash)
  return project .. '\0' .. user .. '\0' .. text_of(ref) .. '\0' .. hash
end

local function age_member(project, ref, hash)
  return project .. '\0' .. text_of(ref) .. '\0' .. hash
end

local function read_fields(text, off)
  local fields, count, name, json = {}
  off, count = unpack_some(text, 1, off)
  for _ = 1, count do
    off, name, json = unpack_some(text, 2, off)
    fields[name] = json
  end
  return fields
end

local function find(project, hash)
  local text = redis_call('HGET', records_key, name_of(project, hash))
  if not text then return nil end
  local s = {project = project, hash = hash}
  local off
  off, s.ref, s.user, s.label, s.idle, s.absolute, s.touch_every, s.begun, s.touched, s.ends,
      s.version, s.former, s.other = unpack_some(text, 12, 0)
  s.fields_text = string.sub(text, off + 1)
  return s
end

local function packed(s, fields_text)
  return pack(s.ref, s.user, s.label, s.idle, s.absolute, s.touch_every, s.begun, s.touched,
              s.ends, s.version, s.former, s.other) .. fields_text
end

local function answer(s) return pack(s.project, s.hash) .. packed(s, s.fields_text) end
local function changed(s, ended) return pack('ss', ended) .. answer(s) end

local function write(s)
  local name = name_of(s.project, s.hash)
  redis_call('HSET', records_key, name, packed(s, s.fields_text))
  live.ends_at('h' .. name, s.ends)
  if s.former then return end
  redis_call('ZADD', users_key, 0, user_member(s.project, s.user, s.ref, s.hash))
  redis_call('ZADD', ages_key, 0, age_member(s.project, s.ref, s.hash))
end

local function remove(s)
  local name = name_of(s.project, s.hash)
  redis_call('HDEL', records_key, name)
  redis_call('ZREM', live.due_key, 'h' .. name)
  if s.former then return end
  redis_call('ZREM', users_key, user_member(s.project, s.user, s.ref, s.hash))
  redis_call('ZREM', ages_key, age_member(s.project, s.ref, s.hash))
end

-- All ids of a session.
local function end_session(s)
  remove(s)
  local other = s.other ~= '' and find(s.project, s.other)
  if other then remove(other) end
end

-- What is over by now; `name` is its own.
function sessions.forget(name)
  local s = find(string.match(name, '^(%Z+)%z(.+)$'))
  if s then remove(s) end
end

-- A use moves the end, if that is due.
local function use(s)
  if now < s.touched + s.touch_every then return end
  local ends = now + s.idle
  if s.absolute > 0 then ends = min(ends, s.begun + s.absolute) end
  if ends <= s.ends then return end
  s.touched, s.ends = now, ends
  return true
end

-- The fields after the changes, whether there are any, or why not.
local function merged(fields, changes, replace)
  local made = {}
  if not replace then
    for name, json in pairs(fields) do made[name] = json end
  end
  local off, count, name, json = unpack_some(changes, 1, 0)
  for _ = 1, count do
    off, name, json = unpack_some(changes, 2, off)
    made[name] = json
  end
  local bytes, present, differ = 0, 0, false
  for its_name, its_json in pairs(made) do
    present, bytes = present + 1, bytes + #its_name + #its_json
    if fields[its_name] ~= its_json then differ = true end
  end
  for its_name in pairs(fields) do
    if not made[its_name] then differ = true end
  end
  if present > limits.session_fields then return nil, false, 'too_many_fields' end
  if bytes > limits.session_bytes then return nil, false, 'session_too_large' end
  return made, differ
end

local function fields_text(fields)
  local out, count = {''}, 0
  for name, json in pairs(fields) do
    count = count + 1
    out[count + 1] = pack(name, json)
  end
  out[1] = pack(count)
  return concat(out)
end

local function why_not(s, if_version, changes, replace)
  if s.former then return 'session_rotated' end
  if if_version ~= 0 and if_version ~= s.version then return 'version_changed' end
  local _, _, why = merged(read_fields(s.fields_text, 0), changes, replace)
  return why
end

-- The sessions of a user: how many, and the names of the oldest.

local function bounds(project, user)
  local first = project .. '\0' .. user
  return '[' .. first .. '\0', '(' .. first .. '\1'
end

local function count_of(project, user)
  return redis_call('ZLEXCOUNT', users_key, bounds(project, user))
end

local function of_user(project, user, most)
  local first, last = bounds(project, user)
  local out = {}
  for i, member in ipairs(redis_call('ZRANGEBYLEX', users_key, first, last, 'LIMIT', 0, most)) do
    out[i] = find(project, string.match(member, '(%Z+)$'))
  end
  return out
end

local end_oldest, refuse = 0, 1

local function over(project, user, at_most)
  if user == '' then return 0 end
  if at_most == 0 then at_most = limits.user_sessions end
  return max(0, count_of(project, user) + 1 - at_most)
end

local function refuse_one_more(project, user, at_most, beyond)
  if redis_call('HLEN', records_key) >= limits.sessions then return 'too_many_sessions' end
  if beyond == refuse and over(project, user, at_most) > 0 then return 'too_many_user_sessions' end
end

local function make_room(project, user, at_most)
  local count = over(project, user, at_most)
  if count == 0 then return 0 end
  for _, s in ipairs(of_user(project, user, count)) do end_session(s) end
  return count
end

-- The steps.

local function refuse_missing(step)
  if not find(step[2], step[3]) then return 'session_not_found' end
end

steps[80] = {
  arity = 10,
  check = function(step)
    local _, project, hash, user = unpack(step, 1, 4)
    if find(project, hash) then return 'session_exists' end
    return refuse_one_more(project, user, step[9], step[10])
  end,
  apply = function(step)
    local s = {}
    local _, at_most
    _, s.project, s.hash, s.user, s.label, s.idle, s.absolute, s.touch_every, at_most, _,
        s.fields_text = unpack(step, 1, 11)
    local ended = make_room(s.project, s.user, at_most)
    s.ref, s.version, s.former, s.other = next_stamp(), 1, false, ''
    s.begun, s.touched, s.ends = now, now, now + s.idle
    if s.absolute > 0 then s.ends = min(s.ends, now + s.absolute) end
    write(s)
    return changed(s, ended)
  end,
}

steps[81] = {
  arity = 2,
  check = refuse_missing,
  apply = function(step)
    local s = find(step[2], step[3])
    if not s.former and use(s) then write(s) end
    return changed(s, 0)
  end,
}

steps[82] = {
  arity = 5,
  check = function(step)
    local _, project, hash, replace, if_version, changes = unpack(step, 1, 6)
    local s = find(project, hash)
    if not s then return 'session_not_found' end
    return why_not(s, if_version, changes, replace)
  end,
  apply = function(step)
    local _, project, hash, replace, _, changes = unpack(step, 1, 6)
    local s = find(project, hash)
    local fields, differ = merged(read_fields(s.fields_text, 0), changes, replace)
    if differ then s.version, s.fields_text = s.version + 1, fields_text(fields) end
    if use(s) or differ then write(s) end
    return changed(s, 0)
  end,
}

steps[83] = {
  arity = 9,
  check = function(step)
    local _, project, hash, to, _, user, if_version, at_most, beyond, changes = unpack(step, 1, 10)
    local s = find(project, hash)
    if not s then return 'session_not_found' end
    local why = why_not(s, if_version, changes, false)
    if why then return why end
    if find(project, to) then return 'session_exists' end
    local moves = user and user ~= s.user
    return refuse_one_more(project, moves and user or '', at_most, beyond)
  end,
  apply = function(step)
    local _, project, hash, to, grace, user, _, at_most, _, changes = unpack(step, 1, 10)
    local s, former = find(project, hash), find(project, hash)
    end_session(s)
    local ended = 0
    if user and user ~= s.user then
      ended = make_room(project, user, at_most)
      s.user = user
    end
    local fields, differ = merged(read_fields(s.fields_text, 0), changes, false)
    if differ then s.fields_text = fields_text(fields) end
    s.hash, s.version, s.other = to, s.version + 1, ''
    use(s)
    if grace > 0 then
      former.former, former.other, former.ends = true, to, min(former.ends, now + grace)
      s.other = hash
      write(former)
    end
    write(s)
    return changed(s, ended)
  end,
}

steps[84] = {
  arity = 2,
  check = refuse_missing,
  apply = function(step)
    local s = find(step[2], step[3])
    end_session(s)
    return changed(s, 0)
  end,
}

steps[85] = {
  arity = 4,
  check = function() end,
  apply = function(step)
    local _, project, user, only, except = unpack(step, 1, 5)
    local count = 0
    for _, s in ipairs(of_user(project, user, limits.user_sessions)) do
      if s.ref ~= except and (only == 0 or s.ref == only) then
        end_session(s)
        count = count + 1
      end
    end
    return pack('se', count)
  end,
}

queries[80] = {
  arity = 2,
  answer = function(_, project, hash)
    local s = find(project, hash)
    return s and pack(true) .. answer(s) or pack(false)
  end,
}

-- By their age, without their fields.
queries[81] = {
  arity = 5,
  answer = function(_, project, user, after, most, newest_first)
    local key, first, last, all = ages_key, '[' .. project .. '\0', '(' .. project .. '\1'
    local stem = project
    if user then
      key, stem = users_key, project .. '\0' .. user
      first, last = bounds(project, user)
    end
    local count = redis_call('ZLEXCOUNT', key, first, last)
    if newest_first then
      if after > 0 then last = '(' .. stem .. '\0' .. text_of(after) end
      all = redis_call('ZREVRANGEBYLEX', key, last, first, 'LIMIT', 0, most + 1)
    else
      if after > 0 then first = '(' .. stem .. '\0' .. text_of(after) .. '\1' end
      all = redis_call('ZRANGEBYLEX', key, first, last, 'LIMIT', 0, most + 1)
    end
    local shown = min(#all, most)
    local out = {pack(#all > most, count, shown)}
    local nothing = pack(0)
    for i = 1, shown do
      local s = find(project, string.match(all[i], '(%Z+)$'))
      out[i + 1] = pack(project, s.hash) .. packed(s, nothing)
    end
    return concat(out)
  end,
}
