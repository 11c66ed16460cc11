-- What carries a correlation id, newest first.

local read_at_once = 100
local page_bytes_max = 4194304

-- Collects a page, which ends behind `last`.
local function new_page(most)
  local page = {items = {}, bytes = 0, rows = 0, more = false}
  -- `text`: nil where there is nothing any more. False: it is full.
  function page.add(stamp, text)
    if #page.items == most or page.bytes > page_bytes_max or page.rows == limits.listing_rows then
      page.more = true
      return false
    end
    page.rows, page.last = page.rows + 1, stamp
    if text then page.bytes, page.items[#page.items + 1] = page.bytes + #text, text end
    return true
  end
  return page
end

local function job_text(job) return job and pack(true) .. answers.job(job.tag, job.id, job) end

local function event_text(project, name, offset, stamp)
  local stream = correlated.stream_with(project, name, offset, stamp)
  if not stream then return nil end
  local id = format('%.0f-%.0f', offset, stamp)
  local entry = redis_call('XRANGE', stream.key, id, id, 'COUNT', 1)[1]
  return entry and pack(false, project, name, stream.epoch, offset, stamp) .. entry[2][2]
end

local function text_of_member(project, member)
  local stamp, tag, name, offset = correlated.place_of(member)
  if tag then return stamp, job_text(jobs.find(tag, stamp)) end
  return stamp, event_text(project, name, offset, stamp)
end

-- The job whose own id it is, if it carries no other.
local function itself(project, bound, tag, id)
  local job = id and id < bound and jobs.find(tag, id)
  if job and not rare(job).correlation and queues.of(job).project == project then return job end
end

queries[68] = {
  arity = 6,
  answer = function(_, project, carried, most, bound, own_tag, own_id)
    local page, begin = new_page(most), correlated.begin_of(project, carried)
    local own, behind = itself(project, bound, own_tag, own_id), begin .. text_of(bound)
    local function add(stamp, text)
      if own and own.id > stamp then
        if not page.add(own.id, job_text(own)) then return false end
        own = nil
      end
      return page.add(stamp, text)
    end
    local goes_on = carried ~= ''
    while goes_on do
      local members = redis_call('ZREVRANGEBYLEX', correlated.key, '(' .. behind, '[' .. begin,
                                 'LIMIT', 0, read_at_once)
      for _, member in ipairs(members) do
        behind = member
        goes_on = add(text_of_member(project, member))
        if not goes_on then break end
      end
      goes_on = goes_on and #members == read_at_once
    end
    if own and not page.more then page.add(own.id, job_text(own)) end
    return pack(not correlated.is_full(), page.more and page.last or nil, #page.items) ..
           concat(page.items)
  end,
}
