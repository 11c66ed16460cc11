-- Many transactions of the usual kinds in one argument: enqueues that are ready at once, into one
-- queue and without a unique key; acknowledgements, and then perhaps a lease from one queue. What
-- they do is what the same steps do elsewhere; here nothing is unpacked that need not be looked at.
--
-- The argument: 3 (a byte); how many acknowledgements, transactions, and jobs a lease may ask for,
-- then of each acknowledgement: tag, id, the same as text, token. Then the transactions:
--   1  queue, how many jobs; of each what it takes from the queue's settings, priority, length and
--      text of its record from the status on
--   2  how many acknowledgements, whether there is a lease; the packed results; queue, most jobs,
--      length of the lease (0: the job's own), worker
-- The answer: now; of each transaction 0 and its outcomes or 1, why it is refused, and at which step.

local struct_pack, struct_unpack = struct.pack, struct.unpack
local sub = string.sub
local nothing = -2 ^ 54
local done = '\0'

local text, pos  -- of the argument, and how far it is read
local ack_tags, ack_ids, ack_names, ack_tokens, acks_met

local function refused(why, at) return struct_pack('>BBc0H', 1, #why, why, at) end

-- What an enqueue takes from the settings: most attempts, backoff, level; nil what is its own.
local function left_to(queue, flags)
  local store, own = state.defaults, queue.settings
  return flags % 2 >= 1 and (own.attempts_max or store.attempts_max) or nil,
         flags % 4 >= 2 and (own.backoff or store.backoff) or nil,
         flags >= 4 and (own.level or store.level) or nil
end

-- The record with these in it.
local function with_settings(record, attempts_max, backoff, level)
  local status, priority, attempts, flags, available, version, its_attempts, lease, timeout,
        its_backoff, group, unique, rare_bytes, behind = struct_unpack('>BBHHi7i7HI6I6BBHI4', record)
  local rare_text = sub(record, behind, behind + rare_bytes - 1)
  behind = behind + rare_bytes
  backoff = backoff or sub(record, behind, behind + its_backoff - 1)
  attempts_max, level = attempts_max or its_attempts, level and min(level, strongest) or flags % 4
  flags = flags - flags % 4 + level
  return struct_pack('>BBHHi7i7HI6I6BBHI4', status, priority, attempts, flags, available, version,
                     attempts_max, lease, timeout, #backoff, group, unique, rare_bytes) ..
             rare_text .. backoff .. sub(record, behind + its_backoff),
         struct_pack('>BBHBc0', 1, level, attempts_max, #backoff, backoff)
end

local function pass_jobs(count)
  for _ = 1, count do
    local _, _, bytes, at = struct_unpack('>BBI4', text, pos)
    pos = at + bytes
  end
end

local function enqueue_some(out)
  local number, count
  number, count, pos = struct_unpack('>HH', text, pos)
  local queue = batch_queues[number]
  local why = not queues.may_open(queue) and 'too_many_queues' or refuse_job(queue, 1)
  local room = not why and room_in(queue)
  if why or (room and count > room) then
    pass_jobs(count)
    out[#out + 1] = refused(why or 'queue_full', why and 0 or room)
    return
  end
  queues.open(queue)
  local tag, head = queue.tag, struct_pack('>BI3i7i7', 0, queue.number, now, now)
  local made = #out + 1
  out[made] = done
  for i = 1, count do
    local flags, priority, bytes, at = struct_unpack('>BBI4', text, pos)
    pos = at + bytes
    local record, as_asked = sub(text, at, pos - 1), '\0'
    if flags > 0 then
      local attempts_max, backoff, level = left_to(queue, flags)
      if attempts_max or backoff or level then
        record, as_asked = with_settings(record, attempts_max, backoff, level)
      end
    end
    -- Its id, when it became available, its version.
    local id = max(state.stamp + 1, now)
    state.stamp = id + 2
    local name = text_of(id)
    ready.push_new(queue, name, priority)
    jobs.add(tag, id, name, head .. record)
    change.hint_job(tag, id)
    out[made + i] = struct_pack('>I7', id) .. as_asked
  end
  queue.count[queued] = queue.count[queued] + count
  queues.count_event(queue, now, 1, count)
  change.hint_available(queue, count)
end

local alone = {addressed = {}}
local runs = {}
runs.__index = runs

function runs:add(_, id, record)
  self.count = self.count + 1
  local out = self.out
  out[#out + 1] = struct_pack('>I7I4', id, #record)
  out[#out + 1] = record
end

local function lease_some(out)
  local number, most, length, bytes
  number, most, length, bytes, pos = struct_unpack('>HI4I6B', text, pos)
  local worker = sub(text, pos, pos + bytes - 1)
  pos = pos + bytes
  local at = #out + 1
  out[at] = ''
  local leased = setmetatable({count = 0, out = out}, runs)
  local next_time = lease({number}, most, length > 0 and length or nil, worker, alone, leased)
  out[at] = struct_pack('>i7I4', next_time or nothing, leased.count)
end

local function pass_lease()
  local bytes
  bytes, pos = struct_unpack('>B', text, pos + 12)
  pos = pos + bytes
end

local function run_some(out)
  local acks, leases
  acks, leases, pos = struct_unpack('>HB', text, pos)
  local first, why, at = acks_met + 1, nil, nil
  acks_met = acks_met + acks
  for i = first, acks_met do
    why = ack_refused(ack_tags[i], ack_ids[i], ack_tokens[i])
    if why then
      at = i - first
      break
    end
  end
  out[#out + 1] = why and refused(why, at) or done
  for i = first, acks_met do
    local bytes, begins = struct_unpack('>I4', text, pos)
    pos = begins + bytes
    if not why then
      local attempts, run_at, cancel =
          ack(ack_tags[i], ack_ids[i], sub(text, begins, pos - 1), ack_names[i])
      out[#out + 1] = struct_pack('>HBi7', attempts, cancel and 1 or 0, run_at)
    end
  end
  if leases > 0 then
    if why then pass_lease() else lease_some(out) end
  end
end

local function read_acks(count)
  local wanted = {}
  ack_tags, ack_ids, ack_names, ack_tokens, acks_met = {}, {}, {}, {}, 0
  for i = 1, count do
    local tag, id, name, token, bytes
    bytes, pos = struct_unpack('>B', text, pos)
    tag = sub(text, pos, pos + bytes - 1)
    id, name, token, pos = struct_unpack('>I7c16I7', text, pos + bytes)
    ack_tags[i], ack_ids[i], ack_names[i], ack_tokens[i] = tag, id, name, token
    local ids = wanted[tag]
    if not ids then
      ids = {}
      wanted[tag] = ids
    end
    ids[#ids + 1] = id
  end
  for tag, ids in pairs(wanted) do jobs.prefetch(tag, ids) end
end

function transact_many(argument)
  text = argument
  local acks, count, asked
  acks, count, asked, pos = struct_unpack('>I4I4I4', text, 2)
  read_acks(acks)
  ready.expect(asked)
  local out = {struct_pack('>i7', now)}
  for _ = 1, count do
    local kind
    kind, pos = struct_unpack('>B', text, pos)
    if kind == 1 then enqueue_some(out) else run_some(out) end
    change.trim_ended(false)
  end
  ready.expect(0)
  text = nil
  return concat(out)
end
