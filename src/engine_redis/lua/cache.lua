-- What is cached. It is written at once, in applies only.
--
--   cache:{project}/{key}     string: packed head, then the value; expires with the entry
--   cache:{project}           hash: bytes, what was evicted and what has expired, last look at claims
--   cache:{project}:used      sorted set: key -> minute of its last use * 2^26 + bytes
--   cache:{project}:tags      sorted set: tag -> stamp of its last invalidation. Two are no tags: the
--                             empty one (the project was cleared), \1 (entries with tags that are
--                             older are gone, since their tags are no longer known)
--   cache:{project}:claims    hash: key -> lease, until, packed
--   cache_ends                sorted set: project, \0, key -> when the entry is forgotten
--
-- The head: version, created, expires, stale until, bytes, content type, tags.

cache.unit = 67108864
cache.minute = 60000000

local swept = 1000  -- entries forgotten with a call because their time is over
local ends_key
local loaded = {}

at_each_store(function() ends_key = prefix .. 'cache_ends' end)

function cache.begin_anew() loaded = {} end

function cache.project(name)
  local project = loaded[name]
  if project then return project end
  touch(cache)
  local key = prefix .. 'cache:' .. name
  local kept = redis_call('HMGET', key, 'bytes', 'evicted', 'expired', 'claims_seen')
  project = {name = name, key = key, used_key = key .. ':used', tags_key = key .. ':tags',
             claims_key = key .. ':claims', bytes = tonumber(kept[1] or 0),
             evicted = tonumber(kept[2] or 0), expired = tonumber(kept[3] or 0),
             claims_seen = tonumber(kept[4] or 0)}
  loaded[name] = project
  return project
end

function cache.save()
  for _, project in pairs(loaded) do
    if project.changed then
      redis_call('HSET', project.key, 'bytes', project.bytes, 'evicted', project.evicted, 'expired',
                 project.expired, 'claims_seen', project.claims_seen)
      project.changed = nil
    end
  end
end

local function entry_key(project, key) return project.key .. '/' .. key end

-- Whether what was made at a stamp with these tags has not been invalidated since.
function cache.is_valid(project, since, tags)
  local marks = redis_call('ZMSCORE', project.tags_key, '', '\1', unpack(tags))
  local cleared, tags_floor = marks[1], marks[2]
  if cleared and since < tonumber(cleared) then return false end
  if #tags > 0 and tags_floor and since < tonumber(tags_floor) then return false end
  for i = 1, #tags do
    if marks[i + 2] and tonumber(marks[i + 2]) > since then return false end
  end
  return true
end

-- The entry that is there, stale ones included.
function cache.find(project, key)
  local text = redis_call('GET', entry_key(project, key))
  if not text then return nil end
  local _, version, _, expires, stale_until, bytes, _, tags = unpack_some(text, 7, 0)
  if stale_until <= now or not cache.is_valid(project, version, tags) then return nil end
  return {text = text, version = version, expires = expires, bytes = bytes}
end

function cache.note_use(project, key, bytes)
  local minute = floor(now / cache.minute)
  redis_call('ZADD', project.used_key, 'XX', minute * cache.unit + bytes, key)
end

function cache.bytes_of(project, key)
  local score = redis_call('ZSCORE', project.used_key, key)
  return score and tonumber(score) % cache.unit
end

-- False when it was not there.
function cache.forget(project, key, bytes)
  bytes = bytes or cache.bytes_of(project, key)
  if not bytes then return false end
  redis_call('UNLINK', entry_key(project, key))
  redis_call('ZREM', project.used_key, key)
  redis_call('ZREM', ends_key, project.name .. '\0' .. key)
  project.bytes = project.bytes - bytes
  project.changed = true
  return true
end

function cache.keep(project, key, text, stale_until, bytes)
  local before = cache.bytes_of(project, key) or 0
  -- A clock that does not tick is no reason for Redis to wait less.
  local margin = manual_clock and 3600000 or 1000
  redis_call('SET', entry_key(project, key), text, 'PX',
             floor((stale_until - now) / 1000) + margin)
  redis_call('ZADD', project.used_key, floor(now / cache.minute) * cache.unit + bytes, key)
  redis_call('ZADD', ends_key, stale_until, project.name .. '\0' .. key)
  project.bytes = project.bytes + bytes - before
  project.changed = true
end

-- The least recently used go, but never `key`. Answers which.
function cache.make_room(project, key)
  local gone = {}
  while project.bytes > limits.cache_bytes and #gone < limits.cache_evictions do
    local first = redis_call('ZRANGE', project.used_key, 0, 1, 'WITHSCORES')
    local at = first[1] == key and 3 or 1
    if not first[at] then break end
    cache.forget(project, first[at], tonumber(first[at + 1]) % cache.unit)
    project.evicted = project.evicted + 1
    gone[#gone + 1] = first[at]
  end
  return gone
end

function cache.sweep()
  local over = redis_call('ZRANGEBYSCORE', ends_key, '-inf', now, 'LIMIT', 0, swept)
  for _, name in ipairs(over) do
    local split = string.find(name, '\0', 1, true)
    local project, key = cache.project(string.sub(name, 1, split - 1)), string.sub(name, split + 1)
    if cache.forget(project, key) then
      project.expired = project.expired + 1
    else
      redis_call('ZREM', ends_key, name)
    end
    project.changed = true
  end
  return #over == 0
end

-- Claims. One from before the epoch has ended.

local function is_held(lease, till) return till > now and lease > state.epoch_stamp end

function cache.find_claim(project, key)
  local text = redis_call('HGET', project.claims_key, key)
  if not text then return nil end
  local _, lease, till = unpack_some(text, 2, 0)
  if is_held(lease, till) then return {lease = lease, till = till} end
end

function cache.hold_claim(project, key, lease, till)
  redis_call('HSET', project.claims_key, key, pack(lease, till))
  redis_call('PEXPIRE', project.claims_key, limits.claim_lease / 1000 + 3600000)
end

function cache.end_claim(project, key)
  if redis_call('HDEL', project.claims_key, key) == 1 then
    hints.cache[#hints.cache + 1] = {project.name, key}
  end
end

function cache.each_claim(project, visit)
  local all = redis_call('HGETALL', project.claims_key)
  for i = 1, #all, 2 do
    local _, lease, till = unpack_some(all[i + 1], 2, 0)
    visit(all[i], is_held(lease, till))
  end
end

-- Whether there is room for so many more. Claims that nobody gave back are looked for when there
-- seems to be none, at most once a second.
function cache.may_claim(project, more)
  if redis_call('HLEN', project.claims_key) + more <= limits.cache_claims then return true end
  if project.claims_seen + 1000000 > now then return false end
  project.claims_seen, project.changed = now, true
  local over = {}
  cache.each_claim(project, function(key, held)
    if not held then over[#over + 1] = key end
  end)
  in_pieces('HDEL', project.claims_key, over)
  return redis_call('HLEN', project.claims_key) + more <= limits.cache_claims
end

-- Tags.

function cache.mark(project, tag, stamp)
  redis_call('ZADD', project.tags_key, stamp, tag)
  if redis_call('ZCARD', project.tags_key) <= limits.cache_tag_marks + 2 then return end
  local first = redis_call('ZRANGE', project.tags_key, 0, 2, 'WITHSCORES')
  for i = 1, #first, 2 do
    if first[i] ~= '' and first[i] ~= '\1' then
      redis_call('ZADD', project.tags_key, 'GT', first[i + 1], '\1')
      redis_call('ZREM', project.tags_key, first[i])
      return
    end
  end
end
