-- The first answers of repeated requests, for a day.
--
--   idempotency          hash: project, route, key -> fingerprint, time, outcomes, packed
--   idempotency:by_time  sorted set: the same names by their time

local records_key, times_key

at_each_store(function()
  records_key, times_key = prefix .. 'idempotency', prefix .. 'idempotency:by_time'
end)

-- Some of those that are old, with every call. True: there is none.
function idempotency.forget_old()
  local old = redis_call('ZRANGEBYSCORE', times_key, '-inf', now - limits.idempotency_kept,
                         'LIMIT', 0, 1000)
  if #old == 0 then return true end
  in_pieces('HDEL', records_key, old)
  in_pieces('ZREM', times_key, old)
end

local function replayed_outcome(text)
  local off, kind = unpack_some(text, 1, 0)
  if kind == 'E' then
    local _, duplicate, replaced, tag, id = unpack_some(text, 4, off)
    return pack('E', duplicate, replaced) .. answers.job(tag, id, jobs.find(tag, id))
  end
  if kind ~= 'l' then return text end
  local next_time, count
  off, next_time, count = unpack_some(text, 2, off)
  local out = {pack('l', next_time, count)}
  for i = 1, count do
    local token, leased_until, tag, id
    off, token, leased_until, tag, id = unpack_some(text, 4, off)
    -- The job as it is by now.
    out[i + 1] = pack(token, leased_until, nil, nil, nil) .. answers.job(tag, id, jobs.find(tag, id))
  end
  return concat(out)
end

-- The answer of then, or why the key cannot be used; nil where it is new.
function idempotency.find(name, fingerprint)
  local kept = redis_call('HGET', records_key, name)
  if not kept then
    if redis_call('HLEN', records_key) < limits.idempotency_keys then return nil end
    return nil, 'idempotency_store_full'
  end
  local off, its_fingerprint, _, count = unpack_some(kept, 3, 0)
  if its_fingerprint ~= fingerprint then return nil, 'idempotency_mismatch' end
  local out = {pack('+', true, count)}
  local outcomes = {unpack_some(kept, count, off)}
  for i = 1, count do out[i + 1] = replayed_outcome(outcomes[i + 1]) end
  return concat(out)
end

function idempotency.keep(name, fingerprint, outcomes)
  local text = {pack(fingerprint, now, #outcomes)}
  for i, outcome in ipairs(outcomes) do text[i + 1] = pack(outcome) end
  redis_call('HSET', records_key, name, concat(text))
  redis_call('ZADD', times_key, now, name)
end
