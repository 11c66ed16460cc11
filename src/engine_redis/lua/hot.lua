-- Many transactions of the usual kinds in one argument: enqueues that are ready at once, into one
-- queue and without a unique key; acknowledgements, and then perhaps a lease from one queue. What
-- they do is what the same steps do elsewhere; here nothing is unpacked that need not be looked at.
--
-- The argument: 3 (a byte); how many acknowledgements, transactions, and jobs leases may ask for, then
-- of each acknowledgement: tag, id, the same as text, token. Then the transactions:
--   1  queue, how many jobs; of each what it takes from the queue's settings, priority, length and
--      text of its record from the status on
--   2  how many acknowledgements, whether there is a lease; the packed results; queue, most jobs,
--      length of the lease (0: the job's own), worker
-- The answer: now; of each transaction 0 and its outcomes, or 1, why it is refused and at which step.

local struct_pack, struct_unpack = struct.pack, struct.unpack
local byte, sub = string.byte, string.sub
local nothing = -2 ^ 54
local done = '\0'

local text, pos  -- of the argument, and how far it is read
local ack_tags, ack_ids, ack_names, ack_tokens, acks_met
local known_stamp  -- what is above it was given away in this call
local now_text

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
  local status, priority, attempts, flags, available, version, its_attempts, own, timeout,
        its_backoff, group, unique, rare_bytes, behind =
      struct_unpack('>BBHHi7i7HI6I6BBHI4', record)
  local rare_text = sub(record, behind, behind + rare_bytes - 1)
  behind = behind + rare_bytes
  backoff = backoff or sub(record, behind, behind + its_backoff - 1)
  attempts_max, level = attempts_max or its_attempts, level and min(level, strongest) or flags % 4
  flags = flags - flags % 4 + level
  return struct_pack('>BBHHi7i7HI6I6BBHI4', status, priority, attempts, flags, available, version,
                     attempts_max, own, timeout, #backoff, group, unique, rare_bytes) ..
             rare_text .. backoff .. sub(record, behind + its_backoff),
         struct_pack('>BBHBc0', 1, level, attempts_max, #backoff, backoff)
end

local function enqueue_some(out)
  local number, count
  number, count, pos = struct_unpack('>HH', text, pos)
  local queue = batch_queues[number]
  local why = not queues.may_open(queue) and 'too_many_queues' or refuse_job(queue, 1)
  local room = not why and room_in(queue)
  if why or (room and count > room) then
    for _ = 1, count do pos = pos + 6 + struct_unpack('>I4', text, pos + 2) end
    out[#out + 1] = refused(why or 'queue_full', why and 0 or room)
    return
  end
  queues.open(queue)
  local tag, head = queue.tag, struct_pack('>BI3i7i7', 0, queue.number, now, now)
  local texts, wanted = jobs.of_tag(tag), hints.wanted
  local lane, its_priority
  local made = #out + 1
  out[made] = done
  for i = 1, count do
    local flags, priority, record, behind = struct_unpack('>BBI4c0', text, pos)
    pos = behind
    local as_asked = '\0'
    if flags > 0 then
      local attempts_max, backoff, level = left_to(queue, flags)
      if attempts_max or backoff or level then
        record, as_asked = with_settings(record, attempts_max, backoff, level)
      end
    end
    -- Its id, when it became available, its version.
    local id = max(state.stamp + 1, now)
    state.stamp = id + 2
    local name = format('%016d', id)
    if priority ~= its_priority then
      lane, its_priority = ready.push_new(queue, priority, 0), priority
    end
    lane[#lane + 1] = name
    local at_priority = 3 * priority + 1
    queue.lanes[at_priority] = queue.lanes[at_priority] + 1
    jobs.note(jobs.last_bucket(tag, id), id, name)
    texts[id] = head .. record
    if wanted then change.hint_job(tag, id) end
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

local till_text, till_is
local one_number = {}

-- Writes a text back; `bucket`: of the one before.
local function write(texts, tag, bucket, id, name, new)
  if not bucket or id < bucket.first or id >= bucket.next then bucket = jobs.bucket_of(tag, id) end
  jobs.note(bucket, id, name)
  texts[id] = new
  if hints.wanted then change.hint_job(tag, id) end
  return bucket
end

local lease_bucket, lease_tag

local large_from = 16  -- leases in a queue

-- Jobs that nothing holds back, as long as there are such; how many.
local function lease_plainly(queue, most, length, worker, out)
  local bulk = later.bulk_of(queue.leases_key)
  if not bulk then return 0 end
  local tag, add, given, stamp = queue.tag, bulk.add, 0, state.stamp
  local texts, at = jobs.of_tag(tag), #out
  while given < most do
    local id, name, record = ready.take_text(queue, texts)
    if not id then
      -- Perhaps nothing has been read yet, or what is next means nothing any more.
      if not ready.open(queue):peek(most - given) then break end
      id, name, record = ready.take_text(queue, texts)
      if not id then break end
    end
    stamp = max(stamp + 1, now)
    local new, till = jobs.text_started(record, id, length, worker, stamp, stamp + 1)
    if not new then
      ready.put_back(queue)
      break
    end
    stamp, given = stamp + 1, given + 1
    if till ~= till_is then till_is, till_text = till, format('%d', till) end
    local count = #add
    add[count + 1], add[count + 2] = till_text, name
    if not queue.next or queue.next > till then queues.due_at(queue, till) end
    lease_bucket = write(texts, tag, lease_bucket, id, name, new)
    out[at + 1], out[at + 2] = struct_pack('>I7I4', id, #new), new
    at = at + 2
  end
  if given > 0 then
    state.stamp = stamp
    local count = queue.count
    count[queued], count[running] = count[queued] - given, count[running] + given
    queues.change(queue)
    if count[running] >= large_from and not queue.is_large then
      queue.is_large, bulk.is_large = true, true
    end
  end
  return given
end

local function lease_some(out)
  local number, most, length, worker, behind = struct_unpack('>HI4I6Bc0', text, pos)
  pos = behind
  if length == 0 then length = nil end
  local at, queue, given = #out + 1, batch_queues[number], 0
  out[at] = ''
  if queue.number and not queue.paused and queue.settings.is_unbounded then
    if lease_tag ~= queue.tag then lease_tag, lease_bucket = queue.tag, nil end
    given = lease_plainly(queue, most, length, worker, out)
    if given == most then
      out[at] = struct_pack('>i7I4', queue.next or nothing, given)
      return
    end
  end
  local leased = setmetatable({count = given, out = out}, runs)
  one_number[1] = number
  local next_time = lease(one_number, most, length, worker, alone, leased)
  out[at] = struct_pack('>i7I4', next_time or nothing, leased.count)
end

local function pass_lease() pos = pos + 13 + byte(text, pos + 12) end

local ack_bucket, ack_tag

-- The queue whose runs end one after the other, how many of them have, and whether each may leave it
-- with more ended jobs than it keeps.
local desk_number, desk_queue, desk_is_exact
local desk_ended = 0

local function open_desk(number)
  if desk_ended > 0 then queues.count_event(desk_queue, now, 2, desk_ended) end
  desk_number, desk_queue, desk_ended = number, number and queues.numbered(number), 0
  if not number then return end
  desk_is_exact = desk_queue.settings.keep_finished_count <= 1000
  queues.change(desk_queue)
end

-- The acknowledgement of a job that is a text and on which nothing else hangs; else nothing.
local function ack_plainly(tag, id, name, packed_result)
  local texts = jobs.of_tag(tag)
  local record = texts[id]
  if type(record) ~= 'string' then return nil end
  local stamp = max(state.stamp + 1, now)
  local new, place, looks = jobs.text_completed(record, id, packed_result, stamp)
  if not new then return nil end
  local high, middle, low = byte(place, 2, 4)
  local number = 65536 * high + 256 * middle + low
  if number ~= desk_number then open_desk(number) end
  local queue = desk_queue
  local leases, ended = later.bulk[queue.leases_key], later.bulk[queue.finished_key]
  if not leases or not ended then
    leases, ended = later.bulk_of(queue.leases_key), later.bulk_of(queue.finished_key)
  end
  if not leases or not ended or not queue.settings.is_unbounded then return nil end
  state.stamp = stamp
  local flags = byte(looks, 5)
  leases.gone[#leases.gone + 1] = name
  local add = ended.add
  local count = #add
  add[count + 1], add[count + 2] = now_text, name .. (flags % 16 >= 8 and 'C' or 'c')
  if queue.count[running] <= 1 then queue.is_large = false end
  if desk_ended == 0 or desk_is_exact then change.note_ended(queue, now) end
  desk_ended = desk_ended + 1
  count = queue.count
  count[running], count[completed] = count[running] - 1, count[completed] + 1
  if ack_tag ~= tag then ack_tag, ack_bucket = tag, nil end
  ack_bucket = write(texts, tag, ack_bucket, id, name, new)
  return sub(looks, 2, 3) .. (flags % 8 >= 4 and '\1' or '\0') .. sub(place, 12)
end

local function ack_one(i, packed_result)
  local tag, id = ack_tags[i], ack_ids[i]
  if ack_tokens[i] <= known_stamp then
    local changed = ack_plainly(tag, id, ack_names[i], packed_result)
    if changed then return changed end
  end
  local attempts, run_at, cancel = ack(tag, id, packed_result)
  return struct_pack('>HBi7', attempts, cancel and 1 or 0, run_at)
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
    local packed_result, behind = struct_unpack('>I4c0', text, pos)
    pos = behind
    if not why then out[#out + 1] = ack_one(i, packed_result) end
  end
  if leases > 0 then
    if why then pass_lease() else lease_some(out) end
  end
end

local function read_acks(count)
  ack_tags, ack_ids, ack_names, ack_tokens, acks_met = {}, {}, {}, {}, 0
  local first = 1  -- of those with the same tag
  for i = 1, count do
    local tag, id, name, token, behind = struct_unpack('>Bc0I7c16I7', text, pos)
    pos = behind
    ack_tags[i], ack_ids[i], ack_names[i], ack_tokens[i] = tag, id, name, token
    if tag ~= ack_tags[first] then
      jobs.prefetch_named(ack_tags[first], {unpack(ack_ids, first, i - 1)},
                          {unpack(ack_names, first, i - 1)})
      first = i
    end
  end
  if first == 1 then
    if count > 0 then jobs.prefetch_named(ack_tags[1], ack_ids, ack_names) end
  else
    jobs.prefetch_named(ack_tags[first], {unpack(ack_ids, first, count)},
                        {unpack(ack_names, first, count)})
  end
end

function transact_many(argument)
  text, known_stamp, now_text = argument, state.stamp, format('%d', now)
  lease_bucket, ack_bucket, desk_number, desk_ended = nil, nil, nil, 0
  local acks, count, asked
  acks, count, asked, pos = struct_unpack('>I4I4I4', text, 2)
  read_acks(acks)
  ready.expect(asked)
  local out = {struct_pack('>i7', now)}
  for _ = 1, count do
    pos = pos + 1
    if byte(text, pos - 1) == 1 then
      enqueue_some(out)
    else
      run_some(out)
      change.trim_ended(false)
    end
  end
  ready.expect(0)
  open_desk(nil)
  text = nil
  return concat(out)
end
