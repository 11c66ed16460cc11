-- Events: published, and how many of a stream are kept.

local function refuse_stream(project, name, plan)
  if streams.find(project, name) then return nil end
  if plan.alone then
    if streams.count() >= limits.streams then return 'too_many_streams' end
    return nil
  end
  plan.streams_added = plan.streams_added or {}
  local id = streams.name_of(project, name)
  if plan.streams_added[id] then return nil end
  local added = plan.streams_count or 0
  if streams.count() + added >= limits.streams then return 'too_many_streams' end
  plan.streams_added[id], plan.streams_count = true, added + 1
end

local function published(epoch, offset, stamp, time, duplicate)
  return pack('v', epoch, offset, stamp, time, duplicate)
end

steps[60] = {
  arity = 7,
  check = function(step, plan)
    local _, project, name, _, _, _, id = unpack(step, 1, 8)
    if id then
      if streams.known_id(project, name, id) then return nil end
      local added = plan.event_ids_added or 0
      if redis_call('HLEN', streams.ids_key) + added >= limits.event_ids then
        return 'too_many_event_ids'
      end
      if not plan.alone then plan.event_ids_added = added + 1 end
    end
    return refuse_stream(project, name, plan)
  end,
  apply = function(step)
    local _, project, name, kind, source, correlation, id, payload = unpack(step, 1, 8)
    if id then
      local epoch, offset, stamp, time = streams.known_id(project, name, id)
      if epoch then return published(epoch, offset, stamp, time, true) end
    end
    local stream = streams.open(project, name)
    local stamp = next_stamp()
    local bytes = #kind + #(source or '') + #(correlation or '') + #(id or '') + #payload
    if stream.last < stream.first then stream.first_at = now end
    stream.last = stream.last + 1
    stream.last_stamp, stream.last_at, stream.bytes = stamp, now, stream.bytes + bytes
    redis_call('XADD', stream.key, format('%.0f-%.0f', stream.last, stamp), 'e',
               pack(now, bytes, kind, source, correlation, id, payload))
    if id then streams.keep_id(stream, id, stamp) end
    if correlation then correlated.note_event(stream, correlation, stamp) end
    streams.trim(stream)
    streams.change(stream)
    live.hint_stream(project, name)
    return published(stream.epoch, stream.last, stamp, now, false)
  end,
}

steps[61] = {
  arity = 5,
  check = function(step, plan) return refuse_stream(step[2], step[3], plan) end,
  apply = function(step)
    local stream = streams.open(step[2], step[3])
    stream.keep_count, stream.keep_age, stream.keep_bytes = step[4], step[5], step[6]
    stream.own = true
    streams.trim(stream)
    streams.change(stream)
    return pack('s') .. streams.describe(stream)
  end,
}

-- Reading.

local oldest_first = 0
local no_gap, trimmed, other_epoch, lost = 0, 1, 2, 3

-- The first offset at which `passed` holds; it holds from there to the end.
local function first_where(stream, passed)
  local low, high = stream.first, stream.last + 1
  while low < high do
    local middle = floor((low + high) / 2)
    if passed(streams.place(stream, middle)) then high = middle else low = middle + 1 end
  end
  return low
end

-- Whether history still is what the cursor knows of it.
local function gap_at(stream, epoch, offset, stamp)
  local nowhere = epoch == 0 and offset == 0 and stamp == 0
  if not stream then return nowhere and no_gap or other_epoch end
  if nowhere then return stream.first > 1 and trimmed or no_gap end
  if epoch ~= stream.epoch then return other_epoch end
  if offset > stream.last then return lost end
  if offset + 1 < stream.first then return trimmed end
  local there = stream.before
  if offset >= stream.first then there = streams.place(stream, offset) end
  return there == stamp and no_gap or lost
end

local function begin_of(stream, time, offset, stamp, gap)
  if time then return first_where(stream, function(_, at) return at >= time end) end
  if not offset then return stream.first end
  if gap == no_gap then return max(offset + 1, stream.first) end
  return first_where(stream, function(its) return its > stamp end)
end

local function end_of(stream, time, offset, stamp, gap)
  if time then return first_where(stream, function(_, at) return at > time end) end
  if not offset then return stream.last + 1 end
  if gap == no_gap then return max(offset, stream.first) end
  return first_where(stream, function(its) return its >= stamp end)
end

-- Some at a time, since each may be large.
local function take(stream, low, high, forward, most)
  local out, bytes, last, last_stamp = {}, 0, nil, nil
  local some = 16
  while low <= high and #out < most and bytes < limits.event_page_bytes do
    local from, to = format('%.0f', low), format('%.0f', high)
    local count = min(some, most - #out)
    local entries = forward and redis_call('XRANGE', stream.key, from, to, 'COUNT', count) or
                    redis_call('XREVRANGE', stream.key, to, from, 'COUNT', count)
    if #entries == 0 then break end
    for _, entry in ipairs(entries) do
      if bytes >= limits.event_page_bytes then break end
      local offset, stamp = string.match(entry[1], '^(%d+)%-(%d+)$')
      last, last_stamp = tonumber(offset), tonumber(stamp)
      local _, _, its_bytes = unpack_some(entry[2][2], 2, 0)
      bytes = bytes + its_bytes
      out[#out + 1] = pack(last, last_stamp) .. entry[2][2]
    end
    if forward then low = last + 1 else high = last - 1 end
    some = max(1, min(256, floor((limits.event_page_bytes - bytes) * #out / max(bytes, 1))))
  end
  return out, last, last_stamp
end

streams.gap_at, streams.begin_of, streams.take = gap_at, begin_of, take

queries[60] = {
  arity = 8,
  answer = function(_, project, name, way, most, time, epoch, offset, stamp)
    local stream, forward = streams.find(project, name), way == oldest_first
    local gap = no_gap
    if epoch and not time then
      gap = gap_at(stream, epoch, offset, stamp)
      -- What is older and gone is no gap for who reads backwards.
      if not forward and gap == trimmed then gap = no_gap end
    end
    local events, last, last_stamp = {}, nil, nil
    if stream then
      local low, high = stream.first, stream.last
      if forward then
        low = begin_of(stream, time, offset, stamp, gap)
      else
        high = end_of(stream, time, offset, stamp, gap) - 1
      end
      events, last, last_stamp = take(stream, low, high, forward, most)
    end
    local more = false
    local end_epoch, end_offset, end_stamp = 0, 0, 0
    if last then
      more = forward and last < stream.last or not forward and last > stream.first
      end_epoch, end_offset, end_stamp = stream.epoch, last, last_stamp
    elseif not forward and epoch then
      end_epoch, end_offset, end_stamp = epoch, offset, stamp
    elseif stream then
      end_epoch, end_offset, end_stamp = stream.epoch, stream.last, stream.last_stamp
    end
    return pack(gap, more, end_epoch, end_offset, end_stamp, #events) .. concat(events)
  end,
}

queries[61] = {
  arity = 2,
  answer = function(_, project, name)
    local stream = streams.find(project, name)
    return stream and pack(true) .. streams.describe(stream) or pack(false)
  end,
}
