-- Tries every command of the script once, on keys of its own, so that a user who may not use one of
-- them is told at the opening, and not in the middle of something.

local hash, list, names, members = 'probe:hash', 'probe:list', 'probe:names', 'probe:members'

local tried = {
  {'TYPE', hash}, {'EXISTS', hash}, {'HSET', hash, 'a', 1}, {'HGET', hash, 'a'},
  {'HMGET', hash, 'a'}, {'HGETALL', hash}, {'HKEYS', hash}, {'HLEN', hash},
  {'HINCRBY', hash, 'a', 1}, {'HDEL', hash, 'a'}, {'RPUSH', list, 1}, {'LPUSH', list, 1},
  {'LINDEX', list, 0}, {'LLEN', list}, {'LRANGE', list, 0, 1}, {'LTRIM', list, 0, 1},
  {'LPOP', list}, {'RENAME', list}, {'ZADD', names, 0, 'a'}, {'ZRANGE', names, 0, 0},
  {'ZRANGEBYSCORE', names, 0, 1}, {'ZREVRANGEBYSCORE', names, 1, 0},
  {'ZRANGEBYLEX', names, '-', '+'}, {'ZLEXCOUNT', names, '-', '+'}, {'ZREM', names, 'a'}, {'ZREMRANGEBYRANK', names, 0, 0},
  {'SADD', members, 1}, {'SMEMBERS', members}, {'SREM', members, 1}, {'SET', 'probe', 1, 'EX', 60},
  {'GET', 'probe'}, {'MGET', 'probe'}, {'GETRANGE', 'probe', 0, 0}, {'SETRANGE', 'probe', 0, 1}, {'EXPIRE', list, 60},
  {'ZCOUNT', names, 0, 1}, {'ZREVRANGE', names, 0, 0}, {'ZREMRANGEBYSCORE', names, 0, 1},
  {'PEXPIRE', list, 60000}, {'DEL', hash}, {'DEL', list}, {'DEL', names}, {'DEL', members},
  {'ZMSCORE', names, 'a'}, {'ZSCORE', names, 'a'}, {'ZCARD', names}, {'ZSCAN', names, 0},
  {'HSCAN', hash, 0}, {'UNLINK', names},
  {'XADD', 'probe:stream', '1-1', 'e', ''}, {'XRANGE', 'probe:stream', '-', '+'},
  {'XREVRANGE', 'probe:stream', '+', '-'}, {'XTRIM', 'probe:stream', 'MINID', '1'},
  {'DEL', 'probe:stream'},
  {'HEXISTS', hash, 'a'}, {'ZREVRANGEBYLEX', names, '+', '-'},
}

local function is_refused(answer)
  if type(answer) ~= 'table' or not answer.err then return false end
  return string.find(answer.err, 'NOPERM') or string.find(answer.err, "can't run") or
         string.find(answer.err, "can't access") or string.find(answer.err, 'ACL')
end

function state.check_permissions()
  for _, words in ipairs(tried) do
    local command, key = words[1], prefix .. words[2]
    -- Its second argument is a key as well.
    if command == 'RENAME' then words[3] = key end
    local answer = redis.pcall(command, key, unpack(words, 3))
    if type(answer) == 'table' and answer.err and string.find(answer.err, '^WRONGTYPE') then
      error({err = 'WRONGTYPE ' .. key .. ' is of another type'})
    end
    if is_refused(answer) then
      error({err = "NOPERM this user has no permissions to run the '" .. string.lower(command) ..
                   "' command on the key " .. key})
    end
  end
end
