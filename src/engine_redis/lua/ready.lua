-- The jobs that are ready, in the order in which they are handed out: by priority, then by when
-- they became available.
--
--   queue:{project}/{name}:{priority}         list: a lane, first in first out
--   queue:{project}/{name}:{priority}:front   list: what stands before the lane
--   queue:{project}/{name}:aside              sorted set: ids of all that are in no lane, by when
--                                             they became available
--     …:ahead                                 sorted set: those of them that may start, in order
--     …:parked:{group}                        sorted set: those whose group is at its bound
--     …:parked                                set: groups that have any
--     …:opens                                 sorted set: groups by when their rate allows a start
--     …:groups                                hash: group -> how many of its jobs run
--
-- An element of a lane is the id, or id:stamp where the job became available later than it was
-- made. One whose job has left (cancelled, deleted, put off) stays and is passed over when its turn
-- comes; should they become many, the lane is rewritten piece by piece, into its front.
--
-- A job in no lane stands in `ahead` or in `parked`. While a group may start, the first of its
-- parked jobs is in `ahead`; if it turns out to be at its bound, the job goes back.

local in_lane, is_ahead, is_parked = 0, 1, 2
local stale_min = 1000   -- so many elements that mean nothing are let be
local read_ahead_first, read_ahead_most = 8, 64  -- elements read at once, more each time
local rewritten = 500    -- elements rewritten in one call
ready.looked_at = 2000   -- jobs of groups at their bound that one lease passes over

ready.lanes_format = '>' .. string.rep('i5', 30)

-- Three numbers a priority: elements in the lane, in its front, and those that mean nothing.
local function lanes_of(queue)
  local lanes = queue.lanes
  if not lanes then
    if queue.lanes_text then
      lanes = {struct.unpack(ready.lanes_format, queue.lanes_text)}
    else
      lanes = {}
      for i = 1, 30 do lanes[i] = 0 end
    end
    queue.lanes = lanes
  end
  return lanes
end

-- After `lanes_of`: what is in its lanes is another number.
local function change_lanes(queue)
  queue.has_other_lanes = true
  queues.change(queue)
end

local function lane_key(queue, priority) return queue.key .. ':' .. priority end

local function element_of(job)
  if job.available == job.id + 1 then return job.name end
  return format('%016d:%016d', job.id, job.available)
end

-- Where a job in no lane stands: sorts by priority, then by when it became available.
local function order_of(job)
  return (9 - job.priority) .. text_of(job.available) .. job.name
end

local function id_in(order) return tonumber(string.sub(order, 18)) end

local function aside_key(queue, what) return queue.key .. ':' .. what end
local function parked_key(queue, group) return queue.key .. ':parked:' .. group end

function ready.push(queue, job)
  local lanes, at = lanes_of(queue), 3 * job.priority + 1
  job.place = in_lane
  lanes[at] = lanes[at] + 1
  if job.priority > queue.top then queue.top = job.priority end
  later.add('appended', lane_key(queue, job.priority), element_of(job))
  change_lanes(queue)
end

-- So many jobs that are being made: their names go behind what is answered.
function ready.push_new(queue, priority, count)
  local lanes, at = lanes_of(queue), 3 * priority + 1
  lanes[at] = lanes[at] + count
  if priority > queue.top then queue.top = priority end
  change_lanes(queue)
  if count > 0 then change.hint_available(queue, count) end
  return later.list('appended', lane_key(queue, priority))
end

local function put_aside(queue, job, place)
  if job.place == in_lane then
    queue.aside = queue.aside + 1
    redis_call('ZADD', aside_key(queue, 'aside'), job.available, job.name)
    queues.change(queue)
  end
  job.place = place
  jobs.change(job)
  if place == is_ahead then
    redis_call('ZADD', aside_key(queue, 'ahead'), 0, order_of(job))
  else
    redis_call('ZADD', parked_key(queue, job.group), 0, order_of(job))
    redis_call('SADD', aside_key(queue, 'parked'), job.group)
  end
end

local function drop_parked(queue, job, order)
  redis_call('ZREM', parked_key(queue, job.group), order)
  if redis_call('EXISTS', parked_key(queue, job.group)) == 0 then
    redis_call('SREM', aside_key(queue, 'parked'), job.group)
    redis_call('ZREM', aside_key(queue, 'opens'), job.group)
  end
end

-- Takes a job from aside, wherever it stands there.
local function take_aside(queue, job)
  local order = order_of(job)
  if job.place == is_ahead then
    redis_call('ZREM', aside_key(queue, 'ahead'), order)
  else
    drop_parked(queue, job, order)
  end
end

-- The group may start again, as far as is known: its first parked job goes ahead.
local function wake_group(queue, group)
  local order = redis_call('ZRANGE', parked_key(queue, group), 0, 0)[1]
  if not order then return end
  local job = jobs.find(queue.tag, id_in(order))
  if not job then
    redis_call('ZREM', parked_key(queue, group), order)
    return
  end
  take_aside(queue, job)
  put_aside(queue, job, is_ahead)
end

function ready.wake_group(queue, group)
  if group and queue.aside > 0 then wake_group(queue, group) end
end

function ready.wake_groups(queue)
  if queue.aside == 0 then return end
  for _, group in ipairs(redis_call('SMEMBERS', aside_key(queue, 'parked'))) do
    wake_group(queue, group)
  end
end

local function leave_aside(queue, job)
  take_aside(queue, job)
  redis_call('ZREM', aside_key(queue, 'aside'), job.name)
  queue.aside = queue.aside - 1
  job.place = in_lane
  queues.change(queue)
end

-- The job is ready no more, for another reason than that it is handed out.
function ready.remove(queue, job)
  if job.place == in_lane then
    local lanes, at = lanes_of(queue), 3 * job.priority + 3
    lanes[at] = lanes[at] + 1
    queue.to_tidy = true
    change_lanes(queue)
    return
  end
  leave_aside(queue, job)
  ready.wake_group(queue, job.group)
end

-- Takes another priority and keeps its place in time.
function ready.reprioritise(queue, job, priority)
  if job.place == in_lane then
    ready.remove(queue, job)
  else
    take_aside(queue, job)
  end
  job.priority = priority
  put_aside(queue, job, is_ahead)
end

-- So many jobs will be asked for.
local expected = 0

-- Jobs that have just been made: where nothing else of their queue is ready and jobs will be asked
-- for, they stand in no lane until it is known how many are left.
local made = nil

-- A batch begins in which so many jobs will be asked for, or (0) has ended.
function ready.expect(count) expected, made = count, nil end

-- What is left of them goes to its lane.
function ready.settle_made()
  local was = made
  if not was then return end
  made = nil
  local names, left = was.names, #was.names - was.taken
  if left == 0 then return end
  local lane = ready.push_new(was.queue, was.priority, left)
  for i = was.taken + 1, #names do lane[#lane + 1] = names[i] end
end

-- Where they are put, as a lane that has been read; nil where they belong into their lanes.
function ready.begin_made(queue, priority)
  ready.settle_made()
  if expected == 0 or queue.count[queued] > 0 then return nil end
  made = {queue = queue, priority = priority, elements = {}, stamps = {}, names = {}, texts = {},
          taken = 0}
  return made
end

-- Those of the queue, to be taken from the first on. An acknowledgement between makes nothing
-- ready in a queue where nothing else is, so that they go on being all.
function ready.made_in(queue) return made and made.queue == queue and made or nil end

-- Reads a lane from its head on; nothing is taken out before `finish`.
local function open_lane(queue, priority)
  local lanes, at = lanes_of(queue), 3 * priority + 1
  return {queue = queue, priority = priority, lanes = lanes, at = at, front = lanes[at + 1],
          elements = {}, stamps = {}, names = {}, texts = {}, taken = 0, kept = {},
          ahead = max(read_ahead_first, min(expected, read_ahead_most))}
end

local function read_on(lane, wanted)
  local count = #lane.elements
  -- It may have grown since it was opened.
  if count >= lane.lanes[lane.at] + lane.lanes[lane.at + 1] then return false end
  local key, first = lane_key(lane.queue, lane.priority), count - lane.front
  if count < lane.front then
    key, first = key .. ':front', count
    wanted = min(wanted, lane.front - count)
  end
  later.settle_list(key)
  local read = redis_call('LRANGE', key, first, first + wanted - 1)
  local elements, names = lane.elements, lane.names
  for i = 1, #read do
    local element, at = read[i], count + i
    local id = tonumber(element)
    if not id then
      local stamp
      id, stamp = string.match(element, '^(%d+):(%d+)$')
      id, lane.stamps[at] = tonumber(id), tonumber(stamp)
      element = text_of(id)
    end
    elements[at], names[at] = id, element
  end
  jobs.read_named(lane.queue.tag, elements, names, count + 1, count + #read, lane.texts)
  return #read > 0
end

-- The job an element stands for, a text or a table, unless it means nothing any more.
local function job_at(lane, at)
  local id = lane.elements[at]
  local stamp, job = lane.stamps[at] or id + 1, lane.texts[at]
  if jobs.any_met then
    local met = jobs.of_tag(lane.queue.tag)[id]
    if met ~= nil then job = met end
  end
  if not job then return nil end
  if type(job) == 'string' then
    return jobs.text_is_ready(job, lane.priority, stamp - id) and job
  end
  if job.status == queued and job.available == stamp and job.place == in_lane and
      job.priority == lane.priority then
    return job
  end
end

local function table_at(lane, at)
  return job_at(lane, at) and jobs.find(lane.queue.tag, lane.elements[at])
end

-- The first job of the lane that has not been taken or kept, and its id; nil when there is none.
local function head_of(lane, wanted)
  while true do
    local at = lane.taken + 1
    if not lane.elements[at] then
      if not read_on(lane, max(wanted, lane.ahead)) then return nil end
      lane.ahead = min(2 * lane.ahead, read_ahead_most)
    else
      local job = job_at(lane, at)
      if job then return job, lane.elements[at] end
      lane.taken = lane.taken + 1
      lane.lanes[lane.at + 2] = lane.lanes[lane.at + 2] - 1
    end
  end
end

local function take_head(lane, keep)
  lane.taken = lane.taken + 1
  if keep then lane.kept[#lane.kept + 1] = keep end
end

local function finish(lane)
  if lane.taken == 0 then return end
  change_lanes(lane.queue)
  local key, lanes, at = lane_key(lane.queue, lane.priority), lane.lanes, lane.at
  local from_front = min(lane.taken, lane.front)
  local from_lane = lane.taken - from_front
  if from_front > 0 then redis_call('LTRIM', key .. ':front', from_front, -1) end
  if from_lane > 0 then redis_call('LTRIM', key, from_lane, -1) end
  lanes[at] = lanes[at] - from_lane
  lanes[at + 1] = lanes[at + 1] - from_front
  if lane.front > 0 or #lane.kept > 0 or lanes[at + 2] > 0 then lane.queue.to_tidy = true end
  local kept = #lane.kept
  if kept == 0 then return end
  local backwards = {}
  for i = kept, 1, -1 do backwards[#backwards + 1] = element_of(lane.kept[i]) end
  in_pieces('LPUSH', key .. ':front', backwards)
  lanes[at + 1] = lanes[at + 1] + kept
end

-- What may be handed out next, over all lanes and what stands ahead of them. The lanes stay open
-- until the call ends or somebody reads them otherwise, so that many leases read them once.
local cursor = {}
cursor.__index = cursor

function ready.open(queue)
  local self = queue.cursor
  if not self then
    self = setmetatable({queue = queue, lanes = {}}, cursor)
    queue.cursor = self
  end
  self.priority, self.passed = queue.top, 0
  if queue.aside > 0 then
    local opens = aside_key(queue, 'opens')
    for _, group in ipairs(redis_call('ZRANGEBYSCORE', opens, '-inf', now)) do
      redis_call('ZREM', opens, group)
      wake_group(queue, group)
    end
  end
  return self
end

-- Takes out of the lanes what was taken from them.
function ready.settle(queue)
  local self = queue.cursor
  if not self or next(self.lanes) == nil then return end
  for _, lane in pairs(self.lanes) do finish(lane) end
  self.lanes = {}
end

local function lane_head(self, wanted)
  local counts, lanes = lanes_of(self.queue), self.lanes
  while self.priority >= 0 do
    local lane = lanes[self.priority]
    if not lane then
      local at = 3 * self.priority + 1
      if counts[at] + counts[at + 1] > counts[at + 2] then
        lane = open_lane(self.queue, self.priority)
        lanes[self.priority] = lane
      end
    end
    if lane then
      local job, id = head_of(lane, wanted)
      if job then
        self.queue.top = self.priority
        return job, id, lane
      end
    end
    self.priority = self.priority - 1
  end
end

-- The next job and its id, still where it is; nil when there is none. It is a text where nobody has
-- looked into it. `wanted`: how many may be asked for.
function cursor:peek(wanted)
  local job, id, lane = lane_head(self, wanted)
  self.lane = lane
  if self.queue.aside == 0 then return job, id end
  if job then job = jobs.find(self.queue.tag, id) end
  local order = redis_call('ZRANGE', aside_key(self.queue, 'ahead'), self.passed, self.passed)[1]
  if order and (not job or order < order_of(job)) then
    self.lane, id = nil, id_in(order)
    return jobs.find(self.queue.tag, id), id
  end
  return job, id
end

function cursor:take(job)
  if self.lane then take_head(self.lane) else leave_aside(self.queue, job) end
end

-- Keeps its place, for somebody else.
function cursor:pass(job)
  if self.lane then take_head(self.lane, job) else self.passed = self.passed + 1 end
end

-- Its group is at its bound; its rate, if that is why, until `opens`.
function cursor:park(job, opens)
  if self.lane then take_head(self.lane) else take_aside(self.queue, job) end
  put_aside(self.queue, job, is_parked)
  if opens then redis_call('ZADD', aside_key(self.queue, 'opens'), opens, job.group) end
end

-- What kept its place is the head again for whoever comes next.
function cursor:close()
  for _, lane in pairs(self.lanes) do
    if #lane.kept > 0 then
      self.queue.top = 9
      return ready.settle(self.queue)
    end
  end
end

-- The lane to take from, where it has been opened and nothing stands aside. What is behind `taken`
-- in it may be taken by whoever looks at each; an element without a stamp of its own is of a job
-- that became ready when it was made.
function ready.lane(queue)
  local self = queue.cursor
  return self and queue.aside == 0 and self.lanes[queue.top] or nil
end

-- Rewrites a little of each lane that is full of elements that mean nothing.
function ready.tidy(queue)
  queue.to_tidy = false
  local lanes = queue.lanes
  for priority = 0, 9 do
    local at = 3 * priority + 1
    local all, stale = lanes[at] + lanes[at + 1], lanes[at + 2]
    local key = (all > 0 or stale > 0) and lane_key(queue, priority)
    if stale > 0 then later.settle_list(key) end
    if stale > 0 and stale >= all then
      redis_call('DEL', key, key .. ':front')
      lanes[at], lanes[at + 1], lanes[at + 2] = 0, 0, 0
      change_lanes(queue)
    elseif lanes[at] > 0 and stale > stale_min and stale > all / 2 then
      local front = lanes[at + 1]
      local lane = open_lane(queue, priority)
      lane.front = 0
      local kept = {}
      read_on(lane, min(rewritten, lanes[at]))
      for i = 1, #lane.elements do
        local job = table_at(lane, i)
        if job then kept[#kept + 1] = element_of(job) end
      end
      local read = #lane.elements
      in_pieces('RPUSH', key .. ':front', kept)
      redis_call('LTRIM', key, read, -1)
      lanes[at], lanes[at + 1] = lanes[at] - read, front + #kept
      lanes[at + 2] = stale - (read - #kept)
      change_lanes(queue)
    end
    if lanes[at] == 0 and lanes[at + 1] > 0 then
      redis_call('RENAME', key .. ':front', key)
      lanes[at], lanes[at + 1] = lanes[at + 1], 0
      change_lanes(queue)
    end
    if lanes[at + 1] > 0 or lanes[at + 2] > 0 then queue.to_tidy = true end
  end
end

-- The time since which the one that has waited longest is available.
function ready.oldest(queue)
  ready.settle(queue)
  local oldest
  for priority = 0, 9 do
    local lanes, at = lanes_of(queue), 3 * priority + 1
    if lanes[at] + lanes[at + 1] > lanes[at + 2] then
      local lane = open_lane(queue, priority)
      local job
      local index = 1
      while not job do
        if not lane.elements[index] and not read_on(lane, 8) then break end
        job = table_at(lane, index)
        index = index + 1
      end
      if job and (not oldest or job.run_at < oldest) then oldest = job.run_at end
    end
  end
  if queue.aside > 0 then
    local id = tonumber(redis_call('ZRANGE', aside_key(queue, 'aside'), 0, 0)[1])
    local job = jobs.find(queue.tag, id)
    if not oldest or job.run_at < oldest then oldest = job.run_at end
  end
  return oldest
end

-- Groups: how many of a group's jobs run is counted with each lease and each end of one.
function ready.group_runs(queue, group)
  return tonumber(redis_call('HGET', aside_key(queue, 'groups'), group)) or 0
end

function ready.count_run(queue, group, by)
  local key = aside_key(queue, 'groups')
  if redis_call('HINCRBY', key, group, by) <= 0 then redis_call('HDEL', key, group) end
end
