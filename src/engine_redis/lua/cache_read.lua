-- Reads entries of the cache: a script of its own, since most of what a cache is asked is only
-- this. What the keys hold says cache.lua.
--
-- KEYS[1]  the state of the store; every other key begins as it does
-- ARGV[1]  packed: time (empty: the server's), project, stale ones too, without values
-- ARGV[2…] keys
--
-- Answers each entry as it is kept, or nothing; fewer than there are keys where the bytes are at
-- their bound.

local redis_call = redis.call
local unpack_some, floor = cmsgpack.unpack_limit, math.floor
local prefix = string.sub(KEYS[1], 1, -6)
local _, now, project, stale, bare = unpack_some(ARGV[1], 4, 0)
local root = prefix .. 'cache:' .. project

if now then
  -- The second of the numbers that clock.lua keeps.
  local numbers = redis_call('HGET', KEYS[1], 'numbers')
  if numbers then now = math.max(now, (struct.unpack('>I7', numbers, 8))) end
else
  local time = redis_call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function is_valid(since, tags)
  local marks = redis_call('ZMSCORE', root .. ':tags', '', '\1', unpack(tags))
  for i = 1, #tags + 2 do
    local counts = i ~= 2 or #tags > 0
    if counts and marks[i] and tonumber(marks[i]) > since then return false end
  end
  return true
end

local out, total, minute = {now}, 0, floor(now / 60000000)
for i = 2, #ARGV do
  local key, kept = ARGV[i], false
  local text = redis_call('GET', root .. '/' .. key)
  if text then
    local off, version, created, expires, stale_until, bytes, _, tags = unpack_some(text, 7, 0)
    local wanted = now < expires or (stale and now < stale_until)
    if wanted and is_valid(version, tags) then
      kept = bare and string.sub(text, 1, off) or text
      -- Mostly this changes nothing, and then costs nothing but the look.
      if floor(created / 60000000) ~= minute then
        redis.pcall('ZADD', root .. ':used', 'XX', 'GT', minute * 67108864 + bytes, key)
      end
    end
    total = total + (kept and #kept or 0)
  end
  if total > limits.read_bytes and #out > 1 then break end
  out[#out + 1] = kept
end
out[1] = string.format('%.0f', now)
return out
