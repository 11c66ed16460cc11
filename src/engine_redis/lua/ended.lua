-- Jobs that have ended and are kept for a while. What is forgotten goes the oldest first, over
-- both:
--
--   queue:{project}/{name}:ended      list: completed jobs that have a run (runs.lua), an element
--                                     for those of one call and bucket: time and ids, 16 digits
--                                     each
--   queue:{project}/{name}:finished   sorted set: id and flag of the others, by their time
--
-- An id of the list whose job was deleted stays there until its turn comes; the queue counts those
-- (`gone`).

local sub = string.sub
local name_bytes = 17  -- with the blank before it
local many, elements_at_once = 200, 8  -- elements read, where so many jobs are to go

local status_of = {c = completed, C = completed, x = cancelled, X = cancelled}

local function time_of(element) return element and tonumber(sub(element, 1, 16)) end
local function names_in(element) return (#element - 16) / name_bytes end
local function name_at(element, i) return sub(element, name_bytes * i + 1, name_bytes * i + 16) end

-- The ids, as texts, of what completed now in a bucket and has a run: a list to add to before
-- anything is saved.
function ended.names(queue, bucket)
  local all, first = queue.ended_now, bucket.first
  if not all then
    all = {}
    queue.ended_now = all
  end
  for i = 1, #all do
    if all[i].first == first then return all[i] end
  end
  local names = {first = first}
  all[#all + 1] = names
  return names
end

-- Hands over to `later` what has ended.
function ended.save(queue)
  local all = queue.ended_now
  if not all then return end
  queue.ended_now = nil
  for _, names in ipairs(all) do
    if #names > 0 then
      local list = later.list('appended', queue.ended_key)
      list[#list + 1] = text_of(now) .. ' ' .. concat(names, ' ')
    end
  end
end

local function settle_ended(queue)
  ended.save(queue)
  later.settle_list(queue.ended_key)
  later.settle_scores(queue.finished_key)
end

-- Makes one of the first elements if they are of one time, ids in their order.
local function merge_head(queue)
  local key, names, count, time = queue.ended_key, {}, 0, nil
  while true do
    local element = redis_call('LINDEX', key, count)
    local its_time = element and sub(element, 1, 16)
    if not element or (time and its_time ~= time) then break end
    time, count = its_time, count + 1
    for i = 1, names_in(element) do names[#names + 1] = name_at(element, i) end
  end
  if count == 0 then return nil end
  table.sort(names)
  local element = time .. ' ' .. concat(names, ' ')
  if count > 1 then redis_call('LTRIM', key, count - 1, -1) end
  redis_call('LSET', key, 0, element)
  return element
end

-- Jobs of one bucket, all of them with a run.
local function forget_in(queue, bucket, ids, names)
  local texts, wanted = jobs.of_tag(queue.tag), hints.wanted
  local removed = jobs.taken_from(bucket)
  local count = #removed
  for i = 1, #ids do
    removed[count + i], texts[ids[i]] = names[i], false
    if wanted then change.hint_job(queue.tag, ids[i]) end
  end
  runs.forget(bucket, ids, queue.gone == 0)
end

-- Of the names of an element those from `first` to `last` go; how many jobs went.
local function forget_names(queue, element, first, last)
  local tag, bucket, ids, names, count = queue.tag, nil, nil, nil, 0
  for i = first, last do
    local name = name_at(element, i)
    local id = tonumber(name)
    if queue.gone > 0 and not runs.is_ended(tag, id) then
      queue.gone = queue.gone - 1
    else
      if not bucket or id < bucket.first or id >= bucket.next then
        if bucket then forget_in(queue, bucket, ids, names) end
        bucket, ids, names = jobs.bucket_of(tag, id), {}, {}
      end
      ids[#ids + 1], names[#names + 1] = id, name
      count = count + 1
    end
  end
  if bucket then forget_in(queue, bucket, ids, names) end
  queue.count[completed] = queue.count[completed] - count
  queues.change(queue)
  return count
end

-- Of the first element so many jobs go that are not all of it.
local function forget_some(queue, most)
  local element, done, left = merge_head(queue), 0, most
  local names = names_in(element)
  while left > 0 and done < names do
    local last = min(names, done + left)
    left, done = left - forget_names(queue, element, done + 1, last), last
  end
  if done < names then
    local rest = sub(element, 1, 16) .. sub(element, name_bytes * done + 17)
    redis_call('LSET', queue.ended_key, 0, rest)
  else
    redis_call('LPOP', queue.ended_key)
  end
  return most - left
end

-- Forgets elements of the list from the first on, each as a whole, as long as they ended by
-- `until_time` and before `other_time` (of the first in the sorted set) and there are no more than
-- `most`. How many jobs went, and whether there may be more of the same. `roughly`: jobs that ended
-- at the same time go in any order.
local function forget_elements(queue, most, until_time, other_time, roughly)
  local batch = most > many and elements_at_once or 1
  local elements = redis_call('LRANGE', queue.ended_key, 0, batch)
  local went, taken, is_more = 0, 0, #elements > batch
  for i = 1, min(#elements, batch) do
    local element = elements[i]
    local time = time_of(element)
    if (until_time and time > until_time) or (other_time and other_time <= time) or
        names_in(element) > most - went or
        (not roughly and time_of(elements[i + 1]) == time) then
      is_more = false
      break
    end
    went, taken = went + forget_names(queue, element, 1, names_in(element)), taken + 1
  end
  if taken > 0 then redis_call('LTRIM', queue.ended_key, taken, -1) end
  return went, is_more
end

-- When the first of the sorted set ended.
local function other_time_of(queue)
  if queue.has_others == false then return nil end
  local first = redis_call('ZRANGE', queue.finished_key, 0, 0, 'WITHSCORES')
  queue.has_others = first[1] ~= nil
  return tonumber(first[2])
end

local elements_read = 100

-- The first elements, up to `most` ids that ended before `other_time`, as long as each is of one
-- bucket; those buckets, and how many ids there are of each.
local function read_elements(queue, most, other_time)
  local read, buckets, counts, total = {}, {}, {}, 0
  while true do
    local from = #read
    local some = redis_call('LRANGE', queue.ended_key, from, from + elements_read - 1)
    for _, element in ipairs(some) do
      local names = names_in(element)
      local bucket = jobs.bucket_of(queue.tag, tonumber(name_at(element, 1)))
      local last = tonumber(name_at(element, names))
      total = total + names
      if total > most or (other_time and other_time <= time_of(element)) or not bucket or
          last < bucket.first or last >= bucket.next then
        return read, buckets, counts
      end
      read[#read + 1], buckets[#read + 1] = element, bucket
      counts[bucket] = (counts[bucket] or 0) + names
    end
    if #some < elements_read then return read, buckets, counts end
  end
end

-- Takes the elements of those buckets out of the list. What is older than they are goes with them,
-- one by one; how many jobs that were.
local function drop_elements(queue, read, buckets, gone)
  local last, went = 0, 0
  for i = 1, #read do
    if gone[buckets[i]] then last = i end
  end
  for i = 1, last do
    if not gone[buckets[i]] then
      went = went + forget_names(queue, read[i], 1, names_in(read[i]))
    end
  end
  redis_call('LTRIM', queue.ended_key, last, -1)
  return went
end

-- Forgets whole buckets whose jobs are all among the oldest `most`; how many jobs went.
function ended.forget_buckets(queue, most)
  settle_ended(queue)
  if queue.gone > 0 or hints.wanted then return 0 end
  local read, buckets, counts = read_elements(queue, most, other_time_of(queue))
  local gone, went = {}, 0
  for bucket, count in pairs(counts) do
    if jobs.count_in(bucket) == count then gone[bucket], went = true, went + count end
  end
  if went == 0 then return 0 end
  queue.count[completed] = queue.count[completed] - went
  queues.change(queue)
  went = went + drop_elements(queue, read, buckets, gone)
  for bucket in pairs(gone) do jobs.drop_bucket(bucket) end
  return went
end

-- The first element goes to the sorted set.
local function spill(queue)
  local element, add = merge_head(queue), {}
  local time = sub(element, 1, 16)
  for i = 1, names_in(element) do
    local name = name_at(element, i)
    if queue.gone > 0 and not runs.is_ended(queue.tag, tonumber(name)) then
      queue.gone = queue.gone - 1
    else
      add[#add + 1], add[#add + 2] = time, name .. 'c'
    end
  end
  redis_call('LPOP', queue.ended_key)
  in_pieces('ZADD', queue.finished_key, add)
  queue.has_others = true
  queues.change(queue)
  return #add / 2
end

-- Forgets the first of the sorted set, those that ended by `until_time` and before `before`.
local function forget_others(queue, most, until_time, before)
  local bound = until_time or '+inf'
  if before and (not until_time or before <= until_time) then bound = format('(%d', before) end
  local members = redis_call('ZRANGEBYSCORE', queue.finished_key, '-inf', bound, 'LIMIT', 0, most)
  for _, member in ipairs(members) do
    local name, flag = sub(member, 1, -2), sub(member, -1)
    local id, status = tonumber(name), status_of[flag]
    queue.count[status] = queue.count[status] - 1
    if flag == 'C' or flag == 'X' then redis_call('DEL', change.log_key(queue.tag, id)) end
    jobs.remove(queue.tag, id, name)
    change.hint_job(queue.tag, id)
  end
  if #members > 0 then
    redis_call('ZREMRANGEBYRANK', queue.finished_key, 0, #members - 1)
    queues.change(queue)
  end
  return #members
end

-- Forgets the oldest, so many at most; given `until_time`, only what ended by then. `roughly`:
-- those of one call go together, and stay as long as they are more than that.
function ended.forget(queue, most, until_time, roughly)
  settle_ended(queue)
  local left = most
  while left > 0 do
    local other_time = other_time_of(queue)
    local went, is_more = forget_elements(queue, left, until_time, other_time, roughly)
    left = left - went
    if not is_more and left > 0 then
      -- The first element that is there is not for the taking as it is.
      local time = time_of(redis_call('LINDEX', queue.ended_key, 0))
      if other_time and (not time or other_time < time) then
        local others = forget_others(queue, left, until_time, time)
        if others == 0 then return end
        left = left - others
      elseif not time or (until_time and time > until_time) then
        return
      elseif other_time == time then
        spill(queue)
      elseif roughly then
        return
      else
        left = left - forget_some(queue, left)
      end
    end
  end
end

-- When the oldest ended; nil where there is none.
function ended.first_time(queue)
  settle_ended(queue)
  return earlier(time_of(redis_call('LINDEX', queue.ended_key, 0)), other_time_of(queue))
end

-- Has at least so many of the oldest stand in the sorted set, if there are as many.
function ended.gather(queue, count)
  settle_ended(queue)
  while count > 0 and redis_call('LINDEX', queue.ended_key, 0) do count = count - spill(queue) end
end

local function is_in_list(queue, job)
  local index = 0
  while true do
    local element = redis_call('LINDEX', queue.ended_key, index)
    local time = time_of(element)
    if not time or time > job.finished then return false end
    if time < job.finished or string.find(element, job.name, 17, true) then return true end
    index = index + 1
  end
end

-- One of them is to be forgotten: it stands here no more.
function ended.leave(queue, job, member)
  settle_ended(queue)
  if job.run and is_in_list(queue, job) then
    queue.gone = queue.gone + 1
  else
    later.score(queue.finished_key, member, false)
  end
end
