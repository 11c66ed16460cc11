-- Buckets: a job is a field of a hash of its neighbours, so that jobs can be listed in the order of
-- their ids without an index, and no hash grows large.
--
--   tasks:{tag}               sorted set: the first id of each bucket, with itself as score
--   tasks:{tag}:{first}       hash: id -> job
--   tasks:{tag}:{first}:runs  hash: the first 14 digits of ids -> the runs of those jobs (runs.lua)
--
-- Ids that begin with the same 14 digits are in one bucket.

local bucket_jobs = 1024

-- Known perhaps since an earlier call.
local buckets, bucket_count = {}, 0  -- tag -> the buckets met: {first, next}
local newest = {}                    -- tag -> the bucket new jobs go to
local shrunk = {}                    -- buckets that something was taken from
jobs.stamp_before = 0                -- of the calls before this one: ids beyond it are of this one

local buckets_known = 20

-- `warm`: nobody has changed anything since the last call.
function jobs.begin(warm)
  jobs.stamp_before = state.stamp
  local is_kept = warm and bucket_count <= buckets_known
  if not is_kept or runs.is_full then runs.forget_pages() end
  if not is_kept then buckets, newest, bucket_count = {}, {}, 0 end
end

local function index_of(tag) return prefix .. 'tasks:' .. tag end
local function bucket_key(tag, first) return prefix .. 'tasks:' .. tag .. ':' .. text_of(first) end
jobs.index_of, jobs.bucket_key = index_of, bucket_key

local function new_bucket(tag, first, behind)
  local key = bucket_key(tag, first)
  local one = {tag = tag, first = first, next = behind, key = key, runs_key = key .. ':runs'}
  table.insert(buckets[tag], 1, one)
  bucket_count = bucket_count + 1
  return one
end

-- The bucket that holds an id, if any does.
local function find_bucket(tag, id)
  local met = buckets[tag]
  if not met then
    met = {}
    buckets[tag] = met
  end
  for i = 1, #met do
    local one = met[i]
    if id >= one.first and id < one.next then return one end
  end
  local index = index_of(tag)
  local at = redis_call('ZREVRANGEBYSCORE', index, id, '-inf', 'LIMIT', 0, 1)[1]
  if not at then return nil end
  local behind = redis_call('ZRANGEBYSCORE', index, format('(%d', id), '+inf', 'LIMIT', 0, 1)[1]
  return new_bucket(tag, tonumber(at), tonumber(behind or math.huge))
end

-- Whether one more goes into it. `last`: the id before it.
local function takes(one, id, last)
  return one.count < bucket_jobs or id - id % 100 == last - last % 100
end

-- The bucket for a new job, whose id is greater than all.
function jobs.last_bucket(tag, id)
  local one = newest[tag]
  if not one or not takes(one, id, one.last) then
    one = find_bucket(tag, id)
    if one and not one.count then
      one.count, one.last = redis_call('HLEN', one.key), jobs.stamp_before
    end
    if not one or not takes(one, id, one.last) then
      if one then one.next = id end
      one = new_bucket(tag, id, math.huge)
      one.count = 0
      later.score(index_of(tag), text_of(id), id)
    end
    newest[tag] = one
  end
  one.count, one.last = one.count + 1, id
  return one
end

jobs.bucket_of = find_bucket

-- What is taken from it: a list of fields to add to. Taking out comes before what is written, so
-- that jobs that were made in this call are written first.
function jobs.taken_from(bucket)
  if later.fields[bucket.key] then later.settle_fields(bucket.key) end
  if not bucket.shrunk then
    bucket.shrunk, jobs.has_shrunk = true, true
    shrunk[#shrunk + 1] = bucket
  end
  return later.list('removed', bucket.key)
end

-- Whether nothing waits to be written to it, nor goes there from now on.
local function is_settled(bucket)
  local key, last = bucket.key, newest[bucket.tag]
  return not (last and last.key == key) and not bucket.list and not later.fields[key] and
         not later.removed[key]
end

-- How many jobs are in it; nil where that may change yet.
function jobs.count_in(bucket)
  return is_settled(bucket) and redis_call('HLEN', bucket.key) or nil
end

-- All of it goes: its jobs have ended, and each has a run.
function jobs.drop_bucket(bucket)
  local tag, met = bucket.tag, buckets[bucket.tag]
  runs.drop_bucket(bucket)
  later.fields[bucket.runs_key], later.removed[bucket.runs_key] = nil, nil
  redis_call('UNLINK', bucket.key, bucket.runs_key)
  redis_call('ZREM', index_of(tag), text_of(bucket.first))
  for i = #met, 1, -1 do
    if met[i].key == bucket.key then
      table.remove(met, i)
      bucket_count = bucket_count - 1
    end
  end
  jobs.forget_known(tag, bucket.first, bucket.next)
end

-- After everything has been written: buckets that hold nothing any more are forgotten.
function jobs.drop_empty_buckets()
  for _, bucket in ipairs(shrunk) do
    bucket.shrunk = false
    if redis_call('EXISTS', bucket.key) == 0 then
      redis_call('ZREM', index_of(bucket.tag), text_of(bucket.first))
      buckets[bucket.tag], newest[bucket.tag] = nil, nil
    end
  end
  jobs.forget_shrunk()
end

function jobs.forget_shrunk() shrunk, jobs.has_shrunk = {}, false end
