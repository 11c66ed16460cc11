-- Streams of events.
--
--   streams                    hash: project, name -> what is known of the stream, packed
--   stream:{project}/{name}    stream: one entry an event, its id the offset and the stamp
--   streams:ids                hash: project, name, id of an event -> where it stands
--
-- What is forgotten by its age stands in `live:due` (live.lua).

local fields = {'epoch', 'first', 'last', 'last_stamp', 'last_at', 'before', 'first_at', 'bytes',
                'own', 'keep_count', 'keep_age', 'keep_bytes', 'listed'}
local streams_key
local known    -- name -> stream, or false; of this call
local changed  -- streams to be written

at_each_store(function()
  streams_key, streams.ids_key = prefix .. 'streams', prefix .. 'streams:ids'
end)
known, changed = {}, {}
function streams.begin_anew() known, changed = {}, {} end

function streams.name_of(project, name) return project .. '\0' .. name end

local function key_of(project, name)
  local key = prefix .. 'stream:' .. project .. '/' .. name
  local is = redis_call('TYPE', key).ok
  if is ~= 'stream' and is ~= 'none' then
    error({err = 'WRONGTYPE ' .. key .. ' is a ' .. is .. ', not a stream'})
  end
  return key
end

function streams.find(project, name)
  local id = streams.name_of(project, name)
  local stream = known[id]
  if stream ~= nil then return stream or nil end
  touch(streams)
  local text = redis_call('HGET', streams_key, id)
  if not text then
    known[id] = false
    return nil
  end
  local values = {unpack_some(text, #fields, 0)}
  stream = {id = id, project = project, name = name, key = key_of(project, name)}
  for i, field in ipairs(fields) do stream[field] = values[i + 1] end
  known[id] = stream
  return stream
end

local function packed(s)
  return pack(s.epoch, s.first, s.last, s.last_stamp, s.last_at, s.before, s.first_at, s.bytes,
              s.own, s.keep_count, s.keep_age, s.keep_bytes, s.listed)
end

function streams.count() return redis_call('HLEN', streams_key) end

function streams.open(project, name)
  local stream = streams.find(project, name)
  if stream then return stream end
  local id = streams.name_of(project, name)
  stream = {id = id, project = project, name = name, key = key_of(project, name),
            epoch = next_stamp(), first = 1, last = 0, last_stamp = 0, before = 0, first_at = 0,
            bytes = 0, own = false, keep_count = limits.event_count, keep_age = limits.event_age,
            keep_bytes = limits.event_bytes}
  -- At once, so that they are counted.
  redis_call('HSET', streams_key, id, packed(stream))
  known[id] = stream
  return stream
end

local function relist(stream)
  local next_time = stream.last >= stream.first and stream.first_at + stream.keep_age or nil
  if next_time == stream.listed then return end
  if next_time then
    live.ends_at('s' .. stream.id, next_time)
  else
    redis_call('ZREM', live.due_key, 's' .. stream.id)
  end
  stream.listed = next_time
end

function streams.change(stream)
  relist(stream)
  changed[stream] = true
end

function streams.save()
  for stream in pairs(changed) do redis_call('HSET', streams_key, stream.id, packed(stream)) end
  changed = {}
end

local function stamp_of(id) return tonumber(string.match(id, '%-(%d+)$')) end

-- The stamp and the time of an event that is there.
function streams.place(stream, offset)
  local at = format('%.0f', offset)
  local entry = redis_call('XRANGE', stream.key, at, at, 'COUNT', 1)[1]
  if not entry then return 0, 0 end
  local _, time = unpack_some(entry[2][2], 1, 0)
  return stamp_of(entry[1]), time
end

-- Takes the first events away while `too_much` says so of the next, at most so many.
function streams.drop_while(stream, most, too_much)
  local begin = stream.first
  while most > 0 and stream.last >= stream.first do
    local entries = redis_call('XRANGE', stream.key, format('%.0f', stream.first), '+', 'COUNT',
                               min(most, 100))
    if #entries == 0 then break end
    local enough = false
    for _, entry in ipairs(entries) do
      local _, time, bytes = unpack_some(entry[2][2], 2, 0)
      if not too_much(time) then
        enough = true
        break
      end
      stream.before, stream.first_at = stamp_of(entry[1]), max(stream.first_at, time)
      stream.bytes, stream.first = stream.bytes - bytes, stream.first + 1
      most = most - 1
    end
    if enough then break end
  end
  if stream.first > begin then
    redis_call('XTRIM', stream.key, 'MINID', format('%.0f', stream.first))
  end
end

function streams.trim(stream)
  local function too_much()
    local count = stream.last + 1 - stream.first
    return count > 1 and (count > stream.keep_count or stream.bytes > stream.keep_bytes)
  end
  if too_much() then streams.drop_while(stream, limits.events_trimmed, too_much) end
end

-- What has grown too old of one stream goes, and a stream of which nothing is left.
function streams.forget_old(id)
  local project, name = string.match(id, '^(%Z+)%z(%Z+)$')
  local stream = streams.find(project, name)
  if not stream then
    redis_call('ZREM', live.due_key, 's' .. id)
    return
  end
  streams.drop_while(stream, 1000, function(time)
    stream.first_at = time
    return time + stream.keep_age <= now
  end)
  streams.change(stream)
  if stream.last >= stream.first or stream.own then return end
  redis_call('HDEL', streams_key, id)
  redis_call('DEL', stream.key)
  known[id], changed[stream] = false, nil
end

-- Where an event of this id stands: epoch, offset, stamp, time.
function streams.known_id(project, name, id)
  local text = redis_call('HGET', streams.ids_key, streams.name_of(project, name) .. '\0' .. id)
  if not text then return nil end
  local stream = streams.find(project, name)
  local _, epoch, offset, stamp, time = unpack_some(text, 4, 0)
  if not stream or stream.epoch ~= epoch or time + limits.event_id_kept <= now then return nil end
  return epoch, offset, stamp, time
end

function streams.keep_id(stream, id, stamp)
  local name = stream.id .. '\0' .. id
  redis_call('HSET', streams.ids_key, name, pack(stream.epoch, stream.last, stamp, now))
  live.ends_at('i' .. name, now + limits.event_id_kept)
end

function streams.describe(stream)
  local s = stream
  return pack(s.project, s.name, s.keep_count, s.keep_age, s.keep_bytes, s.epoch, s.first, s.last,
              s.last_stamp, s.bytes, s.last_at)
end
