-- The steps of the cache, and what is read of it in calls of this script. Entries are read by a
-- script of their own: see cache_read.lua.

local hit, fill, wait = 0, 1, 2

local function check_claim(step)
  local claim = cache.find_claim(cache.project(step[2]), step[3])
  if not claim or claim.lease ~= step[4] then return 'stale_lease' end
end

local function is_expected(project, key, expects, version)
  if expects == 0 then return true end
  local entry = cache.find(project, key)
  if expects == 1 then return not entry end
  return entry and (expects == 2 or entry.version == version)
end

steps[20] = {
  arity = 11,
  check = function(step)
    local _, name, key, _, _, expects, version, lease, bytes, _, tags = unpack(step, 1, 11)
    if bytes > limits.cache_bytes then return 'over_cache_quota' end
    local project = cache.project(name)
    -- Every key is read before the first is written: none may be somebody else's.
    cache.bytes_of(project, key)
    if not is_expected(project, key, expects, version) then return 'version_mismatch' end
    if lease == 0 then return nil end
    local claim = cache.find_claim(project, key)
    if not claim or claim.lease ~= lease or not cache.is_valid(project, lease, tags) then
      return 'stale_lease'
    end
  end,
  apply = function(step, plan)
    local _, name, key, ttl, stale_for, _, _, _, bytes, content_type, tags, value =
        unpack(step, 1, 12)
    local project, version, expires = cache.project(name), next_stamp(), now + ttl
    local head = pack(version, now, expires, expires + stale_for, bytes, content_type, tags)
    cache.keep(project, key, head .. value, expires + stale_for, bytes)
    cache.end_claim(project, key)
    local gone = cache.make_room(project, key)
    if plan.kept then plan.kept = pack('ks', version, now, expires, {}) end
    return pack('ks', version, now, expires, gone)
  end,
}

local function claimed(how, lease, till, entry)
  return pack('kc', how, lease, till, now, entry and entry.expires <= now or false,
              entry and entry.text or nil)
end

steps[21] = {
  arity = 3,
  check = function(step, plan)
    local project = cache.project(step[2])
    if cache.find_claim(project, step[3]) then return nil end
    local more = 1
    if not plan.alone then
      more = (plan.claims_added or 0) + 1
      plan.claims_added = more
    end
    if not cache.may_claim(project, more) then return 'too_many_claims' end
  end,
  apply = function(step, plan)
    local _, name, key, length = unpack(step, 1, 4)
    local project = cache.project(name)
    local entry, how, lease, till = cache.find(project, key), hit, 0, 0
    if entry then cache.note_use(project, key, entry.bytes) end
    if not entry or entry.expires <= now then
      local claim = cache.find_claim(project, key)
      if claim then
        how, till = wait, claim.till
      else
        how, lease, till = fill, next_stamp(), now + length
        cache.hold_claim(project, key, lease, till)
      end
    end
    -- What was found may have changed when the request is repeated.
    if plan.kept then plan.kept = claimed(how, lease, till) end
    return claimed(how, lease, till, entry)
  end,
}

steps[22] = {
  arity = 4,
  check = check_claim,
  apply = function(step)
    local _, name, key, lease, length = unpack(step, 1, 5)
    cache.hold_claim(cache.project(name), key, lease, now + length)
    return claimed(fill, lease, now + length)
  end,
}

steps[23] = {
  arity = 3,
  check = check_claim,
  apply = function(step)
    cache.end_claim(cache.project(step[2]), step[3])
    return pack('kd', 0, '')
  end,
}

steps[24] = {
  arity = 3,
  check = function(step)
    local project, version = cache.project(step[2]), step[4]
    if version == 0 then return nil end
    local entry = cache.find(project, step[3])
    if not entry or entry.version ~= version then return 'version_mismatch' end
  end,
  apply = function(step)
    local project, key = cache.project(step[2]), step[3]
    local count = cache.find(project, key) and 1 or 0
    cache.forget(project, key)
    cache.end_claim(project, key)
    return pack('kd', count, '')
  end,
}

steps[25] = {
  arity = 2,
  check = function() end,
  apply = function(step)
    cache.mark(cache.project(step[2]), step[3], next_stamp())
    return pack('kd', 0, '')
  end,
}

local at_a_look = 1000

-- Visits keys that fit, a bounded number of rows, until `visit` says to stop. Answers where to go
-- on; empty at the end.
local function scan(project, pattern, cursor, visit)
  cursor = cursor == '' and '0' or cursor
  local looks = limits.cache_scan_rows / at_a_look
  for _ = 1, looks do
    local found = redis_call('ZSCAN', project.used_key, cursor, 'MATCH', pattern, 'COUNT', at_a_look)
    cursor = found[1]
    local go_on = true
    for i = 1, #found[2], 2 do
      go_on = visit(found[2][i], tonumber(found[2][i + 1]) % cache.unit) and go_on
    end
    if cursor == '0' then return '' end
    if not go_on then return cursor end
  end
  return cursor
end

local function is_cursor(text) return string.find(text, '^%d*$') end

steps[26] = {
  arity = 3,
  check = function(step)
    if not is_cursor(step[4]) then return 'bad_cursor' end
  end,
  apply = function(step)
    local _, name, pattern, cursor = unpack(step, 1, 4)
    local project, count = cache.project(name), 0
    if cursor == '' then
      local at = '0'
      repeat
        local found = redis_call('HSCAN', project.claims_key, at, 'MATCH', pattern, 'COUNT', 1000)
        at = found[1]
        for i = 1, #found[2], 2 do cache.end_claim(project, found[2][i]) end
      until at == '0'
    end
    cursor = scan(project, pattern, cursor, function(key, bytes)
      if cache.forget(project, key, bytes) then count = count + 1 end
      return true
    end)
    return pack('kd', count, cursor)
  end,
}

steps[27] = {
  arity = 2,
  check = function() end,
  apply = function(step)
    local project, most = cache.project(step[2]), step[3]
    redis_call('ZADD', project.tags_key, next_stamp(), '')
    cache.each_claim(project, function(key) hints.cache[#hints.cache + 1] = {project.name, key} end)
    redis_call('DEL', project.claims_key)
    local found = redis_call('ZRANGE', project.used_key, 0, most - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      cache.forget(project, found[i], tonumber(found[i + 1]) % cache.unit)
    end
    local left = redis_call('ZCARD', project.used_key)
    return pack('kd', #found / 2, left > 0 and 'more' or '')
  end,
}

queries[21] = {
  arity = 4,
  answer = function(_, name, pattern, most, cursor)
    local out, seen = {}, {}
    cursor = scan(cache.project(name), pattern, cursor, function(key, bytes)
      if not seen[key] then
        seen[key] = true
        out[#out + 1] = pack(key, bytes)
      end
      return #out < most
    end)
    return pack(#out, cursor) .. concat(out)
  end,
}

queries[22] = {
  arity = 1,
  answer = function(_, name)
    local project, claims = cache.project(name), 0
    cache.each_claim(project, function(_, held) claims = claims + (held and 1 or 0) end)
    return pack(redis_call('ZCARD', project.used_key), project.bytes, claims, project.evicted,
                project.expired)
  end,
}
