-- The call itself.
--
--   stores   hash: process -> when it was last heard, and the number of its last call
--   watched  string: somebody wants to hear of every change of a job
--   hints    channel: which queues have jobs, which jobs and whether recurring ones changed

local stores_key
at_each_store(function() stores_key = prefix .. 'stores' end)

local kind_transaction, kind_many = 1, 3
local store_id

-- What the steps of the transaction that is under way have found out, for each other.
local plan = {addressed = {}, jobs_added = {}, queues_added = {}}

local function new_plan(level)
  for name, value in pairs(plan) do
    if type(value) ~= 'table' then
      plan[name] = nil
    elseif next(value) ~= nil then
      plan[name] = {}
    end
  end
  plan.queues_count, plan.crons_added, plan.level = 0, 0, level
end

local function is_addressed(id)
  if not id then return false end
  if plan.addressed[id] then return true end
  plan.addressed[id] = true
  return false
end

local function check(list, kinds)
  for i, kind in ipairs(kinds) do
    if kind.addressed then
      local first, second = kind.addressed(list[i])
      if is_addressed(first) or is_addressed(second) then return 'duplicate_target', i end
    end
    local why = kind.check(list[i], plan)
    if why then return why, i end
  end
end

-- The part that has the steps and the queries with this number.
local function need_part(number)
  if number < 20 then
    parts.need('steps_cron')
  elseif number < 40 then
    parts.need('steps_cache')
  elseif number < 50 then
    parts.need('steps_limits')
  elseif number >= 80 and number < 90 then
    parts.need('steps_sessions')
  elseif number >= 50 and number < 60 then
    parts.need('steps_permits')
  elseif number >= 70 and number < 80 then
    parts.need('steps_groups')
  end
end

local function kind_of(number)
  if not steps[number] then need_part(number) end
  return steps[number]
end

local function read_step(text, off)
  local number
  off, number = unpack_some(text, 1, off)
  local kind = kind_of(number)
  if kind.read then
    local step
    step, off = kind.read(text, off)
    return kind, step, off
  end
  local step = {unpack_some(text, kind.arity, off)}
  return kind, step, step[1]
end

local function refused(why, at) return pack('!', why, at - 1) end

local alone = {alone = true, addressed = {}}
local one_done = pack('+', false, 1)

-- Nearly all transactions are one step: nothing has to be kept apart then.
local function transact_one(text, off, level)
  local kind, step = read_step(text, off)
  alone.level = level
  local why = kind.check(step, alone)
  if why then return refused(why, 1) end
  local outcome = kind.apply(step, alone)
  change.trim_ended(false)
  return one_done .. outcome
end

local function transact(text)
  local off, _, count, level, name, fingerprint = unpack_some(text, 5, 0)
  state.due_changed = true
  if count == 1 and not name then return transact_one(text, off, level) end
  if name then
    local answer, why = idempotency.find(name, fingerprint)
    if answer then return answer end
    if why then return refused(why, 1) end
  end
  local list, kinds = {}, {}
  for i = 1, count do kinds[i], list[i], off = read_step(text, off) end
  new_plan(level)
  local why, at = check(list, kinds)
  if why then return refused(why, at) end
  local out, kept = {pack('+', false, count)}, {}
  for i, kind in ipairs(kinds) do
    plan.kept = name and true or nil
    out[i + 1] = kind.apply(list[i], plan)
    if name then kept[i] = plan.kept == true and out[i + 1] or plan.kept end
  end
  change.trim_ended(false)
  if name then idempotency.keep(name, fingerprint, kept) end
  return concat(out)
end

function settle()
  jobs.save()
  queues.save()
  later.check_types()
  later.settle_all()
end

local function answer_query(text)
  local off, _, number = unpack_some(text, 2, 0)
  parts.need('queries')
  if not queries[number] then need_part(number) end
  local query = queries[number]
  if number ~= 1 then settle() end
  if query.arity == 0 then return query.answer() end
  return query.answer(unpack_some(text, query.arity, off))
end

-- Whether the engine begins to live anew; keeps who uses it.
local function meet_stores(opening, run_id)
  local begins = state.was_away or state.epoch == 0
  if opening then
    -- Of those that a server knew before it was restarted each makes itself known again.
    local restarted = redis_call('HGET', keys[1], 'run_id') ~= run_id
    local others, stores = false, redis_call('HGETALL', stores_key)
    for i = 1, #stores, 2 do
      local seen = tonumber(string.match(stores[i + 1], '^%d+'))
      if restarted or (seen < state.real - state.away_after and stores[i] ~= store_id) then
        redis_call('HDEL', stores_key, stores[i])
      else
        others = true
      end
    end
    if restarted or not others then begins = true end
    later.add('fields', keys[1], 'run_id', run_id)
  end
  if begins then state.begin_epoch() end
end

local no_hints = pack(false, 0, 0, 0, 0)

local function hint_text()
  if not hints.crons and next(hints.available) == nil and #hints.jobs == 0 and
      #hints.cache == 0 and #hints.topics == 0 then
    return no_hints, false
  end
  local out, count = {}, 0
  for queue, available in pairs(hints.available) do
    count = count + 1
    out[count] = pack(queue.project, queue.name, available)
  end
  local told, changed_jobs = {}, {}
  for _, job in ipairs(hints.jobs) do
    local key = job.tag .. '~' .. text_of(job.id)
    if not told[key] then
      told[key] = true
      changed_jobs[#changed_jobs + 1] = pack(job.tag, job.id)
    end
  end
  local filled, topics = {}, hints.topics
  for i, at in ipairs(hints.cache) do filled[i] = pack(at[1], at[2]) end
  return pack(hints.crons, count) .. concat(out) .. pack(#changed_jobs) .. concat(changed_jobs) ..
         pack(#filled) .. concat(filled) .. pack(#topics) .. concat(topics),
         hints.crons or count > 0 or #changed_jobs > 0 or #filled > 0 or #topics > 0
end

-- Writes everything down and says what there is to say besides the answers. `number`: of the last
-- call of this store that has happened.
local function finish(number)
  change.trim_ended(true)
  queues.settle_lanes()
  cache.save()
  streams.save()
  jobs.save()
  queues.save()
  later.add('fields', stores_key, store_id, format('%d %d', state.real, number))
  later.check_types()
  queues.tidy()
  queues.save()
  later.settle_all()
  jobs.drop_empty_buckets()
  queues.prune()
  local text, any = hint_text()
  if any then redis_call('PUBLISH', prefix .. 'hints', pack(store_id) .. text) end
  if state.due_changed then
    local first = redis_call('ZRANGE', prefix .. 'due', 0, 0, 'WITHSCORES')
    state.next_due = earlier(tonumber(first[2]), live.next_time()) or state.never
  end
  state.save()
  return pack(now, state.next_due < state.never and state.next_due or nil) .. text
end

local opens, closes, wants_jobs, watches = 1, 2, 4, 8

local function has(flags, flag) return flags % (2 * flag) >= flag end

-- Everything that is due. False: there is more of it than one call should do.
local function let_all_happen()
  if now < state.next_due then return true end
  state.due_changed = true
  local all_ended = live.let_end()
  return change.let_happen() and all_ended
end

local sweep_every = 50000

-- What is old goes, a little with every call; where there was none, it is not looked for all the
-- time.
local function sweep()
  if not manual_clock and now < state.swept + sweep_every then return end
  local jobs_gone, keys_gone = change.forget_old(1000), idempotency.forget_old()
  if cache.sweep() and jobs_gone and keys_gone then state.swept = now end
end

-- Of when a store was last heard, and the number of its last call.
local function last_number(text)
  return text and tonumber(string.sub(text, string.find(text, ' ', 1, true) + 1)) or nil
end

local function run()
  local _, layout, time, store, number, flags, level, run_id, defaults =
      unpack_some(args[1], 8, 0)
  if layout ~= limits.layout then error({err = 'NEWERLAYOUT ' .. layout}) end
  store_id, strongest, manual_clock = store, level, time ~= nil
  local opening, closing = flags > 0 and has(flags, opens), flags > 0 and has(flags, closes)
  if opening then
    parts.need('permissions')
    state.check_permissions()
  end
  state.load(time)
  local last = last_number(redis_call('HGET', stores_key, store))
  later.is_read(keys[1])
  later.is_read(stores_key)
  if last and not opening and not closing then
    -- A call whose answer was lost, and which is sent again, has happened already; one that
    -- overtook another has to wait for it.
    if number <= last then return {'done'} end
    if number > last + 1 then return {'gap'} end
  end
  meet_stores(opening, run_id)
  if flags > 0 and has(flags, watches) then state.watched_until = state.real + state.away_after end
  hints.wanted = (flags > 0 and has(flags, wants_jobs)) or state.real < state.watched_until
  if opening or closing then state.due_changed = true end
  if opening then
    if defaults ~= '' then state.change_defaults(defaults) end
    return {'ok', finish(number)}
  end
  if closing then
    local report = finish(number)
    redis_call('HDEL', stores_key, store)
    return {'ok', report}
  end
  if not let_all_happen() then return {'again', finish(number - 1)} end
  sweep()

  local named = args[2] == '' and {0} or {cmsgpack.unpack(args[2])}
  batch_queues = {}
  for i = 1, named[1] do batch_queues[i] = queues.named(unpack(named, 3 * i - 1, 3 * i + 1)) end
  local wanted = {}
  for i = 3 * named[1] + 2, #named, 2 do
    local ids = wanted[named[i]]
    if not ids then
      ids = {}
      wanted[named[i]] = ids
    end
    ids[#ids + 1] = named[i + 1]
  end
  for tag, ids in pairs(wanted) do jobs.prefetch(tag, ids) end
  local out = {'ok', ''}
  for i = 3, #args do
    local kind = string.byte(args[i])
    if kind == kind_many then
      out[i] = transact_many(args[i])
    else
      out[i] = kind == kind_transaction and transact(args[i]) or answer_query(args[i])
    end
  end
  out[2] = finish(number)
  return out
end

local store_key

-- What the server calls.
local function answer_call(its_keys, its_args)
  keys, args, redis_call = its_keys, its_args, redis.call
  prefix = string.sub(keys[1], 1, -6)
  if its_keys[1] ~= store_key then
    store_key = its_keys[1]
    for _, begin in ipairs(for_each_store) do begin() end
  end
  for i = 1, #beginnings do beginnings[i]() end
  local fine, answer = pcall(run)
  if fine then return answer end
  local why = type(answer) == 'table' and answer.err or answer
  -- Older servers say where it happened before they say what.
  return redis.error_reply(string.match(why, '^@?user_script[^ ]* %-?(%u%u+ .*)$') or why)
end
