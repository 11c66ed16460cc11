-- The store's clock, its stamps, and who uses it.

-- Without a word for so long everybody was away, and nobody could renew a lease.
state.away_after = 15000000

local function real_time()
  local time = redis_call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- A number that is greater than every one before it, in this store: ids, tokens, versions.
function next_stamp()
  local stamp = state.stamp + 1
  if stamp < now then stamp = now end
  state.stamp = stamp
  return stamp
end

-- What queues leave to the store.
function state.set_defaults(text)
  state.defaults_text, state.defaults = text, queues.defaults_of(text)
end

-- Whoever opens the store decides on them. How long jobs are kept may hang on them.
function state.change_defaults(text)
  if text == (state.defaults_text or nil) then return end
  state.set_defaults(text)
  if text then
    redis_call('HSET', keys[1], 'defaults', text)
  else
    redis_call('HDEL', keys[1], 'defaults')
  end
  local all = {}
  for number = 1, state.queues do
    all[2 * number - 1], all[2 * number] = 0, number
  end
  in_pieces('ZADD', prefix .. 'forget', all)
end

function state.load(asked_time)
  local kept = redis_call('HMGET', keys[1], 'layout', 'stamp', 'now', 'epoch', 'epoch_stamp',
                          'epoch_now', 'seen', 'queues', 'defaults')
  if kept[1] and tonumber(kept[1]) > limits.layout then
    error({err = 'NEWERLAYOUT ' .. kept[1]})
  end
  local real = real_time()
  state.stamp = tonumber(kept[2] or 0)
  now = max(tonumber(kept[3] or 0), asked_time or real)
  state.epoch = tonumber(kept[4] or 0)
  -- Leases and counts from before it are seen with other eyes.
  state.epoch_stamp = tonumber(kept[5] or 0)
  state.epoch_now = tonumber(kept[6] or 0)
  state.seen = tonumber(kept[7] or real)
  state.queues = tonumber(kept[8] or 0)
  if not state.defaults or kept[9] ~= state.defaults_text then state.set_defaults(kept[9]) end
  state.was_away = kept[7] and real - state.seen > state.away_after
  state.real = real
end

-- The engine begins to live: each lease has one full interval from now, and what is counted since
-- the opening begins anew. Nothing is written for it but this; whoever meets an older lease or
-- count takes the epoch into account.
function state.begin_epoch()
  state.epoch = state.epoch + 1
  state.epoch_stamp = next_stamp()
  state.epoch_now = now
end

function state.save()
  later.add('fields', keys[1], 'layout', limits.layout, 'stamp', state.stamp, 'now', now, 'epoch',
            state.epoch, 'epoch_stamp', state.epoch_stamp, 'epoch_now', state.epoch_now, 'seen',
            state.real, 'queues', state.queues)
end
