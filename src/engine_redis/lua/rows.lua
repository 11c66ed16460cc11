-- Many jobs that are made, and many runs that end or begin, one after the other, with as little as
-- can be done for each. Runs come to what `runs.complete` and `runs.start` make of each, and
-- whatever is unusual is left to those.

local struct_pack, struct_unpack = struct.pack, struct.unpack
local sub, digits, page_of = string.sub, runs.digits, runs.page_of
local no_page = {first = -100, tokens = {}}

-- The ends of leases in a page, of which many are the same.
local ends_page, ends_till, ends_count = nil, nil, 0

-- The queue whose runs end one after the other, and how many of them have.
local desk, desk_ended = nil, 0

local function give_back_ends()
  if ends_count > 0 then runs.remove_ends(ends_page, desk, ends_till, ends_count) end
  ends_count = 0
end

-- Counts what has ended.
function rows.close_desk()
  give_back_ends()
  if desk_ended == 0 then return end
  local count = desk.count
  count[running], count[completed] = count[running] - desk_ended, count[completed] + desk_ended
  queues.count_event(desk, now, 2, desk_ended)
  queues.change(desk)
  change.note_ended(desk, now)
  if not desk.settings.is_unbounded then
    for _ = 1, desk_ended do change.make_room(desk) end
  end
  desk_ended = 0
end

local function open_desk(queue)
  if queue == desk then return end
  rows.close_desk()
  touch(rows)
  desk = queue
end

function rows.begin_anew() desk, desk_ended, ends_count = nil, 0, 0 end

local row_format = '>I7c16c7I4c0Bc0'
local answer_bytes = 10

-- Acknowledges the runs of a row; `text` from `pos` on has of each its id, the same as text,
-- token, packed result, worker. `out` gets what `runs.complete` answers of each, `otherwise` does
-- what is not done here: it answers the same and whether the acknowledgement is accepted. Answers
-- the place behind, the workers of those that are accepted, how many those are, and the bytes of
-- all answers.
function rows.complete(tag, text, pos, count, out, otherwise)
  local met, page = jobs.of_tag(tag), no_page
  local first, tokens = page.first, page.tokens
  local tills, list, at, names
  local stamp, workers, fine, made, other_bytes = state.stamp, {}, 0, #out, 0
  local result, first_part, last_part
  for _ = 1, count do
    local id, name, token, packed_result, worker, behind = struct_unpack(row_format, text, pos)
    pos = behind
    if id - id % 100 ~= first then
      give_back_ends()
      page = page_of(tag, id) or no_page
      first, tokens, tills, list, at = page.first, page.tokens, page.tills, page.list, page.at
      local queue = page.queue and queues.numbered(page.queue)
      if queue and not change.keeps_exactly(queue) then
        open_desk(queue)
        names = ended.names(desk, page.bucket)
        runs.note(page)
      else
        first, tokens = -100, no_page.tokens
      end
    end
    if result ~= packed_result then
      result, first_part, last_part = packed_result, runs.ending(packed_result)
    end
    made = made + 1
    if tokens[id] == token and first_part and not (jobs.any_met and met[id]) then
      stamp = stamp + 1
      if stamp < now then stamp = now end
      local place, till = at[id], tills[id]
      local run = list[place]
      list[place] = digits[id - first] .. first_part .. sub(run, 5, 24) .. token .. last_part ..
                    struct_pack('>I7', stamp)
      tokens[id], tills[id] = nil, nil
      if till ~= ends_till or ends_count == 0 then
        give_back_ends()
        ends_page, ends_till = page, till
      end
      ends_count, desk_ended = ends_count + 1, desk_ended + 1
      names[#names + 1] = name
      fine = fine + 1
      workers[fine], out[made] = worker, sub(run, 8, 17)
      if hints.wanted then change.hint_job(tag, id) end
    else
      rows.close_desk()
      state.stamp = stamp
      local number = struct_unpack('>I7', token)
      local answer, is_accepted = otherwise(tag, id, name, number, packed_result)
      stamp, first, out[made] = state.stamp, -100, answer
      other_bytes = other_bytes + #answer - answer_bytes
      if is_accepted then
        fine = fine + 1
        workers[fine] = worker
      end
    end
  end
  state.stamp = stamp
  rows.close_desk()
  return pos, workers, fine, count * answer_bytes + other_bytes
end

local function note_ends(page, queue, till, count)
  runs.add_ends(page, queue, till, count)
  if not queue.next or queue.next > till then queues.due_at(queue, till) end
end

-- Leases the next jobs of a lane as long as nothing holds them back; how many. `worker`, or
-- `workers` from the one behind `before` on. `out` gets id, token, and attempts with the end of
-- the lease, of each, `records` their texts.
function rows.start(queue, lane, most, length, worker, workers, before, out, records)
  local met, texts = jobs.known_of_tag(queue.tag), lane.texts
  local elements, names, stamps = lane.elements, lane.names, lane.stamps
  local tag, number, priority, taken = queue.tag, queue.number, lane.priority, lane.taken
  local stamp, given, made, kept = state.stamp, 0, #out, #records
  local first, places, page, list, at, tokens, tills = -100, 0, nil, nil, nil, nil, nil
  local looks, its, its_worker, head, tail, till, answer
  local begun = 0  -- in that page, with that end
  while given < most do
    local id = elements[taken + 1]
    local text = texts[taken + 1]
    if not text or stamps[taken + 1] or (jobs.any_met and met[id] ~= nil) then break end
    local next_worker, next_looks = worker or workers[before + given + 1], sub(text, 19, 56)
    if looks ~= next_looks or its_worker ~= next_worker then
      its = runs.shape(queue, next_looks, length, next_worker)
      if its.is_grouped or its.priority ~= priority or not its.is_fresh or not its.is_plain then
        break
      end
      if begun > 0 and its.till ~= till then
        note_ends(page, queue, till, begun)
        begun = 0
      end
      looks, its_worker = next_looks, next_worker
      head, tail, till, answer = its.head, its.tail, its.till, its.answer
    end
    if id - id % 100 ~= first then
      if begun > 0 then note_ends(page, queue, till, begun) end
      page, begun, first = page_of(tag, id), 0, id - id % 100
      runs.note_queue(page, number)
      list, at, tokens, tills = page.list, page.at, page.tokens, page.tills
      places = #list
      runs.note(page)
    end
    local token = stamp + 1
    if token < now then token = now end
    stamp, taken, given, begun, places = token + 1, taken + 1, given + 1, begun + 1, places + 1
    local packed = struct_pack('>I7', token)
    list[places] = digits[id - first] .. head .. sub(text, 12, 18) .. tail .. packed
    at[id], tokens[id], tills[id] = places, packed, till
    made, kept = made + 1, kept + 1
    out[made], records[kept] = names[taken] .. packed .. answer, text
    if hints.wanted then change.hint_job(tag, id) end
  end
  if given == 0 then return 0 end
  note_ends(page, queue, till, begun)
  lane.taken, state.stamp = taken, stamp
  local count = queue.count
  count[queued], count[running] = count[queued] - given, count[running] + given
  queues.change(queue)
  return given
end

-- The last three digits of an id.
local endings = runs.made_once(function(ending) return format('%03d', ending) end)

local job_format = '>BBI4c0'

-- What an enqueue takes from the settings: most attempts, backoff, level, false where that is its
-- own; nil: nothing.
local function left_to(queue, flags)
  local store, own = state.defaults, queue.settings
  local attempts_max = flags % 2 >= 1 and (own.attempts_max or store.attempts_max)
  local backoff = flags % 4 >= 2 and (own.backoff or store.backoff)
  local level = flags >= 4 and (own.level or store.level)
  if attempts_max or backoff or level then return {attempts_max, backoff, level} end
end

-- The record with these in it, and what the client is told of them.
local function with_settings(record, settings)
  local attempts_max, backoff, level = settings[1], settings[2], settings[3]
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

local as_asked = '\0'

-- Makes so many jobs; `text` from `pos` on has of each what it takes from the queue's settings (1,
-- 2, 4), priority and record from the status on. Answers the place behind, the id of the first
-- (that of each other is greater by 3), and of each what the settings made of it, unless that is
-- nothing for all.
function rows.enqueue(queue, text, pos, count)
  local tag, head = queue.tag, struct_pack('>BI3i7i7', 0, queue.number, now, now)
  local wanted = hints.wanted
  local first_id = max(state.stamp + 1, now)
  local id, first, bucket, fields, field = first_id - 3, -100, nil, nil, 0
  local lane, places, pushed, its_priority, thousands, leading = nil, 0, 0, nil, nil, nil
  local direct  -- where they wait for the leases behind them
  local its_flags, settings, said
  for i = 1, count do
    local flags, priority, record, behind = struct_unpack(job_format, text, pos)
    pos, id = behind, id + 3
    if flags ~= its_flags then its_flags, settings = flags, left_to(queue, flags) end
    if settings or said then
      said = said or {string.rep(as_asked, i - 1)}
      local note
      if settings then record, note = with_settings(record, settings) end
      said[#said + 1] = note or as_asked
    end
    local ending = id % 1000
    if id - ending ~= thousands then
      thousands, leading = id - ending, sub(text_of(id), 1, 13)
    end
    if priority ~= its_priority then
      if i == 1 then
        direct = ready.begin_made(queue, priority)
      elseif direct then
        ready.settle_made()
        direct = nil
      else
        ready.push_new(queue, its_priority, pushed)
      end
      lane = direct and direct.names or ready.push_new(queue, priority, 0)
      its_priority, pushed, places = priority, 0, #lane
    end
    if id - id % 100 ~= first then
      bucket, first = jobs.last_bucket(tag, id), id - id % 100
      fields = later.list('fields', bucket.key)
      field = #fields
    else
      bucket.count, bucket.last = bucket.count + 1, id
    end
    local name, made = leading .. endings[ending], head .. record
    pushed, places, field = pushed + 1, places + 1, field + 2
    lane[places], fields[field - 1], fields[field] = name, name, made
    if direct then direct.elements[places], direct.texts[places] = id, made end
    if wanted then change.hint_job(tag, id) end
  end
  if not direct then ready.push_new(queue, its_priority, pushed) end
  state.stamp = id + 2
  queue.count[queued] = queue.count[queued] + count
  queues.count_event(queue, now, 1, count)
  return pos, first_id, said and concat(said)
end
