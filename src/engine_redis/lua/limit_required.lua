-- Takes that a transaction hangs on: where the limits do not allow them, all of it is refused.

-- Of a part one is enough.
local function wanted(checks)
  local out = {}
  for i, check in ipairs(checks) do
    out[i] = {unpack(check)}
    out[i][4] = 1
  end
  return out
end

steps[46] = {
  arity = 2,
  check = function(step)
    local why = steps[40].check(step)
    if why then return why end
    local mode, checks = step[2], limiter.complete(step[3])
    local allowed, _, states = limiter.take_checks(2, mode == 1 and wanted(checks) or checks)
    if allowed then return end
    for i, check in ipairs(checks) do
      if states[i].blocked and not check[5] then return 'limit_blocked' end
    end
    return 'limit_reached'
  end,
  -- Its keys are complete by now.
  apply = function(step) return limiter.checked(limiter.take_checks(step[2], step[3])) end,
}
