-- What carries which correlation id, so that it is found by it. Nothing is written for what carries
-- none.
--
--   correlated         sorted set, all of one score: project, correlation id, stamp, then `j` and the
--                      tag of a job, or `e`, the offset and the stream of an event
--   correlated:order   list: the same, the oldest first
--
-- A member stays when its job is forgotten: whoever reads looks. Those at the beginning of the list
-- go when they mean nothing any more, and also when there are too many.

local set_key, order_key
local noted = 0  -- since it was last written
local some = 2000  -- that go with one call, at most

at_each_store(function()
  set_key, order_key = prefix .. 'correlated', prefix .. 'correlated:order'
  correlated.key = set_key
end)

function correlated.begin_anew() noted = 0 end

function correlated.begin_of(project, carried) return project .. '\0' .. carried .. '\0' end

-- `where`: what stands behind the stamp.
function correlated.note(project, carried, stamp, where)
  touch(correlated)
  local member = correlated.begin_of(project, carried) .. text_of(stamp) .. where
  later.score(set_key, member, 0)
  local list = later.list('appended', order_key)
  list[#list + 1] = member
  noted = noted + 1
end

-- Jobs that were made one after the other, with ids three apart, and what each carries; '': nothing.
function correlated.note_jobs(queue, carried, first, count)
  local where = 'j' .. queue.tag
  for i = 1, count do
    if carried[i] ~= '' then
      correlated.note(queue.project, carried[i], first + 3 * (i - 1), where)
    end
  end
end

local place_of_carried = 12  -- among the rare values of a job

function correlated.note_job(queue, id, rare_text)
  local carried = select(place_of_carried + 1, unpack_some(rare_text, place_of_carried, 0))
  if carried then correlated.note(queue.project, carried, id, 'j' .. queue.tag) end
end

function correlated.note_event(stream, carried, stamp)
  correlated.note(stream.project, carried, stamp, format('e%.0f %s', stream.last, stream.name))
end

-- Of a member: its stamp, the tag of a job; or nil, the name of a stream and the offset there.
function correlated.place_of(member)
  local stamp, kind, rest = string.match(member, '^%Z*%z%Z*%z(%d+)([je])(.*)$')
  if kind == 'j' then return tonumber(stamp), rest end
  local offset, name = string.match(rest, '^(%d+) (.*)$')
  return tonumber(stamp), nil, name, tonumber(offset)
end

-- The stream, if it has the event.
function correlated.stream_with(project, name, offset, stamp)
  local stream = streams.find(project, name)
  if stream and stamp > stream.epoch and offset >= stream.first then return stream end
end

local function is_gone(member)
  local stamp, tag, name, offset = correlated.place_of(member)
  if tag then
    local bucket = jobs.bucket_of(tag, stamp)
    return not bucket or redis_call('HEXISTS', bucket.key, text_of(stamp)) == 0
  end
  local project = string.match(member, '^%Z*')
  return not correlated.stream_with(project, name, offset, stamp)
end

-- Whether as many are kept as can be.
function correlated.is_full() return redis_call('LLEN', order_key) >= limits.correlated end

-- Before what was noted is written: twice as many of the oldest go, if they mean nothing any more,
-- and as many as are too many.
function correlated.trim()
  local most = min(2 * noted, some)
  local over = redis_call('LLEN', order_key) + noted - limits.correlated
  noted = 0
  local first = redis_call('LINDEX', order_key, 0)
  if not first or (over <= 0 and not is_gone(first)) then return end
  local going = {}
  for i, member in ipairs(redis_call('LRANGE', order_key, 0, most - 1)) do
    if i > over and not is_gone(member) then break end
    going[i] = member
  end
  redis_call('LTRIM', order_key, #going, -1)
  in_pieces('ZREM', set_key, going)
end
