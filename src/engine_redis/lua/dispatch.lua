-- The call itself.
--
--   stores   hash: process -> when it was last heard, and the number of its last call
--   watched  string: somebody wants to hear of every change of a job
--   hints    channel: which queues have jobs, which jobs and whether recurring ones changed

local stores_key = prefix .. 'stores'
local kind_transaction = 1
local store_id

local function check(list, plan)
  for i, one in ipairs(list) do
    local step, kind = one.step, one.kind
    if kind.addressed then
      local first, second = kind.addressed(step)
      for _, job in ipairs({first or second, first and second or nil}) do
        if job then
          if plan.addressed[job] then return 'duplicate_target', i end
          plan.addressed[job] = true
        end
      end
    end
    local why = kind.check(step, plan)
    if why then return why, i end
  end
end

local function read_step(text, off)
  local number
  off, number = unpack_some(text, 1, off)
  local kind = steps[number]
  if kind.read then
    local step
    step, off = kind.read(text, off)
    return kind, step, off
  end
  local step = {unpack_some(text, kind.arity, off)}
  return kind, step, step[1]
end

local function read_steps(text, off, count)
  local list, wanted = {}, {}
  for i = 1, count do
    local kind, step
    kind, step, off = read_step(text, off)
    list[i] = {step = step, kind = kind}
    if kind.addressed == find_addressed then
      local ids = wanted[step[2]]
      if not ids then
        ids = {}
        wanted[step[2]] = ids
      end
      ids[#ids + 1] = step[3]
    end
  end
  for tag, ids in pairs(wanted) do jobs.prefetch(tag, ids) end
  return list
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
  if count == 1 and not name then return transact_one(text, off, level) end
  if name then
    local answer, why = idempotency.find(name, fingerprint)
    if answer then return answer end
    if why then return refused(why, 1) end
  end
  local list = read_steps(text, off, count)
  local plan = {addressed = {}, jobs_added = {}, queues_added = {}, queues_count = 0,
                crons_added = 0, level = level}
  local why, at = check(list, plan)
  if why then return refused(why, at) end
  local out, kept = {pack('+', false, count)}, {}
  for i, one in ipairs(list) do
    plan.kept = name and true or nil
    out[i + 1] = one.kind.apply(one.step, plan)
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
    local restarted = redis_call('HGET', KEYS[1], 'run_id') ~= run_id
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
    later.add('fields', KEYS[1], 'run_id', run_id)
  end
  if begins then state.begin_epoch() end
end

local function hint_text()
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
  local topics = hints.topics
  return pack(hints.crons, count) .. concat(out) .. pack(#changed_jobs) .. concat(changed_jobs) ..
             pack(#topics) .. concat(topics),
         hints.crons or count > 0 or #changed_jobs > 0 or #topics > 0
end

-- Writes everything down and says what there is to say besides the answers. `number`: of the last
-- call of this store that has happened.
local function finish(number)
  change.trim_ended(true)
  streams.save()
  state.save()
  jobs.save()
  queues.save()
  later.add('fields', stores_key, store_id, format('%.0f %.0f', state.real, number))
  later.check_types()
  queues.tidy()
  queues.save()
  later.settle_all()
  jobs.drop_empty_buckets()
  queues.prune()
  local text, any = hint_text()
  if any then redis_call('PUBLISH', prefix .. 'hints', pack(store_id) .. text) end
  local first = redis_call('ZRANGE', prefix .. 'due', 0, 0, 'WITHSCORES')
  return pack(now, earlier(tonumber(first[2]), live.next_time())) .. text
end

local opens, closes, wants_jobs, watches = 1, 2, 4, 8

local function has(flags, flag) return flags % (2 * flag) >= flag end

local function run()
  local _, layout, time, store, number, flags, level, run_id, defaults =
      unpack_some(ARGV[1], 8, 0)
  if layout ~= limits.layout then error({err = 'NEWERLAYOUT ' .. layout}) end
  store_id, strongest, manual_clock = store, level, time ~= nil
  if has(flags, opens) then state.check_permissions() end
  state.load(time)
  local last = tonumber(string.match(redis_call('HGET', stores_key, store) or '', '%d+$'))
  if last and not has(flags, opens) and not has(flags, closes) then
    -- A call whose answer was lost, and which is sent again, has happened already; one that
    -- overtook another has to wait for it.
    if number <= last then return {'done'} end
    if number > last + 1 then return {'gap'} end
  end
  meet_stores(has(flags, opens), run_id)
  if has(flags, watches) then
    redis_call('SET', prefix .. 'watched', 1, 'PX', state.away_after / 1000)
  end
  hints.wanted = has(flags, wants_jobs) or redis_call('EXISTS', prefix .. 'watched') == 1
  if has(flags, opens) then
    if defaults ~= '' then state.change_defaults(defaults) end
    return {'ok', finish(number)}
  end
  if has(flags, closes) then
    local report = finish(number)
    redis_call('HDEL', stores_key, store)
    return {'ok', report}
  end
  local all_ended = live.let_end()
  local all_happened = change.let_happen() and all_ended
  change.forget_old(1000)
  idempotency.forget_old()
  if not all_happened then return {'again', finish(number - 1)} end

  batch_queues = {}
  local names = {cmsgpack.unpack(ARGV[2])}
  for i = 1, #names, 3 do
    batch_queues[#batch_queues + 1] = queues.named(names[i], names[i + 1], names[i + 2])
  end
  local out = {'ok', ''}
  for i = 3, #ARGV do
    local _, kind = unpack_some(ARGV[i], 1, 0)
    out[i] = kind == kind_transaction and transact(ARGV[i]) or answer_query(ARGV[i])
  end
  out[2] = finish(number)
  return out
end

local fine, answer = pcall(run)
if fine then return answer end
local why = type(answer) == 'table' and answer.err or answer
-- Older servers say where it happened before they say what.
return redis.error_reply(string.match(why, '^@?user_script[^ ]* %-?(%u%u+ .*)$') or why)
