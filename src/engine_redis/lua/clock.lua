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
  queues.begin(false)
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
    all[2 * number - 1], all[2 * number] = '0', tostring(number)
  end
  in_pieces('ZADD', prefix .. 'forget', all)
end

-- What the state is kept as: stamp, clock, epoch, its stamp and time, when somebody was last heard,
-- queues, when something is due, when old things were last looked for, until when somebody waits
-- for changes of jobs, and for locks, stores, calls.
local format_of_state = '>I7I7I4I7I7I7I4i7I7I7I7I4I7'
-- And of each store: when it was last heard, and the number of its last call.
local format_of_store = '>I7I7'
state.never = 2 ^ 53
state.store_prefix = 's:'

local struct_pack, struct_unpack = struct.pack, struct.unpack

-- Of the last call, as long as nobody else has changed the store since: then what is known of its
-- queues need not be read again.
local last_key, last_text, last_defaults
-- Somebody has, since work last began.
local cold = true
local has_layout, store_field

local function refuse_layout(layout)
  if layout > limits.layout then error({err = 'NEWERLAYOUT ' .. layout}) end
  error({err = 'OLDERLAYOUT these keys are of layout ' .. layout .. ', this millrace uses ' ..
               limits.layout .. ': let the version that made them finish, or use another prefix'})
end

function state.load(asked_time, store)
  store_field = state.store_prefix .. store
  local kept = redis_call('HMGET', keys[1], 'layout', 'numbers', 'defaults', store_field)
  local text, defaults, own = kept[2], kept[3], kept[4]
  has_layout = kept[1]
  if has_layout and tonumber(has_layout) ~= limits.layout then
    refuse_layout(tonumber(has_layout) or 0)
  end
  if not text or text ~= last_text or keys[1] ~= last_key or defaults ~= last_defaults then
    cold = true
    live.forget_room()
  end
  last_text = nil
  local real = real_time()
  local seen
  if text then
    state.stamp, now, state.epoch, state.epoch_stamp, state.epoch_now, seen, state.queues,
        state.next_due, state.swept, state.watched_until, state.locks_until, state.stores,
        state.calls = struct_unpack(format_of_state, text)
  else
    state.stamp, now, state.queues, state.stores = 0, 0, 0, 0
    state.epoch, state.epoch_stamp, state.epoch_now = 0, 0, 0
    state.next_due, state.swept, state.watched_until, state.locks_until, state.calls = 0, 0, 0, 0, 0
  end
  now = max(now, asked_time or real)
  -- Leases and counts from before the epoch are seen with other eyes.
  if not state.defaults or defaults ~= state.defaults_text then state.set_defaults(defaults) end
  state.was_away = seen and real - seen > state.away_after
  state.real, state.due_changed = real, false
  state.last_number = nil
  if own then state.last_seen, state.last_number = struct_unpack(format_of_store, own) end
end

-- Whether nobody else has changed anything since this was last asked.
function state.take_warmth()
  local warm = not cold
  cold = false
  return warm
end

-- Something is due at that time. What it stands for may be gone until then: then it is found out
-- that nothing is.
function state.due_by(time)
  if time < state.next_due then state.next_due = time end
end

-- The engine begins to live: each lease has one full interval from now, and what is counted since
-- the opening begins anew. Nothing is written for it but this; whoever meets an older lease or
-- count takes the epoch into account.
function state.begin_epoch()
  state.epoch = state.epoch + 1
  state.epoch_stamp = next_stamp()
  state.epoch_now = now
  queues.begin(false)
end

-- When a store was last heard, from what is kept of it.
function state.heard_at(text) return (struct_unpack(format_of_store, text)) end

-- The last that a call writes. `number`: of the last call of this store that has happened; nil: it
-- takes its leave. `run_id`: the server's, at an opening.
function state.save(number, run_id)
  state.calls = state.calls + 1
  last_text = struct_pack(format_of_state, state.stamp, now, state.epoch, state.epoch_stamp,
                          state.epoch_now, state.real, state.queues, state.next_due,
                          state.swept, state.watched_until, state.locks_until, state.stores,
                          state.calls)
  last_key, last_defaults = keys[1], state.defaults_text or false
  if not number then
    redis_call('HSET', keys[1], 'numbers', last_text)
    redis_call('HDEL', keys[1], store_field)
    return
  end
  local own = struct_pack(format_of_store, state.real, number)
  redis_call('HSET', keys[1], 'numbers', last_text, store_field, own)
  if not has_layout then redis_call('HSET', keys[1], 'layout', tostring(limits.layout)) end
  if run_id then redis_call('HSET', keys[1], 'run_id', run_id) end
end
