-- Runs: what the run of a job changes stands apart from the job, so that little is written when
-- one begins or ends. The job's own text stays what it was before. A job that any other step
-- changes has no run here any more: its text says everything.
--
-- Beside a bucket (buckets.lua) stand pages: under the first 14 digits of ids, the runs of those jobs. A
-- byte says how many; each run is: the last two digits of the id (1), bytes that follow (2), kind
-- (1), queue (3), attempts (2), zero (1), run at, started (7 each), and by its kind
--   2   running: leased until (7), length of the lease and timeout (6 each), worker behind its
--       length (1), token (7)
--   18  the same, of a job that has a unique key or a log
--   4   completed: token, finished (7 each), result, packed, version (7)
--
-- The leases of a queue have a page once, by those 14 digits, at the end of its first lease.

local struct_pack, struct_unpack = struct.pack, struct.unpack
local byte, sub, char = string.byte, string.sub, string.char

local plain, with_more, done = running, 18, completed
local kind_at = 4
local largest_result = 512  -- bytes; a larger one is no part of a page
local pages_known = 400

-- Values that are made when they are first asked for, by what they are made of.
function runs.made_once(make)
  return setmetatable({}, {
    __index = function(all, of)
      local value = make(of)
      all[of] = value
      return value
    end,
  })
end

local digits = runs.made_once(char)  -- the last two of an id, as a byte
runs.digits = digits

local written = {}                   -- pages to write back
local pages, page_count = {}, 0      -- tag -> first id -> page; known perhaps since an earlier call
local leases_epoch                   -- they count their leases as of that

function runs.begin_anew() written = fresh(written) end

-- Somebody has changed something since the last call, or too many are known.
function runs.forget_pages() pages, page_count, runs.is_full = {}, 0, false end

-- When a lease ends; of one from before the epoch, a full interval after that began.
local function lease_end(run)
  local started, till, length, timeout = struct_unpack('>i7i7I6I6', run, 18)
  if struct_unpack('>I7', run, #run - 6) + 1 >= state.epoch_stamp then return till end
  till = state.epoch_now + length
  return timeout > 0 and min(till, started + timeout) or till
end

local function queue_of(run)
  local high, middle, low = byte(run, 5, 7)
  return 65536 * high + 256 * middle + low
end

-- Of the runs of one queue in a page: how many leases end when, and when the first does.
local function count_end(page, number, till, times)
  local leases = page.leases[number]
  if not leases then
    leases = {ends = {}}
    page.leases[number] = leases
  end
  local ends = leases.ends
  ends[till] = (ends[till] or 0) + times
  if leases.first and leases.first <= till then return false end
  leases.first = till
  return true
end

function runs.add_ends(page, queue, till, times)
  if count_end(page, queue.number, till, times) then
    later.score(queue.leases_key, page.field, till)
  end
end

function runs.remove_ends(page, queue, till, times)
  local leases = page.leases[queue.number]
  local ends = leases.ends
  local left = ends[till] - times
  if left > 0 then
    ends[till] = left
    return
  end
  ends[till] = nil
  if leases.first ~= till then return end
  local first = next(ends)
  for each in pairs(ends) do first = min(first, each) end
  leases.first = first
  later.score(queue.leases_key, page.field, first or false)
end

local function is_running(run)
  local kind = byte(run, kind_at)
  return kind == plain or kind == with_more
end

-- Whose the plain runs of a page are.
function runs.note_queue(page, number)
  if page.queue == nil then
    page.queue = number
  elseif page.queue ~= number then
    page.queue = false
  end
end

-- What is known of a plain run beside its text: the token, as it is packed, and the end of its
-- lease.
local function note_plain(page, id, number, token, till)
  runs.note_queue(page, number)
  page.tokens[id], page.tills[id] = token, till
end

local function count_leases(page)
  page.leases, page.tokens, page.tills, page.queue = {}, {}, {}, nil
  for _, run in ipairs(page.list) do
    if is_running(run) then
      local number, till = queue_of(run), lease_end(run)
      count_end(page, number, till, 1)
      if byte(run, kind_at) == plain then
        note_plain(page, page.first + byte(run), number, sub(run, -7), till)
      end
    end
  end
end

local function read_page(bucket, first, text)
  local list, at, pos = {}, {}, 2
  for i = 1, text and byte(text) or 0 do
    local last, high, low = byte(text, pos, pos + 2)
    local behind = pos + 3 + 256 * high + low
    list[i], at[first + last] = sub(text, pos, behind - 1), i
    pos = behind
  end
  local page = {bucket = bucket, first = first, field = format('%014d', first / 100), list = list,
                at = at, is_kept = text and true}
  count_leases(page)
  pages[bucket.tag][first] = page
  page_count = page_count + 1
  if page_count > pages_known then runs.is_full = true end
  return page
end

-- Those that are known of a tag.
local function pages_of(tag)
  if leases_epoch ~= state.epoch then
    leases_epoch = state.epoch
    for _, of_tag in pairs(pages) do
      for _, page in pairs(of_tag) do count_leases(page) end
    end
  end
  local found = pages[tag]
  if not found then
    found = {}
    pages[tag] = found
  end
  return found
end

local function fetch_page(tag, first, id)
  local page = pages_of(tag)[first]
  if page then return page end
  local bucket = jobs.bucket_of(tag, id)
  if not bucket then return nil end
  -- All of whose jobs are of this call has none yet.
  local text = first <= jobs.stamp_before and
               redis_call('HGET', bucket.runs_key, format('%014d', first / 100))
  return read_page(bucket, first, text)
end

-- The page that the run of a job stands in, or would: its runs in a `list`, `at` which place that
-- of an id is; of those that are plain the `tokens` and `tills` by id and the number of the queue
-- (false: of several). Nil where there is no such job.
local function page_of(tag, id)
  local first, met = id - id % 100, pages[tag]
  local page = met and leases_epoch == state.epoch and met[first]
  return page or fetch_page(tag, first, id)
end

-- The run of a job and its page; nil where there is none.
local function find_run(tag, id)
  local page = page_of(tag, id)
  if not page then return nil end
  return page.list[page.at[id]], page
end

-- Makes the pages of jobs in a bucket known.
function runs.prefetch(bucket, ids)
  local known, wanted, fields = pages_of(bucket.tag), {}, {}
  for i = 1, #ids do
    local first = ids[i] - ids[i] % 100
    if not known[first] and first ~= wanted[#wanted] then
      wanted[#wanted + 1], fields[#fields + 1] = first, format('%014d', first / 100)
    end
  end
  if #wanted == 0 then return end
  local texts = redis_call('HMGET', bucket.runs_key, unpack(fields))
  for i, first in ipairs(wanted) do
    if not known[first] then read_page(bucket, first, texts[i]) end
  end
end

runs.page_of = page_of

-- It will be written back.
local function note(page)
  if page.is_changed then return end
  touch(runs)
  page.is_changed = true
  written[#written + 1] = page
end

runs.note = note

-- What the text of a ready job comes to when it is leased: `is_grouped`, its `priority`, whether
-- it became ready when it was made and stands in a lane (`is_fresh`), whether its run `is_plain`,
-- when its lease ends (`till`), attempts with that end, as they are packed (`answer`), and the
-- parts of a run: `head`, when it was to run (of the text), `tail`, token.
local shape = {}

-- The same table each time. `looks`: what stands in the text from 19 to 56.
function runs.shape(queue, looks, length, worker)
  if looks == shape.looks and queue.number == shape.queue and length == shape.length and
      worker == shape.worker and now == shape.now then
    return shape
  end
  shape.looks, shape.queue, shape.length = looks, queue.number, length
  shape.worker, shape.now = worker, now
  local status, priority, attempts, flags, available, own, timeout, group, unique =
      struct_unpack('>BBHHi7xxxxxxxxxI6I6xBH', looks)
  length = length or (own > 0 and own or limits.lease_default)
  local till = now + (timeout > 0 and min(length, timeout) or length)
  shape.priority, shape.is_grouped = status == queued and priority, group > 0
  shape.is_fresh = available == 1 and flags < 64
  shape.is_plain = unique == 0 and flags % 16 < 8
  shape.till, shape.answer = till, struct_pack('>Hi7', attempts + 1, till)
  shape.head = struct_pack('>HBI3HB', 48 + #worker, shape.is_plain and plain or with_more,
                           queue.number, attempts + 1, 0)
  shape.tail = struct_pack('>i7i7I6I6B', now, till, length, timeout, #worker) .. worker
  return shape
end

-- A run of a job that is ready begins; with a token, the end of its lease and attempts with that
-- end, as they are packed. Nothing for a job of a group.
function runs.start(queue, id, text, length, worker, token)
  local its = runs.shape(queue, sub(text, 19, 56), length, worker)
  if its.is_grouped then return nil end
  local page, packed = page_of(queue.tag, id), struct_pack('>I7', token)
  local count = #page.list + 1
  page.list[count] = digits[id % 100] .. its.head .. sub(text, 12, 18) .. its.tail .. packed
  page.at[id] = count
  if its.is_plain then note_plain(page, id, queue.number, packed, its.till) end
  runs.add_ends(page, queue, its.till, 1)
  note(page)
  return its.till, packed, its.answer
end

function runs.is_ended(tag, id)
  local run = find_run(tag, id)
  return run and byte(run, kind_at) == done
end

-- Whether a job runs under this token; nil where it has no run here.
function runs.has_token(tag, id, token)
  local run = find_run(tag, id)
  return run and is_running(run) and struct_unpack('>I7', run, #run - 6) == token
end

local end_result, end_now, end_head, end_tail

-- What a run that ended with this result has in common with others: what follows its digits, up to
-- the queue, and what stands between its token and its version. Nothing where the result is too
-- large.
function runs.ending(packed_result)
  if end_result ~= packed_result or end_now ~= now then
    if #packed_result > largest_result then return nil end
    end_result, end_now = packed_result, now
    end_head = struct_pack('>HB', 42 + #packed_result, done)
    end_tail = struct_pack('>i7', now) .. packed_result
  end
  return end_head, end_tail
end

-- The run under this token has succeeded: its queue, and attempts, whether it was to be cancelled
-- and when it was to run, as they are packed. Nothing where there is no such run here, or more to
-- be seen to.
function runs.complete(tag, id, token, packed_result, version)
  local run, page = find_run(tag, id)
  local packed, first_part, last_part = page and page.tokens[id], runs.ending(packed_result)
  if not packed or not first_part or struct_unpack('>I7', packed) ~= token then return nil end
  page.list[page.at[id]] = digits[id % 100] .. first_part .. sub(run, 5, 24) .. packed ..
                           last_part .. struct_pack('>I7', version)
  local queue = queues.numbered(queue_of(run))
  runs.remove_ends(page, queue, page.tills[id], 1)
  page.tokens[id], page.tills[id] = nil, nil
  note(page)
  return queue, sub(run, 8, 17)
end

local function drop(page, id)
  local list, index = page.list, page.at[id]
  local run, last = list[index], #list
  list[index] = list[last]
  page.at[page.first + byte(list[last])] = index
  list[last], page.at[id] = nil, nil
  note(page)
  page.tokens[id], page.tills[id] = nil, nil
  if is_running(run) then
    runs.remove_ends(page, queues.numbered(queue_of(run)), lease_end(run), 1)
  end
end

-- The job has none any more.
function runs.drop(tag, id)
  local run, page = find_run(tag, id)
  if run then drop(page, id) end
end

-- What its run has made of a job; nothing where it has none.
function runs.merge(job)
  local run = find_run(job.tag, job.id)
  if not run then return end
  local kind
  kind, job.attempts, job.started = struct_unpack('>BxxxHxxxxxxxxi7', run, kind_at)
  local last = struct_unpack('>I7', run, #run - 6)
  job.text, job.run, job.worker, job.finished = nil, true, nil, nil
  job.leased_until, job.lease_length = nil, nil
  if kind == done then
    job.status, job.version = completed, last
    job.token, job.finished = struct_unpack('>I7i7', run, 25)
    local _
    _, rare(job).result = unpack_some(sub(run, 39, -8), 1, 0)
    return
  end
  job.status, job.token, job.version, job.leased_until = running, last, last + 1, lease_end(run)
  local worker
  job.lease_length, worker = struct_unpack('>I6xxxxxxBc0', run, 32)
  if worker ~= '' then job.worker = worker end
end

-- Ids of the jobs of a queue that run, by a page that its leases have, with the ends of their
-- leases.
function runs.each(queue, field, show)
  local first = tonumber(field) * 100
  local page = fetch_page(queue.tag, first, first + 99)
  local leases = page and page.leases[queue.number]
  later.score(queue.leases_key, field, leases and leases.first or false)
  if not leases or not leases.first then return end
  for _, run in ipairs(page.list) do
    if is_running(run) and queue_of(run) == queue.number then
      show(first + byte(run), lease_end(run))
    end
  end
end

-- Pages all of whose jobs may have gone: first id -> ids, of one bucket.
local function forget_unread(bucket, gone, is_exact)
  local firsts, fields = {}, {}
  for first in pairs(gone) do
    firsts[#firsts + 1], fields[#fields + 1] = first, format('%014d', first / 100)
  end
  if #firsts == 0 then return end
  local texts, removed = redis_call('HMGET', bucket.runs_key, unpack(fields)), nil
  for i, first in ipairs(firsts) do
    local text, ids = texts[i], gone[first]
    if text and is_exact and byte(text) == #ids then
      removed = removed or later.list('removed', bucket.runs_key)
      removed[#removed + 1] = fields[i]
      -- Until it is written.
      note(read_page(bucket, first, nil))
    elseif text then
      local page = read_page(bucket, first, text)
      for _, id in ipairs(ids) do
        if page.at[id] then drop(page, id) end
      end
    end
  end
end

-- The runs of ended jobs of a bucket go. `is_exact`: each of them is there.
function runs.forget(bucket, ids, is_exact)
  local unread, known = {}, pages_of(bucket.tag)
  for i = 1, #ids do
    local id = ids[i]
    local first = id - id % 100
    local page = known[first]
    if page then
      if page.at[id] then drop(page, id) end
    else
      local list = unread[first]
      if list then list[#list + 1] = id else unread[first] = {id} end
    end
  end
  forget_unread(bucket, unread, is_exact)
end

-- None of a bucket is known any more.
function runs.drop_bucket(bucket)
  for first, page in pairs(pages_of(bucket.tag)) do
    if page.bucket.key == bucket.key then
      if page.is_changed then
        -- Then it is about to be written: as nothing.
        page.list, page.at, page.tokens, page.tills, page.is_kept = {}, {}, {}, {}, false
      else
        pages[bucket.tag][first] = nil
        page_count = page_count - 1
      end
    end
  end
end

-- Hands everything over to `later`.
function runs.save()
  for _, page in ipairs(written) do
    page.is_changed = false
    local key, count = page.bucket.runs_key, #page.list
    if count > 0 then
      local list = later.list('fields', key)
      list[#list + 1], list[#list + 2] = page.field, char(count) .. concat(page.list)
    elseif page.is_kept then
      local list = later.list('removed', key)
      list[#list + 1] = page.field
    end
    page.is_kept = count > 0
    if count == 0 then
      pages[page.bucket.tag][page.first] = nil
      page_count = page_count - 1
    end
  end
  emptied(written)
end
