-- One lock: who holds it, until when, and the number that its next holder gets. One call is one atomic step on
-- Redis's clock, so two can't acquire at once, and only the holder renews or releases.
--
-- KEYS  1 lock    string  "token epoch number since ttl holder": ms; expires when the hold ends
--       2 fences  string  "run epoch number began": the last given, and the ms at which the epoch began; kept an hour
--       3 asked   string  while an epoch is asked for: what names the question
-- ARGV  1 verb, then the verb's own; ttl in ms
--
-- A fence is an epoch and a number within it, and grows over all names. The epoch comes from outside and must be
-- larger than all before it. It is asked for whenever `fences` is not of this run of the server (Redis is new, was
-- emptied, restarted from an older state or is another one after a failover) and when its numbers are used up. An
-- epoch counts only as the answer to the question that stands now: one that was drawn before Redis lost its data
-- again might be smaller than one that was used since. The number is at least the ms since its epoch began, so that
-- it also grows over a state that was put back under a running server; without such a thing no clock plays a part.
--
-- An expiry further away than the lock's own ttl is of a clock that was set back since, and is brought back to ttl.

local LOCK, FENCES, ASKED = KEYS[1], KEYS[2], KEYS[3]
local VERB, TOKEN = ARGV[1], ARGV[2]
local FENCES_LAST_MS, QUESTION_LASTS_MS = 3600000, 10000
local NUMBERS = 4294967296 -- in an epoch: 49 days of them

local function parts(held) return string.match(held, '^(%S+) (%d+) (%d+) %d+ (%d+) ') end

-- token, ttl, holder, 1 if this holder takes over what it holds already, and with an epoch: it and the question that
-- it answers
-- -> {ms until it ends, epoch, number} | {ms until the present holder's end} | {-1, question}
if VERB == 'acquire' then
  local ttl = tonumber(ARGV[3])
  local held = redis.call('GET', LOCK)
  if held and not (ARGV[5] == '1' and string.match(held, '^%S+ %d+ %d+ %d+ %d+ (.*)$') == ARGV[4]) then
    local left = redis.call('PTTL', LOCK)
    local token, epoch, number, own_ttl = parts(held)
    if token == TOKEN then return {left, epoch, number} end -- a call that was repeated because its answer was lost
    if not own_ttl then
      redis.call('DEL', LOCK) -- not of ours
    elseif left > tonumber(own_ttl) or left < 0 then
      redis.call('PEXPIRE', LOCK, own_ttl)
      return {tonumber(own_ttl)}
    else
      return {left}
    end
  end
  local info = redis.pcall('INFO', 'server') -- a user without the right to it, or a stand-in that has none
  local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or 'unknown'
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local of_run, epoch, last, began = string.match(redis.call('GET', FENCES) or '', '^(%w+) (%d+) (%d+) (%d+)$')
  local number = of_run == run and math.max(last + 1, now - began) or NUMBERS
  if number >= NUMBERS then
    local question = redis.call('GET', ASKED)
    if not (ARGV[6] and question == ARGV[7]) then
      redis.call('SET', ASKED, TOKEN, 'PX', QUESTION_LASTS_MS, 'NX')
      return {-1, redis.call('GET', ASKED)}
    end
    redis.call('DEL', ASKED)
    epoch, number, began = ARGV[6], 1, now
  end
  redis.call('SET', FENCES, string.format('%s %s %.0f %.0f', run, epoch, number, began), 'PX', FENCES_LAST_MS)
  local record = string.format('%s %s %.0f %.0f %d %s', TOKEN, epoch, number, now, ttl, ARGV[4])
  redis.call('SET', LOCK, record, 'PX', ttl)
  return {ttl, epoch, string.format('%.0f', number)}
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
