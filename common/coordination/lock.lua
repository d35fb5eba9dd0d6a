-- One lock: who holds it, until when, and the number that its next holder gets. One call is one atomic step on
-- Redis's clock, so two can't acquire at once, and only the holder renews or releases.
--
-- KEYS  1 lock    string  "token fence since ttl holder": ms; expires when the hold ends
--       2 fences  string  "run epoch given": the numbers of this memory; an hour after the last use it expires
--       3 asked   string  while an epoch is asked for: what names the question
-- ARGV  1 verb, then the verb's own; ttl in ms
--
-- A fence is epoch * 2^21 + a count of all locks given in that epoch, so it grows for every name. The epoch comes
-- from outside and must be larger than all before it. It is asked for whenever `fences` is not of this run of the
-- server (Redis is new, was emptied, was put back to an older state or is another one after a failover) and when
-- the count is full. No clock plays a part. An epoch counts only as the answer to the question that stands now: one that was drawn before
-- Redis lost its data again might be smaller than one that was used since.
--
-- An expiry further away than the lock's own ttl is of a clock that was set back since, and is brought back to ttl.

local LOCK, FENCES, ASKED = KEYS[1], KEYS[2], KEYS[3]
local VERB, TOKEN = ARGV[1], ARGV[2]
local FENCES_LAST_MS, QUESTION_LASTS_MS = 3600000, 10000
local EPOCH = 2097152

local function parts(held) return string.match(held, '^(%S+) (%d+) (%d+) (%d+) (.*)$') end

-- token, ttl, holder, and with an epoch: it and the question that it answers
-- -> {fence, ms until it ends} | {0, ms until the present holder's end} | {-1, question}
if VERB == 'acquire' then
  local ttl = tonumber(ARGV[3])
  local held = redis.call('GET', LOCK)
  if held then
    local left = redis.call('PTTL', LOCK)
    local token, fence, _, own_ttl = parts(held)
    if token == TOKEN then return {fence, left} end -- a call that was repeated because its answer was lost
    if not own_ttl then
      redis.call('DEL', LOCK) -- not of ours
    elseif left > tonumber(own_ttl) or left < 0 then
      redis.call('PEXPIRE', LOCK, own_ttl)
      return {0, tonumber(own_ttl)}
    else
      return {0, left}
    end
  end
  local info = redis.pcall('INFO', 'server') -- a user without the right to it, or a stand-in that has none
  local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or 'unknown'
  local of_run, epoch, given = string.match(redis.call('GET', FENCES) or '', '^(%w+) (%d+) (%d+)$')
  if of_run ~= run or tonumber(given) >= EPOCH - 1 then
    local question = redis.call('GET', ASKED)
    if not (ARGV[5] and question == ARGV[6]) then
      redis.call('SET', ASKED, TOKEN, 'PX', QUESTION_LASTS_MS, 'NX')
      return {-1, redis.call('GET', ASKED)}
    end
    redis.call('DEL', ASKED)
    epoch, given = ARGV[5], 0
  end
  redis.call('SET', FENCES, string.format('%s %s %d', run, epoch, given + 1), 'PX', FENCES_LAST_MS)
  local fence = string.format('%.0f', epoch * EPOCH + given + 1)
  local time = redis.call('TIME')
  local since = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('SET', LOCK, table.concat({TOKEN, fence, since, ttl, ARGV[4]}, ' '), 'PX', ttl)
  return {fence, ttl}
end

local held = redis.call('GET', LOCK)
local is_own = held and string.sub(held, 1, #TOKEN + 1) == TOKEN .. ' '

-- token, ttl -> 1 if it is still the holder's, and now for ttl more
if VERB == 'renew' then
  return is_own and redis.call('PEXPIRE', LOCK, ARGV[3]) or 0
end

-- token -> 1 if it was the holder's
if VERB == 'release' then
  return is_own and redis.call('DEL', LOCK) or 0
end

-- -> {what is held, ms until it ends} or nothing
if VERB == 'status' then
  return held and {held, redis.call('PTTL', LOCK)} or false
end

-- -> {what was held} or nothing: whoever holds it holds it no more
if VERB == 'reset' then
  redis.call('DEL', LOCK)
  return held
end
