-- Many transactions of the usual kinds in one argument: enqueues that are ready at once, into one
-- queue and without a unique key; acknowledgements, and then perhaps a lease from one queue. What
-- they do is what the same steps do elsewhere; here nothing is unpacked that need not be looked at.
--
-- The argument: 3 (a byte); how many parts, and jobs that leases may ask for. Then the parts, of a
-- transaction each but for rows:
--   1  queue, how many jobs; of each what it takes from the queue's settings, priority, length and
--      text of its record from the status on: all or none of them
--   2  how many acknowledgements, whether there is a lease; of each acknowledgement tag, id, the
--      same as text, token, packed result; queue, most jobs, length of the lease (0: the job's
--      own), worker
--   3  a row of transactions with one acknowledgement, a lease of one job, or both: queue, how
--      many, 1 where there are acknowledgements and 2 where there are leases, length of the lease,
--      tag; of each the id of a run, the same as text, token, packed result (none of them where
--      there are but leases), and the worker that takes the next job. They are done side by side
--      where that comes to the same: first every acknowledgement, then the leases
--   4  a row of transactions that make one job each: as 1
--   5  no transaction: what the jobs of the next part carry, a correlation id each or nothing
-- The answer: now; of each transaction 0 and its outcomes, or 1, why it is refused and at which
-- step. Of jobs: whether the settings had a say (1), the id of the first (that of each other is
-- greater by 3), and if they had, of each what they made of it. Of a row of jobs: how many are
-- made, why the others are not, and the same. Of a row of runs: how many bytes there are before
-- the leases; of each transaction the outcome of its acknowledgement, or no attempts (two zero
-- bytes) and why it is refused; how many leases found a job at once, when the next may come, and
-- these jobs; the outcomes of the other leases. The records of the jobs that were leased follow
-- the text as texts of their own: they are large, and putting texts together costs as much as they
-- are long.

local struct_pack, struct_unpack = struct.pack, struct.unpack
local byte = string.byte
local nothing = -2 ^ 54
local done = '\0'

local text, pos  -- the argument, and how far it is read

local function refused(why, at) return struct_pack('>BBc0H', 1, #why, why, at) end

local carried  -- by the jobs of the next part; nil: nothing

local function read_carried()
  local count
  carried = {}
  count, pos = struct_unpack('>H', text, pos)
  for i = 1, count do carried[i], pos = struct_unpack('>Hc0', text, pos) end
end

-- Why a queue takes no job, and for how many there is room; nil for any number.
local function room_of(queue)
  if not queues.may_open(queue) then return 'too_many_queues' end
  return refuse_job(queue, 1)
end

local function pass_jobs(count)
  for _ = 1, count do pos = pos + 6 + struct_unpack('>I4', text, pos + 2) end
end

local function enqueue_all(out)
  local number, count
  number, count, pos = struct_unpack('>HH', text, pos)
  local queue = batch_queues[number]
  local why, room = room_of(queue)
  if why or (room and count > room) then
    pass_jobs(count)
    out[#out + 1] = refused(why or 'queue_full', why and 0 or room)
    return
  end
  local first, said
  pos, first, said = rows.enqueue(queues.open(queue), text, pos, count)
  if carried then correlated.note_jobs(queue, carried, first, count) end
  out[#out + 1] = struct_pack('>BBI7', 0, said and 1 or 0, first) .. (said or '')
end

local function enqueue_row(out)
  local number, count
  number, count, pos = struct_unpack('>HH', text, pos)
  local queue = batch_queues[number]
  local why, room = room_of(queue)
  local taken, first, said = why and 0 or min(count, room or count), 0, nil
  if taken > 0 then pos, first, said = rows.enqueue(queues.open(queue), text, pos, taken) end
  if carried then correlated.note_jobs(queue, carried, first, taken) end
  if taken < count then pass_jobs(count - taken) end
  why = taken < count and (why or 'queue_full') or ''
  out[#out + 1] = struct_pack('>HBc0BI7', taken, #why, why, said and 1 or 0, first) .. (said or '')
end

local alone = {addressed = {}}
local leased = {}
leased.__index = leased

local records

-- A job in the answer: id, token, attempts, end of the lease; its record need not say what the run
-- changes.
function leased:add(_, id, record, _, _, packed_token, packed)
  self.count = self.count + 1
  local out = self.out
  out[#out + 1], records[#records + 1] = text_of(id) .. packed_token .. packed, record
end

-- Jobs that nothing holds back, as long as there are such; how many. `workers`: of each, or the
-- one of all.
local function lease_plainly(queue, most, length, worker, workers, out)
  local given, is_open, made = 0, false, ready.made_in(queue)
  if made then given = rows.start(queue, made, most, length, worker, workers, 0, out, records) end
  while given < most do
    local lane = ready.lane(queue)
    local more = 0
    if lane then
      more = rows.start(queue, lane, most - given, length, worker, workers, given, out, records)
    end
    given = given + more
    if more > 0 then
      is_open = false
    elseif is_open or not ready.open(queue):peek(most - given) then
      break
    else
      -- Now more has been read, or what meant nothing any more was passed over.
      is_open = true
    end
  end
  return given
end

local function can_lease_plainly(queue)
  return queue.number and not queue.paused and queue.settings.is_unbounded
end

local one_number = {}

-- Up to `most` jobs, of which so many are in `out` already: the first of the outcome stands at
-- `at`.
local function lease_rest(number, most, length, worker, given, at, out)
  ready.settle_made()
  local rest = setmetatable({count = given, out = out}, leased)
  one_number[1] = number
  local next_time = lease(one_number, most, length, worker, alone, rest)
  out[at] = struct_pack('>i7I4', next_time or nothing, rest.count)
end

local function lease_some(out)
  local number, most, length, worker, behind = struct_unpack('>HI4I6Bc0', text, pos)
  pos = behind
  if length == 0 then length = nil end
  local at, queue, given = #out + 1, batch_queues[number], 0
  out[at] = ''
  if can_lease_plainly(queue) then
    given = lease_plainly(queue, most, length, worker, nil, out)
    if given == most then
      out[at] = struct_pack('>i7I4', queue.next or nothing, given)
      return
    end
  end
  lease_rest(number, most, length, worker, given, at, out)
end

local function pass_lease() pos = pos + 13 + byte(text, pos + 12) end

local ack_format = '>Bc0I7c16I7I4c0'

-- So many acknowledgements, all of them or none.
local function ack_some(acks, out)
  local first, why, at = pos, nil, nil
  for i = 1, acks do
    local tag, id, _, token, _, behind = struct_unpack(ack_format, text, pos)
    pos = behind
    if not why then why, at = ack_refused(tag, id, token), i - 1 end
  end
  local made = #out + 1
  out[made] = why and refused(why, at) or done
  if why then return false end
  pos = first
  for i = 1, acks do
    local tag, id, name, token, packed_result, behind = struct_unpack(ack_format, text, pos)
    pos, out[made + i] = behind, ack(tag, id, name, token, packed_result)
  end
  return true
end

local function run_some(out)
  local acks, leases, behind = struct_unpack('>HB', text, pos)
  pos = behind
  local fine = ack_some(acks, out)
  if leases == 0 then return end
  if fine then lease_some(out) else pass_lease() end
end

-- One acknowledgement of a row that is not done there.
local function ack_otherwise(tag, id, name, token, packed_result)
  local why = ack_refused(tag, id, token)
  if why then return struct_pack('>HBc0', 0, #why, why), false end
  local answer = ack(tag, id, name, token, packed_result)
  change.trim_ended(false)
  return answer, true
end

-- The outcomes of leases that found nothing at once.
local function lease_others(number, first, last, length, workers, out)
  for i = first, last do
    local at = #out + 1
    out[at] = ''
    lease_rest(number, 1, length, workers[i], 0, at, out)
  end
end

-- Where there are bounds, the run that one transaction ends may be what another waits for: then
-- they are done one after the other.
local function run_in_order(number, count, length, tag, out)
  local acks, leases, all_bytes = {}, {}, 0
  local workers, fine, bytes
  for _ = 1, count do
    pos, workers, fine, bytes = rows.complete(tag, text, pos, 1, acks, ack_otherwise)
    all_bytes = all_bytes + bytes
    lease_others(number, 1, fine, length, workers, leases)
  end
  out[#out + 1] = struct_pack('>I4', all_bytes) .. concat(acks)
  out[#out + 1] = struct_pack('>Hi7', 0, nothing) .. concat(leases)
end

-- Answers the workers that take the next jobs, and how many they are.
local function end_runs(count, tag, out)
  local at = #out + 1
  local workers, fine, bytes
  out[at] = ''
  pos, workers, fine, bytes = rows.complete(tag, text, pos, count, out, ack_otherwise)
  out[at] = struct_pack('>I4', bytes)
  return workers, fine
end

local function begin_runs(number, length, workers, count, out)
  local at, queue, given = #out + 1, batch_queues[number], 0
  out[at] = ''
  if can_lease_plainly(queue) then
    given = lease_plainly(queue, count, length, nil, workers, out)
  end
  out[at] = struct_pack('>Hi7', given, queue.next or nothing)
  if given < count then lease_others(number, given + 1, count, length, workers, out) end
end

local function read_workers(count)
  local workers = {}
  for i = 1, count do
    local worker, behind = struct_unpack('>Bc0', text, pos)
    workers[i], pos = worker, behind
  end
  return workers
end

local only_ends, only_begins = 1, 2

local function run_row(out)
  local number, count, what, length, tag, behind = struct_unpack('>HHBI6Bc0', text, pos)
  if length == 0 then length = nil end
  pos = behind
  if what == only_ends then
    end_runs(count, tag, out)
  elseif what == only_begins then
    begin_runs(number, length, read_workers(count), count, out)
  elseif can_lease_plainly(batch_queues[number]) then
    local workers, fine = end_runs(count, tag, out)
    begin_runs(number, length, workers, fine, out)
  else
    run_in_order(number, count, length, tag, out)
  end
end

local parts_by_kind = {[1] = enqueue_all, [2] = run_some, [3] = run_row, [4] = enqueue_row,
                       [5] = read_carried}

function transact_many(argument)
  text, records, carried = argument, {''}, nil
  local count, asked
  count, asked, pos = struct_unpack('>I4I4', text, 2)
  ready.expect(asked)
  local out = {struct_pack('>i7', now)}
  for _ = 1, count do
    local kind = byte(text, pos)
    pos = pos + 1
    parts_by_kind[kind](out)
    if change.touched then change.trim_ended(false) end
    if kind ~= 5 then carried = nil end
  end
  ready.settle_made()
  ready.expect(0)
  text = nil
  local answered = concat(out)
  if #records == 1 then return answered end
  records[1] = answered
  return records
end
