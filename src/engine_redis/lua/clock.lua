-- The store's clock, its stamps, and who uses it.

-- Without a word for so long everybody was away, and nobody could renew a lease.
state.away_after = 15000000

local second, second_text = 0, nil

local function real_time()
  local time = redis_call('TIME')
  local text = time[1]
  if text ~= second_text then second, second_text = tonumber(text) * 1000000, text end
  return second + tonumber(time[2])
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

-- What the state is kept as: stamp, clock, when somebody was last heard, when something is due, calls;
-- then what seldom changes: epoch, its stamp and time, queues, when old things were last looked for,
-- until when somebody waits for changes of jobs, and for locks, stores.
local often_format, seldom_format = '>I7I7I7i7I7', '>I4I7I7I4I7I7I7I4'
local format_of_state = often_format .. string.sub(seldom_format, 2)
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
local has_layout, its_store, store_field
local layout_text = format('%d', limits.layout)
local own_text, own_number  -- of a store

local function refuse_layout(layout)
  if layout > limits.layout then error({err = 'NEWERLAYOUT ' .. layout}) end
  error({err = 'OLDERLAYOUT these keys are of layout ' .. layout .. ', this millrace uses ' ..
               limits.layout .. ': let the version that made them finish, or use another prefix'})
end

-- What it is kept as; nil: nothing is yet.
function state.read(text)
  cold = true
  state.pack_anew()
  live.forget()
  if counts.forget then counts.forget() end
  if limiter.forget_blocks then limiter.forget_blocks() end
  local seen
  if text then
    state.stamp, now, seen, state.next_due, state.calls, state.epoch, state.epoch_stamp,
        state.epoch_now, state.queues, state.swept, state.watched_until, state.locks_until,
        state.stores = struct_unpack(format_of_state, text)
    return seen
  end
  state.stamp, now, state.next_due, state.calls = 0, 0, 0, 0
  state.epoch, state.epoch_stamp, state.epoch_now, state.queues = 0, 0, 0, 0
  state.swept, state.watched_until, state.locks_until, state.stores = 0, 0, 0, 0
end

-- The numbers, the defaults, and what is kept of the store. Whoever changes anything changes the
-- numbers: as long as they are those of the last call, all else is what it was.
local function read_state(opening)
  if last_text and keys[1] == last_key and not opening then
    local kept = redis_call('HMGET', last_key, 'numbers', store_field)
    if kept[1] == last_text then return last_text, last_defaults, kept[2], true end
  end
  local kept = redis_call('HMGET', keys[1], 'layout', 'numbers', 'defaults', store_field)
  has_layout = kept[1]
  if has_layout and has_layout ~= layout_text then refuse_layout(tonumber(has_layout) or 0) end
  return kept[2], kept[3], kept[4], false
end

function state.load(asked_time, store, opening)
  if store ~= its_store then its_store, store_field = store, state.store_prefix .. store end
  local text, defaults, own, is_as_before = read_state(opening)
  local real, seen = real_time(), state.real
  if not is_as_before then seen = state.read(text) end
  last_text = nil
  now = max(now, asked_time or real)
  -- Leases and counts from before the epoch are seen with other eyes.
  if not state.defaults or defaults ~= state.defaults_text then state.set_defaults(defaults) end
  state.was_away = seen and real - seen > state.away_after
  state.real, state.due_changed = real, false
  if own and own ~= own_text then
    local _, number = struct_unpack(format_of_store, own)
    own_text, own_number = own, number
  end
  state.last_number = own and own_number or nil
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
  state.pack_anew()
  queues.begin(false)
end

-- When a store was last heard, from what is kept of it.
function state.heard_at(text) return (struct_unpack(format_of_store, text)) end

local seldom_text, its_queues

-- What seldom changes has: it is packed anew.
function state.pack_anew() seldom_text = nil end

local function state_text()
  local queue_count = state.queues
  if not seldom_text or queue_count ~= its_queues then
    its_queues = queue_count
    seldom_text = struct_pack(seldom_format, state.epoch, state.epoch_stamp, state.epoch_now,
                              queue_count, state.swept, state.watched_until, state.locks_until,
                              state.stores)
  end
  return struct_pack(often_format, state.stamp, now, state.real, state.next_due, state.calls) ..
             seldom_text
end

-- The last that a call writes. `number`: of the last call of this store that has happened; nil: it
-- takes its leave. `run_id`: the server's, at an opening.
function state.save(number, run_id)
  state.calls = state.calls + 1
  last_text = state_text()
  last_key, last_defaults = keys[1], state.defaults_text or false
  if not number then
    redis_call('HSET', keys[1], 'numbers', last_text)
    redis_call('HDEL', keys[1], store_field)
    return
  end
  own_text, own_number = struct_pack(format_of_store, state.real, number), number
  redis_call('HSET', keys[1], 'numbers', last_text, store_field, own_text)
  if not has_layout then
    redis_call('HSET', keys[1], 'layout', layout_text)
    has_layout = layout_text
  end
  if run_id then redis_call('HSET', keys[1], 'run_id', run_id) end
end
