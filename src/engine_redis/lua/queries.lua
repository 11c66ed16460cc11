-- What can be read. Everything that was changed before has been settled.

parts.need('steps_cron')

-- By number: {arity, answer}.

local function job_or_nothing(job)
  return job and answers.job(job.tag, job.id, job) or pack(nil)
end

queries[1] = {
  arity = 2,
  answer = function(_, tag, id) return job_or_nothing(jobs.find(tag, id)) end,
}

queries[2] = {
  arity = 3,
  answer = function(_, tag, id, after)
    local out = {}
    if jobs.find(tag, id) then
      for _, line in ipairs(redis_call('LRANGE', change.log_key(tag, id), 0, -1)) do
        local _, stamp = unpack_some(line, 1, 0)
        if stamp > after then out[#out + 1] = line end
      end
    end
    return pack(#out) .. concat(out)
  end,
}

local page_bytes_max = 16777216

local function has_labels(body, wanted)
  local _, _, labels = unpack_some(body, 2, 0)
  local of = {}
  for i = 1, #labels, 2 do of[labels[i]] = labels[i + 1] end
  for i = 1, #wanted, 2 do
    if of[wanted[i]] ~= wanted[i + 1] then return false end
  end
  return true
end

local function matches(job, filter)
  if filter.status and job.status ~= filter.status then return false end
  if filter.type then
    local _, its_type = unpack_some(job.body, 1, 0)
    if its_type ~= filter.type then return false end
  end
  if #filter.labels > 0 and not has_labels(job.body, filter.labels) then return false end
  if not filter.cause then return true end
  return job.status == dead and (rare(job).cause or '') == filter.cause
end

-- Collects a page. `add` answers false when it is full; the page then ends behind `last`.
local function new_page(filter, most)
  local page = {items = {}, bytes = 0, rows = 0, more = false}
  function page.add(job, place)
    if matches(job, filter) then
      if #page.items == most or page.bytes > page_bytes_max then
        page.more = true
        return false
      end
      local text = answers.job(job.tag, job.id, job)
      page.bytes = page.bytes + #text
      page.items[#page.items + 1] = text
    end
    return page.pass(place)
  end
  function page.pass(place)
    page.rows = page.rows + 1
    page.last = place
    page.more = page.rows >= limits.listing_rows
    return not page.more
  end
  return page
end

local function list_newest(queue, before, page)
  jobs.each(queue.tag, 0, before and before - 1 or math.huge, true, function(job)
    local place = {-job.id, job.id}
    if job.queue ~= queue.number then return page.pass(place) end
    return page.add(job, place)
  end)
end

local read_by_time = 200

local function list_by_time(queue, key, after_time, after_id, page)
  local from, met = after_time or '-inf', 0
  while true do
    local found = redis_call('ZRANGEBYSCORE', key, from, '+inf', 'WITHSCORES', 'LIMIT', met,
                             read_by_time)
    if #found == 0 then return end
    met = met + #found / 2
    local ids = {}
    for i = 1, #found, 2 do ids[#ids + 1] = tonumber(found[i]) end
    jobs.prefetch(queue.tag, ids)
    for i, id in ipairs(ids) do
      local time, job = tonumber(found[2 * i]), jobs.find(queue.tag, id)
      local behind = not after_time or time > after_time or id > after_id
      if job and behind and not page.add(job, {time, id}) then return end
    end
  end
end

queries[3] = {
  arity = 8,
  answer = function(_, number, status, wanted_type, labels, cause, most, at, id)
    local queue = batch_queues[number]
    local page = new_page({status = status, type = wanted_type, labels = labels, cause = cause},
                          most)
    if queue.number then
      if status == dead then
        list_by_time(queue, queue.dlq_key, at, id, page)
      elseif status == retrying then
        list_by_time(queue, queue.retry_key, at, id, page)
      elseif status == scheduled then
        list_by_time(queue, queue.scheduled_key, at, id, page)
      else
        list_newest(queue, id, page)
      end
    end
    local place = page.more and page.last or {}
    return pack(#page.items, place[1], place[2]) .. concat(page.items)
  end,
}

queries[4] = {
  arity = 2,
  answer = function(_, number, index)
    local queue = batch_queues[number]
    local id = redis_call('ZRANGE', queue.dlq_key, index, index)[1]
    return job_or_nothing(id and jobs.find(queue.tag, tonumber(id)))
  end,
}

local function recent_minutes(queue)
  local first, out = floor(now / 60000000) - 60, {}
  for minute, counts in pairs(queues.all_minutes(queue)) do
    if minute > first then out[#out + 1] = {minute, counts} end
  end
  table.sort(out, function(a, b) return a[1] < b[1] end)
  return out
end

local function info_of(queue)
  local minutes = recent_minutes(queue)
  local out = {pack(queue.project, queue.name, queue.settings_text or nil,
                    state.defaults_text or nil, queue.paused, queue.draining,
                    unpack(queue.count, 0, 6))}
  out[2] = pack(ready.oldest(queue), #minutes)
  for _, one in ipairs(minutes) do
    out[#out + 1] = pack(one[1], unpack(one[2], 1, 4))
  end
  return concat(out)
end

queries[5] = {
  arity = 1,
  answer = function(_, number)
    local queue = batch_queues[number]
    return queue.number and pack(true) .. info_of(queue) or pack(false)
  end,
}

-- Names of a project, in order, from the one behind `after` on; one more than wanted.
local function names_of(key, project, after, most)
  local from = after and '(' .. project .. '\0' .. after or '[' .. project .. '\0'
  return redis_call('ZRANGEBYLEX', key, from, '(' .. project .. '\1', 'LIMIT', 0, most + 1)
end

local function page_by_name(key, project, after, most, item_of)
  local names, out = names_of(key, project, after, most), {}
  local last
  for i = 1, min(#names, most) do
    last = string.sub(names[i], #project + 2)
    out[i] = item_of(last)
  end
  return pack(#out, #names > most and last or nil) .. concat(out)
end

queries[6] = {
  arity = 3,
  answer = function(_, project, after, most)
    return page_by_name(prefix .. 'queues:names', project, after, most, function(name)
      return info_of(queues.named(project, name, queues.tag_of(name)))
    end)
  end,
}

local causes_shown = 10

local function top_causes(queue)
  local kept, all = redis_call('HGETALL', change.causes_key(queue)), {}
  for i = 1, #kept, 2 do
    local _, count, sample = unpack_some(kept[i + 1], 2, 0)
    all[#all + 1] = {cause = kept[i], count = count, sample = sample}
  end
  table.sort(all, function(a, b)
    if a.count ~= b.count then return a.count > b.count end
    return a.cause < b.cause
  end)
  local out = {}
  for i = 1, min(#all, causes_shown) do
    out[i] = pack(all[i].cause, all[i].sample, all[i].count)
  end
  return pack(#out) .. concat(out)
end

queries[7] = {
  arity = 1,
  answer = function(_, project)
    local found, out = {}, {}
    for _, number in ipairs(redis_call('SMEMBERS', prefix .. 'troubled')) do
      local queue = queues.numbered(tonumber(number))
      local done, failed = 0, 0
      for _, one in ipairs(recent_minutes(queue)) do
        done, failed = done + one[2][2], failed + one[2][3]
      end
      if queue.count[dead] == 0 and queue.count[retrying] == 0 and failed == 0 then
        redis_call('SREM', prefix .. 'troubled', number)
      elseif queue.project == project then
        found[#found + 1] = {queue, done, failed}
      end
    end
    table.sort(found, function(a, b) return a[1].name < b[1].name end)
    for i, one in ipairs(found) do
      local queue = one[1]
      local first = redis_call('ZRANGE', queue.dlq_key, 0, 0, 'WITHSCORES')
      out[i] = pack(queue.name, queue.count[dead], queue.count[retrying], one[2], one[3],
                    tonumber(first[2]), queue.dead_attempts) .. top_causes(queue)
    end
    return pack(#out) .. concat(out)
  end,
}

local function cron_item(project, name)
  return pack(name, crons.pack(crons.find(project, name)))
end

queries[8] = {
  arity = 2,
  answer = function(_, project, name)
    return crons.find(project, name) and cron_item(project, name) or pack(nil)
  end,
}

queries[9] = {
  arity = 3,
  answer = function(_, project, after, most)
    return page_by_name(crons.names_key, project, after, most, function(name)
      return cron_item(project, name)
    end)
  end,
}

queries[10] = {
  arity = 1,
  answer = function(_, most)
    local found = redis_call('ZRANGEBYSCORE', crons.slots_key, '-inf', now, 'LIMIT', 0, most)
    local behind = redis_call('ZRANGE', crons.slots_key, #found, #found, 'WITHSCORES')
    local out = {pack(#found, tonumber(behind[2]))}
    for i, name in ipairs(found) do out[i + 1] = cron_item(queues.split(name)) end
    return concat(out)
  end,
}

queries[11] = {arity = 0, answer = function() return pack(now) end}

queries[12] = {
  arity = 0,
  answer = function()
    local stamp = text_of(next_stamp())
    redis_call('SET', prefix .. 'probe', stamp, 'EX', 60)
    return pack(redis_call('GET', prefix .. 'probe') == stamp)
  end,
}
