-- What becomes of a job whose run ended without success: as `engine::after_failure` and
-- `engine::backoff_delay` decide it, number by number.

-- Numbers of 64 bits in four limbs of 16, the lowest first.
local function limbs_of(value)
  local out = {}
  for i = 1, 4 do
    out[i] = value % 65536
    value = floor(value / 65536)
  end
  return out
end

local function carried(limbs)
  local carry = 0
  for i = 1, 4 do
    local sum = limbs[i] + carry
    limbs[i] = sum % 65536
    carry = floor(sum / 65536)
  end
  return limbs
end

local function added(a, b)
  return carried({a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4]})
end

local function times(a, b)
  local out = {0, 0, 0, 0}
  for i = 1, 4 do
    for j = 1, 5 - i do
      -- A product may use 32 bits and so may the sum of eight of them: a double holds 53.
      out[i + j - 1] = out[i + j - 1] + a[i] * b[j]
    end
  end
  return carried(out)
end

-- a ^ (a >> bits)
local function folded(a, bits)
  local whole, part = floor(bits / 16), bits % 16
  local shifted = {0, 0, 0, 0}
  for i = 1, 4 - whole do
    local low, high = a[i + whole], a[i + whole + 1] or 0
    shifted[i] = (floor(low / 2 ^ part) + high * 2 ^ (16 - part)) % 65536
  end
  local out = {}
  for i = 1, 4 do out[i] = bit.bxor(a[i], shifted[i]) end
  return out
end

-- splitmix64, modulo 1 000 001.
local function share_of(entropy)
  local x = added(limbs_of(entropy), {0x7c15, 0x7f4a, 0x79b9, 0x9e37})
  x = times(folded(x, 30), {0xe5b9, 0x1ce4, 0x476d, 0xbf58})
  x = times(folded(x, 27), {0x11eb, 0x1331, 0x49bb, 0x94d0})
  x = folded(x, 31)
  local rest = 0
  for i = 4, 1, -1 do rest = (rest * 65536 + x[i]) % 1000001 end
  return rest
end

local exponential, linear, fixed_delay, polynomial = 0, 1, 2, 3
local lengthen, no_jitter, full, equal = 0, 1, 2, 3

local function delay_before_jitter(strategy, base, most, runs)
  local n = max(runs, 1)
  if base <= 0 then return 0 end
  if base >= most then return most end
  if strategy == fixed_delay then return base end
  if strategy == linear then return min(most, base * n) end
  if strategy == polynomial then return min(most, base * n * n * n * n) end
  local delay = base
  for _ = 2, n do
    if delay >= most then break end
    delay = delay * 2
  end
  return min(delay, most)
end

local function backoff_delay(packed, runs, entropy)
  local strategy, base, most, jitter = exponential, 60000, 3600000, lengthen
  if packed then
    local _
    _, strategy, base, most, jitter = unpack_some(packed, 4, 0)
  end
  local micros = delay_before_jitter(strategy, base, most, runs) * 1000
  if jitter == no_jitter then return micros end
  local share = share_of(entropy) / 1000000
  if jitter == lengthen then return micros + floor(floor(micros / 10) * share) end
  if jitter == full then return floor(micros * share) end
  return floor(micros / 2) + floor(floor(micros / 2) * share)
end

-- The machine words of `job::error_code`, by number.
local handler_failed, permanent_failure, lease_expired = 1, 2, 3

function retry.after_failure(job, settings, permanent, retry_in)
  local code = permanent and permanent_failure or handler_failed
  if job.cancel then return cancelled, now, job.priority, code end
  if permanent or job.attempts >= job.attempts_max then return dead, now, job.priority, code end
  local delay = retry_in or backoff_delay(job.backoff, job.attempts, job.id + job.attempts)
  return retrying, now + delay, min(9, max(0, job.priority - settings.priority_step)), code
end

function retry.after_expiry(job, ended)
  local status = queued
  if job.cancel then
    status = cancelled
  elseif job.attempts >= job.attempts_max then
    status = dead
  end
  return status, ended, job.priority, lease_expired
end
