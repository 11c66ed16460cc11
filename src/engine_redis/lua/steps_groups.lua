-- Groups of consumers of a stream.
--
--   groups                                hash: name -> since when, and behind which event it
--                                         stands: epoch, offset, stamp; packed
--   groups:names                          sorted set: the names, in their order
--   group:{project}/{stream}/{group}      hash: offset -> stamp, consumer, deliveries, when, until
--                                         when; packed: what is delivered and not settled
--   group:{project}/{stream}/{group}:due  sorted set: those offsets, by the ends of their leases
--
-- A name is the project, the stream and the group.

local groups_key, names_key

at_each_store(function()
  groups_key, names_key = prefix .. 'groups', prefix .. 'groups:names'
end)

local no_gap, trimmed, lost = 0, 1, 3
local earliest, latest, at_cursor = 0, 1, 2
local done, again, extend = 0, 1, 2

local function text_of_offset(offset) return format('%.0f', offset) end

local function new_group(project, stream, group)
  local key = prefix .. 'group:' .. project .. '/' .. stream .. '/' .. group
  return {name = streams.name_of(project, stream) .. '\0' .. group, project = project,
          stream = stream, group = group, key = key, due_key = key .. ':due'}
end

local function find(project, stream, group)
  local g = new_group(project, stream, group)
  local text = redis_call('HGET', groups_key, g.name)
  if not text then return nil end
  local _
  _, g.made, g.epoch, g.offset, g.stamp = unpack_some(text, 4, 0)
  return g
end

-- Before anything is written, so that a key that is somebody else's fails the call.
local function touch(g)
  return redis_call('HLEN', g.key) + redis_call('ZCARD', g.due_key)
end

local function write(g)
  redis_call('HSET', groups_key, g.name, pack(g.made, g.epoch, g.offset, g.stamp))
  redis_call('ZADD', names_key, 0, g.name)
end

local function begin(g, at, epoch, offset, stamp)
  local stream = streams.find(g.project, g.stream)
  g.epoch, g.offset, g.stamp = 0, 0, 0
  if at == at_cursor then
    g.epoch, g.offset, g.stamp = epoch, offset, stamp
  elseif stream and at == latest then
    g.epoch, g.offset, g.stamp = stream.epoch, stream.last, stream.last_stamp
  elseif stream and at == earliest then
    g.epoch, g.offset, g.stamp = stream.epoch, stream.first - 1, stream.before
  end
end

local function describe(g)
  local stream, waiting = streams.find(g.project, g.stream), 0
  if stream then
    local from = stream.first - 1
    if g.epoch == stream.epoch and g.offset <= stream.last then from = max(from, g.offset) end
    waiting = stream.last - from
  end
  return pack(g.project, g.stream, g.group, g.made, g.epoch, g.offset, g.stamp,
              redis_call('HLEN', g.key), waiting)
end

local function names_of(project, stream, most)
  local first = streams.name_of(project, stream)
  return redis_call('ZRANGEBYLEX', names_key, '[' .. first .. '\0', '(' .. first .. '\1', 'LIMIT',
                    0, most)
end

local function refuse_new(project, stream, group, plan)
  local g = find(project, stream, group)
  if g then
    touch(g)
    return nil
  end
  touch(new_group(project, stream, group))
  local field = 'groups_of_' .. streams.name_of(project, stream)
  local of_stream, added = plan[field] or 0, plan.groups_added or 0
  if #names_of(project, stream, limits.stream_groups) + of_stream >= limits.stream_groups or
      redis_call('HLEN', groups_key) + added >= limits.groups then
    return 'too_many_groups'
  end
  if not plan.alone then plan[field], plan.groups_added = of_stream + 1, added + 1 end
end

local function forget_pending(g) redis_call('DEL', g.key, g.due_key) end

steps[70] = {
  arity = 8,
  check = function(step, plan) return refuse_new(step[2], step[3], step[4], plan) end,
  apply = function(step)
    local _, project, stream, group, move = unpack(step, 1, 5)
    local g = find(project, stream, group)
    local made = not g
    if made then
      g = new_group(project, stream, group)
      g.made = now
    end
    if made or move then
      begin(g, unpack(step, 6, 9))
      write(g)
    end
    if not made and move then
      forget_pending(g)
      live.hint_stream(project, stream)
    end
    return pack('eg', made) .. describe(g)
  end,
}

steps[71] = {
  arity = 3,
  check = function(step)
    local g = find(step[2], step[3], step[4])
    if not g then return 'group_not_found' end
    touch(g)
  end,
  apply = function(step)
    local g = find(step[2], step[3], step[4])
    local described = describe(g)
    redis_call('HDEL', groups_key, g.name)
    redis_call('ZREM', names_key, g.name)
    forget_pending(g)
    return pack('eg', false) .. described
  end,
}

local function delivery(g, offset)
  local text = redis_call('HGET', g.key, text_of_offset(offset))
  if not text then return nil end
  local _, stamp, consumer, deliveries, time, ends = unpack_some(text, 5, 0)
  return {stamp = stamp, consumer = consumer, deliveries = deliveries, time = time, ends = ends}
end

local function keep(g, offset, d)
  local field = text_of_offset(offset)
  redis_call('HSET', g.key, field, pack(d.stamp, d.consumer, d.deliveries, d.time, d.ends))
  redis_call('ZADD', g.due_key, format('%.0f', d.ends), field)
end

local function forget(g, offset)
  local field = text_of_offset(offset)
  redis_call('HDEL', g.key, field)
  redis_call('ZREM', g.due_key, field)
end

local function lapsed(g)
  local offsets = redis_call('ZRANGEBYSCORE', g.due_key, '-inf', format('%.0f', now))
  for i, each in ipairs(offsets) do offsets[i] = tonumber(each) end
  table.sort(offsets)
  return offsets
end

-- What was delivered and has lapsed. The deliveries, their bytes, and what is missing.
local function deliver_again(g, stream, consumer, most, lease, out)
  local bytes, gap, missed = 0, no_gap, 0
  for _, offset in ipairs(lapsed(g)) do
    if #out == most or bytes >= limits.event_page_bytes then break end
    local d, entry = delivery(g, offset), nil
    if stream and offset >= stream.first and offset <= stream.last then
      local at = text_of_offset(offset)
      entry = redis_call('XRANGE', stream.key, at, at, 'COUNT', 1)[1]
    end
    local stamp = entry and tonumber(string.match(entry[1], '%-(%d+)$'))
    if stamp ~= d.stamp then
      gap = stream and offset < stream.first and trimmed or lost
      missed = missed + 1
      forget(g, offset)
    else
      local _, _, its_bytes = unpack_some(entry[2][2], 2, 0)
      bytes = bytes + its_bytes
      d.consumer, d.deliveries, d.time, d.ends = consumer, d.deliveries + 1, now, now + lease
      keep(g, offset, d)
      out[#out + 1] = pack(d.deliveries, offset, stamp) .. entry[2][2]
    end
  end
  return bytes, gap, missed
end

-- New events. Why some are missing, and how many.
local function deliver_new(g, stream, consumer, room, lease, out)
  local gap, missed = streams.gap_at(stream, g.epoch, g.offset, g.stamp), 0
  if gap == trimmed then missed = stream.first - 1 - g.offset end
  local low = streams.begin_of(stream, nil, g.offset, g.stamp, gap)
  local events, last, last_stamp = streams.take(stream, low, stream.last, true, room)
  g.epoch, g.offset, g.stamp = stream.epoch, last or stream.last, last_stamp or stream.last_stamp
  write(g)
  for _, packed in ipairs(events) do
    local _, offset, stamp = unpack_some(packed, 2, 0)
    keep(g, offset, {stamp = stamp, consumer = consumer, deliveries = 1, time = now,
                     ends = now + lease})
    out[#out + 1] = pack(1) .. packed
  end
  return gap, missed
end

steps[72] = {
  arity = 10,
  check = function(step, plan) return refuse_new(step[2], step[3], step[4], plan) end,
  apply = function(step)
    local _, project, name, group, consumer, most, lease = unpack(step, 1, 7)
    local g = find(project, name, group)
    if not g then
      g = new_group(project, name, group)
      g.made = now
      begin(g, unpack(step, 8, 11))
      write(g)
    end
    local stream, out = streams.find(project, name), {}
    local bytes, gap, missed = deliver_again(g, stream, consumer, most, lease, out)
    local room = min(most - #out, limits.group_pending - redis_call('HLEN', g.key))
    -- While a stream is forgotten there is nothing to be told of it.
    if stream and room > 0 and bytes < limits.event_page_bytes then
      local its_gap, its_missed = deliver_new(g, stream, consumer, room, lease, out)
      if its_gap ~= no_gap then gap = its_gap end
      missed = missed + its_missed
    end
    local first = redis_call('ZRANGE', g.due_key, 0, 0, 'WITHSCORES')[2]
    return pack('er', gap, missed, redis_call('HLEN', g.key) >= limits.group_pending,
                first and tonumber(first) or nil, now) .. describe(g) .. pack(#out) .. concat(out)
  end,
}

local function offsets_of(count, text)
  local offsets, off = {}, 0
  for i = 1, count do off, offsets[i] = unpack_some(text, 1, off) end
  return offsets
end

steps[73] = {
  arity = 9,
  check = function(step)
    local _, project, stream, group, consumer, _, _, all, count, text = unpack(step, 1, 10)
    local g = find(project, stream, group)
    if not g then return 'group_not_found' end
    touch(g)
    if not all then return nil end
    for _, offset in ipairs(offsets_of(count, text)) do
      local d = delivery(g, offset)
      if not d or d.consumer ~= consumer then return 'delivery_lost' end
    end
  end,
  apply = function(step)
    local _, project, stream, group, consumer, what, lease, _, count, text = unpack(step, 1, 10)
    local g = find(project, stream, group)
    local was_full = redis_call('HLEN', g.key) >= limits.group_pending
    local settled, gone = 0, {}
    for _, offset in ipairs(offsets_of(count, text)) do
      local d = delivery(g, offset)
      if not d or d.consumer ~= consumer then
        gone[#gone + 1] = pack(offset)
      else
        settled = settled + 1
        if what == done then
          forget(g, offset)
        else
          d.ends = what == extend and now + lease or now
          keep(g, offset, d)
        end
      end
    end
    if settled > 0 and (what == again or what == done and was_full) then
      live.hint_stream(project, stream)
    end
    return pack('es', settled, redis_call('HLEN', g.key), #gone) .. concat(gone)
  end,
}

queries[70] = {
  arity = 2,
  answer = function(_, project, stream)
    local names = names_of(project, stream, limits.stream_groups)
    local out, before = {pack(#names)}, #streams.name_of(project, stream) + 2
    for i, name in ipairs(names) do
      out[i + 1] = describe(find(project, stream, string.sub(name, before)))
    end
    return concat(out)
  end,
}

queries[71] = {
  arity = 5,
  answer = function(_, project, stream, group, after, most)
    local g, offsets = find(project, stream, group), {}
    for _, each in ipairs(g and redis_call('HKEYS', g.key) or {}) do
      local offset = tonumber(each)
      if offset > after then offsets[#offsets + 1] = offset end
    end
    table.sort(offsets)
    local count = min(#offsets, most)
    local out = {pack(count)}
    for i = 1, count do
      local d = delivery(g, offsets[i])
      out[i + 1] = pack(offsets[i], d.consumer, d.deliveries, d.time, d.ends)
    end
    return concat(out)
  end,
}
