-- Who is shut out, in order. The block itself is a key of its own (limit_blocks); here is how it is
-- found.
--
--   rate_limit:{project}:blocks      sorted set: scope and id, in their order, of those who are
--                                    blocked; some of them no more
--   rate_limit:{project}:block_ends  sorted set: the same, by when the last block of each ends
--
-- Both end with the last block.

local function number_text(of) return format('%.0f', of) end

local function names_key(project) return prefix .. 'rate_limit:' .. project .. ':blocks' end
local function ends_key(project) return prefix .. 'rate_limit:' .. project .. ':block_ends' end

-- Blocks that are over, forgotten with each that begins.
local forgotten_at_once = 100

local function forget_ended(names, by_end)
  local over = redis_call('ZRANGEBYSCORE', by_end, '-inf', number_text(now), 'LIMIT', 0,
                          forgotten_at_once)
  in_pieces('ZREM', names, over)
  in_pieces('ZREM', by_end, over)
end

-- `key`: of the block.
function limiter.note_block(key, ends)
  local project, scope, id =
      string.match(key, '^([^:]*):([^:]*):(.*):block$', #prefix + #'rate_limit:' + 1)
  local names, by_end, name = names_key(project), ends_key(project), scope .. '\0' .. id
  -- One that is of another type is found before anything is written.
  redis_call('ZCARD', names)
  forget_ended(names, by_end)
  redis_call('ZADD', names, 0, name)
  redis_call('ZADD', by_end, number_text(ends), name)
  if manual_clock then return end
  local last = tonumber(redis_call('ZREVRANGE', by_end, 0, 0, 'WITHSCORES')[2])
  local lifetime = number_text(floor((last - now) / 1000) + 1000)
  redis_call('PEXPIRE', names, lifetime)
  redis_call('PEXPIRE', by_end, lifetime)
end

-- Those of a scope, or all, behind a name; empty: from the first. First the last name that was looked
-- at where there are more.
queries[46] = {
  arity = 4,
  answer = function(_, project, scope, after, most)
    local first, last = '-', '+'
    if scope ~= '' then first, last = '[' .. scope .. '\0', '(' .. scope .. '\1' end
    if after ~= '' then first = '(' .. after end
    local names = redis_call('ZRANGEBYLEX', names_key(project), first, last, 'LIMIT', 0, most + 1)
    local more = #names > most
    if more then names[#names] = nil end
    if #names == 0 then return pack(nil, 0) end
    local stem, block_keys = prefix .. 'rate_limit:' .. project .. ':', {}
    for i, name in ipairs(names) do
      local its_scope, id = string.match(name, '^(%Z*)%z(.*)$')
      block_keys[i] = stem .. its_scope .. ':' .. id .. ':block'
    end
    local out, count = {''}, 0
    for i, text in ipairs(redis_call('MGET', unpack(block_keys))) do
      local ends = tonumber(text or 0)
      if ends > now then
        count = count + 1
        out[count + 1] = pack(names[i], ends)
      end
    end
    out[1] = pack(more and names[#names] or nil, count)
    return concat(out)
  end,
}
