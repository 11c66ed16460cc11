-- One call of the engine: a batch of transactions and queries, one after the other, each
-- transaction with all its effects or none. The files of this folder are put together in the order
-- of the build; each adds what the later ones use.
--
-- keys[1]  the state of the store, `{millrace}:state`; every other key begins as it does.
-- args[1]  the call, numbers in fixed places: layout (2 bytes), time (7; none: the server's), number
--          (7), flags, strongest level, length of the store's name (1 each), name; of an opening then
--          the server's run id and the defaults, each behind its length (1, 4)
-- args[2]  how many queues it names; project, name, tag of each; then tag and id of the jobs it names
-- args[3…] transactions and queries
--
-- `limits` comes before this file: the bounds of the port, in numbers.
--
-- Where the server has functions, what is made here outlives the call. Then a call costs its work
-- alone; making some hundred functions costs as much as a dozen jobs.

local keys, args, prefix, redis_call  -- of the call

-- The parts that a call has touched, and which begin anew with the next (`begin_anew`), but for those
-- calls that have to do with nothing but locks and limits. Most calls touch few; what is not touched
-- is neither put right nor saved: a call that comes alone finds nothing in the processor's caches,
-- where even a function that has nothing to do is not free.
local touched_parts, touched_count = {}, 0

local function touch(part)
  if part.touched then return end
  part.touched, touched_count = true, touched_count + 1
  touched_parts[touched_count] = part
end

local function begin_anew()
  for i = touched_count, 1, -1 do
    local part = touched_parts[i]
    part.touched, touched_parts[i] = false, nil
    part.begin_anew()
  end
  touched_count = 0
end

-- What changes with the store alone, such as the names of keys.
local for_each_store = {}

local function at_each_store(begin)
  for_each_store[#for_each_store + 1] = begin
  if prefix then begin() end
end

local pack, unpack_some = cmsgpack.pack, cmsgpack.unpack_limit
local format, floor, min, max = string.format, math.floor, math.min, math.max
local concat = table.concat

-- How statuses are written down; the port's own numbers.
local queued, scheduled, running, retrying = 0, 1, 2, 3
local completed, dead, cancelled = 4, 5, 6

-- Ids and stamps as text: 16 digits until the year 2286, so that their texts sort as they do.
local function text_of(stamp) return format('%016d', stamp) end

-- What the files share; each fills its own. What else is local in a file is its own business.
local state, jobs, queues, rates, ready, retry = {}, {}, {}, {}, {}, {}
local change, answers, steps, crons, idempotency, queries = {}, {}, {}, {}, {}, {}
local cache, streams, live, sessions, counts = {}, {}, {}, {}, {}
local limiter = {}
local runs, rows, ended = {}, {}, {}
local correlated = {}
local hints = {}

-- Parts that few calls need are made when one does: what a call costs before it has done anything
-- is mostly the making of functions.
local parts = {}

function parts.need(name)
  local part = parts[name]
  if not part then return end
  parts[name] = nil
  part()
end

local now             -- microseconds; never goes back
local manual_clock    -- it came with the call, and does not tick
local batch_queues    -- the queues that the call names
local strongest       -- the strongest durability the set-up gives
local next_stamp      -- clock.lua
local rare            -- jobs.lua
local settle          -- dispatch.lua: writes everything down, so that all of it can be read
-- steps_enqueue.lua
local is_waiting, refuse_job, room_in, read_spec, take_defaults, enqueue, find_addressed, addressed
-- steps_run.lua
local ack_refused, ack, lease
local transact_many   -- hot.lua
-- hot_locks.lua, steps_limits.lua
local transact_locks, transact_limits

-- The earlier of two times, of which either may be missing.
local function earlier(a, b)
  if not a or (b and b < a) then return b end
  return a
end

-- Writes of one kind that gather until somebody reads what they change, or the call ends: a
-- thousand jobs then cost a handful of commands.
local later = {}

later.fields = {}    -- hash -> {field, value, …}
later.removed = {}   -- hash -> {field, …}
later.scores = {}    -- sorted set -> {member -> score, or false to take it out}
later.appended = {}  -- list -> {element, …}
later.met = {}       -- keys that are known to be what they are to be written as
hints.available, hints.jobs, hints.cache, hints.topics = {}, {}, {}, {}
hints.crons = false

-- Emptied, it need not grow again.
local function emptied(map)
  for key in pairs(map) do map[key] = nil end
  return map
end

-- A list that may have been long.
local function fresh(list) return next(list) == nil and list or {} end

function hints.forget()
  emptied(hints.available)
  hints.crons = false
  hints.jobs, hints.cache, hints.topics = fresh(hints.jobs), fresh(hints.cache), fresh(hints.topics)
end

-- What a call that failed has left; one that did not leaves nothing.
function later.forget()
  emptied(later.fields)
  emptied(later.removed)
  emptied(later.scores)
  emptied(later.appended)
end

local at_once = 4000  -- arguments of one command; Lua's stack holds 8000

-- The arguments are texts: Redis would write numbers as fractions, at five times the cost.
local function in_pieces(command, key, arguments)
  local count = #arguments
  if count <= at_once then
    if count > 0 then redis_call(command, key, unpack(arguments)) end
    return
  end
  for first = 1, count, at_once do
    redis_call(command, key, unpack(arguments, first, min(first + at_once - 1, count)))
  end
end

function later.list(kind, key)
  local list = later[kind][key]
  if not list then
    list = {}
    later[kind][key] = list
  end
  return list
end

-- A list of texts, which becomes its own.
function later.append(kind, key, more)
  local list = later[kind][key]
  if not list then
    later[kind][key] = #more > 0 and more or nil
    return
  end
  for i = 1, #more do list[#list + 1] = more[i] end
end

-- Whole numbers among the values become texts.
function later.add(kind, key, ...)
  local list = later.list(kind, key)
  local count = #list
  for i = 1, select('#', ...) do
    local value = select(i, ...)
    list[count + i] = type(value) == 'number' and format('%d', value) or value
  end
end

function later.score(key, member, score)
  local members = later.scores[key]
  if not members then
    members = {}
    later.scores[key] = members
  end
  members[member] = score
end

-- Makes a sorted set ready to be read.
function later.settle_scores(key)
  local members = later.scores[key]
  if not members then return end
  later.scores[key] = nil
  local gone, here, count, last, text = {}, {}, 0, nil, nil
  for member, score in pairs(members) do
    if score then
      -- Often many have the same.
      if score ~= last then last, text = score, format('%d', score) end
      here[count + 1], here[count + 2] = text, member
      count = count + 2
    else
      gone[#gone + 1] = member
    end
  end
  in_pieces('ZREM', key, gone)
  in_pieces('ZADD', key, here)
end

function later.settle_list(key)
  local elements = later.appended[key]
  if not elements then return end
  later.appended[key] = nil
  in_pieces('RPUSH', key, elements)
end

local met_count, met_at_most = 0, 1000

-- It has been read as what it is written as: had it been somebody else's, that would have failed.
function later.is_read(key)
  if later.met[key] then return end
  later.met[key], met_count = true, met_count + 1
  if met_count > met_at_most then later.is_full = true end
end

-- Somebody has changed something since the last call, or too much is known.
function later.forget_met()
  emptied(later.met)
  met_count, later.is_full = 0, false
  later.is_read(keys[1])
end

local kinds = {fields = 'hash', removed = 'hash', scores = 'zset', appended = 'list'}

-- Before the first write of a call: nothing may be half written because a key is somebody else's.
function later.check_types()
  for kind, wanted in pairs(kinds) do
    for key in pairs(later[kind]) do
      if not later.met[key] then
        local is = redis_call('TYPE', key).ok
        if is ~= wanted and is ~= 'none' then
          error({err = 'WRONGTYPE ' .. key .. ' is a ' .. is .. ', not a ' .. wanted})
        end
        later.is_read(key)
      end
    end
  end
end

function later.settle_fields(key)
  later.check_types()
  local fields = later.fields[key]
  later.fields[key] = nil
  in_pieces('HSET', key, fields)
end

function later.settle_all()
  for key, fields in pairs(later.removed) do in_pieces('HDEL', key, fields) end
  for key, fields in pairs(later.fields) do in_pieces('HSET', key, fields) end
  for key in pairs(later.scores) do later.settle_scores(key) end
  for key in pairs(later.appended) do later.settle_list(key) end
  emptied(later.removed)
  emptied(later.fields)
end
