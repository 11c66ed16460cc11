-- The call itself.
--
--   hints    channel: which queues have jobs, which jobs and whether recurring ones changed

local struct_pack, struct_unpack = struct.pack, struct.unpack
local byte = string.byte
local nothing = -2 ^ 54

-- What an argument begins with. Those from `kind_locks` on have nothing to do with queues.
local kind_transaction, kind_many, kind_locks, kind_limits = 1, 3, 4, 5
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
    if number > 45 then
      parts.need('limit_required')
      parts.need('limit_lists')
    end
  elseif number == 68 then
    parts.need('list_correlated')
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

-- Whether the engine begins to live anew; keeps who uses it. `run_id`: of an opening.
local function meet_stores(run_id)
  if run_id or not state.last_number then state.pack_anew() end
  local begins = state.was_away or state.epoch == 0
  if run_id then
    -- Of those that a server knew before it was restarted each makes itself known again.
    local kept, own = redis_call('HGETALL', keys[1]), state.store_prefix .. store_id
    local restarted, seen, gone, others = true, {}, {}, 0
    for i = 1, #kept, 2 do
      local field, text = kept[i], kept[i + 1]
      if field == 'run_id' then
        restarted = text ~= run_id
      elseif field ~= own and string.sub(field, 1, #state.store_prefix) == state.store_prefix then
        seen[field] = state.heard_at(text)
      end
    end
    for field, time in pairs(seen) do
      if restarted or time < state.real - state.away_after then
        gone[#gone + 1] = field
      else
        others = others + 1
      end
    end
    in_pieces('HDEL', keys[1], gone)
    if restarted or not (others > 0 or state.last_number) then begins = true end
    state.stores = others + 1
  elseif not state.last_number then
    state.stores = state.stores + 1
  end
  if begins then state.begin_epoch() end
end

local none_of_three = pack(0, 0, 0)

-- Empty where there are none.
local function hint_text()
  if not hints.crons and next(hints.available) == nil and #hints.jobs == 0 and
      #hints.cache == 0 and #hints.topics == 0 then
    return ''
  end
  local out, count = {}, 0
  for queue, available in pairs(hints.available) do
    count = count + 1
    out[count] = pack(queue.project, queue.name, available)
  end
  if #hints.jobs == 0 and #hints.cache == 0 and #hints.topics == 0 then
    return pack(hints.crons, count) .. concat(out) .. none_of_three
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
         pack(#filled) .. concat(filled) .. pack(#topics) .. concat(topics)
end

-- The last of every call: what it has to say besides the answers, to its store and to others.
-- `number`: of the last call of this store that has happened; nil: it takes its leave.
local function end_call(number, run_id)
  local text = hint_text()
  if text ~= '' then
    -- Its own store hears it in the answer.
    if state.stores > 1 then
      redis_call('PUBLISH', prefix .. 'hints', pack(store_id) .. text)
    end
    hints.forget()
  end
  if state.due_changed then
    local first = redis_call('ZRANGE', prefix .. 'due', 0, 0, 'WITHSCORES')
    state.next_due = earlier(tonumber(first[2]), live.next_time()) or state.never
  end
  state.save(number, run_id)
  return struct_pack('>i7i7', now, state.next_due < state.never and state.next_due or nothing) .. text
end

-- Writes everything down first.
local function finish(number, run_id)
  if change.touched then change.trim_ended(true) end
  queues.settle_lanes()
  if cache.touched then cache.save() end
  if streams.touched then streams.save() end
  if counts.save then counts.save() end
  jobs.save()
  queues.save()
  later.check_types()
  if correlated.touched then correlated.trim() end
  if queues.tidy() then queues.save() end
  later.settle_all()
  if jobs.has_shrunk then jobs.drop_empty_buckets() end
  if queues.to_prune then queues.prune() end
  return end_call(number, run_id)
end

local opens, closes, wants_jobs, watches, waits_for_locks = 1, 2, 4, 8, 16

local function has(flags, flag) return flags % (2 * flag) >= flag end

-- Everything that is due. False: there is more of it than one call should do.
local function let_all_happen()
  state.due_changed = true
  local all_ended = live.let_end()
  return change.let_happen() and all_ended
end

local sweep_every = 50000

-- What is old goes, a little with every call; where there was none, it is not looked for all the
-- time.
local function sweep()
  local jobs_gone, keys_gone = change.forget_old(1000), idempotency.forget_old()
  if cache.sweep() and jobs_gone and keys_gone then
    state.swept = now
    state.pack_anew()
  end
end

-- Whether a call is about locks and limits alone, and nothing else has to happen with it.
local function is_light()
  if #args < 3 or state.was_away or state.epoch == 0 or
      now >= state.next_due or not state.last_number then
    return false
  end
  if not manual_clock and now >= state.swept + sweep_every then return false end
  for i = 3, #args do
    if byte(args[i]) < kind_locks then return false end
  end
  return true
end

local function transact_light(argument, kind)
  if kind == kind_locks then
    if not transact_locks then parts.need('hot_locks') end
    return transact_locks(argument)
  end
  if not transact_limits then parts.need('steps_limits') end
  return transact_limits(argument)
end

local function run_light(number)
  local out = {'ok', ''}
  for i = 3, #args do out[i] = transact_light(args[i], byte(args[i])) end
  if counts.save then counts.save() end
  out[2] = end_call(number)
  return out
end

local function begin_work()
  begin_anew()
  local warm = state.take_warmth()
  queues.begin(warm)
  jobs.begin(warm)
  if not warm or later.is_full then later.forget_met() end
end

local nobody = {}
-- What the last call named that named but queues.
local named_text, named_queues, named_generation

-- The queues and the jobs that the call names.
local function meet_named()
  local text = args[2]
  if text == '' then
    batch_queues = nobody
    return
  end
  if text == named_text and queues.generation == named_generation then
    batch_queues = named_queues
    for i = 1, #batch_queues do queues.meet(batch_queues[i]) end
    return
  end
  local named = {cmsgpack.unpack(text)}
  batch_queues = {}
  for i = 1, named[1] do batch_queues[i] = queues.named(unpack(named, 3 * i - 1, 3 * i + 1)) end
  if #named == 3 * named[1] + 1 then
    named_text, named_queues, named_generation = text, batch_queues, queues.generation
    return
  end
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
end

-- What there is of an opening behind the name of the store.
local function open(number, behind)
  local run_id, defaults = struct_unpack('>Bc0I4c0', args[1], behind)
  begin_work()
  meet_stores(run_id)
  state.due_changed = true
  if defaults ~= '' then state.change_defaults(defaults) end
  return {'ok', finish(number, run_id)}
end

local function close()
  begin_work()
  meet_stores()
  state.due_changed, state.stores = true, state.stores - 1
  state.pack_anew()
  return {'ok', finish(nil)}
end

-- Somebody waits: that others tell of what they do is asked for anew when half of the time is over.
local function note_waiting(flags)
  local till = state.real + state.away_after
  state.pack_anew()
  if has(flags, watches) then state.watched_until = till end
  if has(flags, waits_for_locks) and state.locks_until < till - state.away_after / 2 then
    state.locks_until = till
  end
end

local function run()
  local layout, time, number, flags, level, store, behind = struct_unpack('>Hi7I7BBBc0', args[1])
  if layout ~= limits.layout then error({err = 'NEWERLAYOUT ' .. layout}) end
  store_id, strongest, manual_clock = store, level, time ~= nothing
  local opening, closing = flags > 0 and has(flags, opens), flags > 0 and has(flags, closes)
  if opening then
    parts.need('permissions')
    state.check_permissions()
  end
  state.load(manual_clock and time, store, opening)
  local last = state.last_number
  if last and not opening and not closing then
    -- A call whose answer was lost, and which is sent again, has happened already; one that
    -- overtook another has to wait for it.
    if number <= last then return {'done'} end
    if number > last + 1 then return {'gap'} end
  end
  if flags > 0 then note_waiting(flags) end
  hints.wanted = (flags > 0 and has(flags, wants_jobs)) or state.real < state.watched_until
  hints.locks_wanted = state.real < state.locks_until
  if opening then return open(number, behind) end
  if closing then return close() end
  if is_light() then return run_light(number) end

  begin_work()
  if not last or state.was_away or state.epoch == 0 then meet_stores() end
  if now >= state.next_due and not let_all_happen() then return {'again', finish(number - 1)} end
  if manual_clock or now >= state.swept + sweep_every then sweep() end
  meet_named()
  local out = {'ok', ''}
  for i = 3, #args do
    local kind = byte(args[i])
    if kind == kind_many then
      out[i] = transact_many(args[i])
    elseif kind >= kind_locks then
      out[i] = transact_light(args[i], kind)
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
  if its_keys[1] ~= store_key then
    store_key = its_keys[1]
    prefix = string.sub(store_key, 1, -6)
    for _, begin in ipairs(for_each_store) do begin() end
  end
  local fine, answer = pcall(run)
  if fine then return answer end
  hints.forget()
  later.forget()
  if counts.forget then counts.forget() end
  local why = type(answer) == 'table' and answer.err or answer
  -- Older servers say where it happened before they say what.
  return redis.error_reply(string.match(why, '^@?user_script[^ ]* %-?(%u%u+ .*)$') or why)
end
