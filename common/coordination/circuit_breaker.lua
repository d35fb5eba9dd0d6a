-- The breakers of one outside host: one for each tenant's credential, and the host's own. One call is one atomic
-- step on Redis's clock, so a trial is given to one caller in the whole fleet.
--
-- KEYS  1 own     string  "mode until noted past" of the tenant and credential; ms
--       2 host    string  the same of the whole host
--       3 opened  zset    tenant -> ms until when its breaker is open
-- ARGV  1 verb, 2 ms since when this Redis remembers (0: always), 3 failures that open, 4 of how many last calls,
--       5 ms that it stays open, 6 tenants that open the host, 7 tenant, then the verb's own
--
-- mode is closed, open or trial; an open one whose time is over is half-open: whoever enters next is its trial, and
-- if no word comes of it in the same time again, the next one is. *past* is "-" and the last calls, 1 or 0 each.
-- The host's own opens when enough tenants' are open at once; it counts no calls itself.
--
-- What was noted before this Redis began to remember is not believed. While it is that young, a breaker without a
-- success is on probation: its first failure opens it. State expires ten minutes after it was last of use.

local VERB, SINCE, FAILURES, OF = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local OPEN_MS, TENANTS, TENANT = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local KEPT_MS, TRIAL_TAKES_MS = 600000, 1000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local changes = {}

local function save(state)
  local mode = state.mode == 'half-open' and 'open' or state.mode
  local text = string.format('%s %.0f %.0f -%s', mode, state.till, now, state.past)
  redis.call('SET', state.key, text, 'PX', string.format('%.0f', OPEN_MS + KEPT_MS))
end

local function load(key, which)
  local state = {key = key, which = which, mode = 'closed', till = 0, past = ''}
  local found = redis.call('GET', key)
  if not found then return state end
  local mode, till, noted, past = string.match(found, '^(%a+) (%d+) (%d+) %-([01]*)$')
  if not mode or tonumber(noted) < SINCE then return state end
  state.mode, state.past, state.till = mode, past, tonumber(till)
  if state.till > now + OPEN_MS then -- of a clock that was set back since
    state.till = now + OPEN_MS
    save(state)
  end
  if mode ~= 'closed' and state.till <= now then state.mode = 'half-open' end
  return state
end

local function change(state, mode, till)
  changes[#changes + 1] = state.which .. ' ' .. (mode == 'trial' and 'half-open' or mode)
  state.mode, state.till, state.past = mode, till, ''
  save(state)
end

local own, host = load(KEYS[1], 'own'), load(KEYS[2], 'host')

local function open_own()
  change(own, 'open', now + OPEN_MS)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now))
  redis.call('ZADD', KEYS[3], string.format('%.0f', now + OPEN_MS), TENANT)
  redis.call('PEXPIRE', KEYS[3], OPEN_MS)
  if host.mode == 'closed' and redis.call('ZCARD', KEYS[3]) >= TENANTS then
    change(host, 'open', now + OPEN_MS)
  end
end

-- Calls that ended, oldest first; those that began before the breaker opened tell nothing new.
local function note(outcomes)
  if outcomes == '' or own.mode ~= 'closed' then return end
  for outcome in string.gmatch(outcomes, '[01]') do
    own.past = string.sub(own.past .. outcome, -OF)
    local is_probation = now - SINCE < OPEN_MS and not string.find(own.past, '1')
    local _, failures = string.gsub(own.past, '0', '')
    if failures >= FAILURES or outcome == '0' and is_probation then return open_own() end
  end
  save(own)
end

local GO, TRIAL, REFUSED = 0, 1, 2

local function answer(code, wait)
  return {code, wait, own.mode, host.mode, table.concat(changes, ',')}
end

local function refuses(state)
  if state.mode == 'open' then return state.till - now end
  if state.mode == 'trial' then return math.min(state.till - now, TRIAL_TAKES_MS) end
  return 0
end

local function enter()
  local wait = math.max(refuses(own), refuses(host))
  if wait > 0 then return answer(REFUSED, wait) end
  local code = GO
  for _, state in ipairs({own, host}) do
    if state.mode == 'half-open' then
      code = TRIAL
      change(state, 'trial', now + OPEN_MS)
    end
  end
  return answer(code, 0)
end

local verbs = {}

-- outcomes -> {0 go, 1 go as the trial or 2 refused, ms to wait, own mode, the host's mode, changes}
function verbs.enter()
  note(ARGV[8])
  return enter()
end

-- outcomes -> the same, without becoming a trial
function verbs.note()
  note(ARGV[8])
  local wait = math.max(refuses(own), refuses(host))
  return answer(wait > 0 and REFUSED or GO, wait)
end

-- "own" or "host" -> as note: it is closed, and knows of no calls
function verbs.reset()
  local state = ARGV[8] == 'host' and host or own
  change(state, 'closed', 0)
  redis.call('DEL', state.key)
  redis.call('ZREM', KEYS[3], TENANT)
  if state == host then redis.call('DEL', KEYS[3]) end
  return answer(GO, 0)
end

-- outcome of the trial: 1, 0, or - if it told nothing -> as note
function verbs.tried()
  for _, state in ipairs({own, host}) do
    if state.mode == 'trial' then
      if ARGV[8] == '1' then
        change(state, 'closed', 0)
        redis.call('ZREM', KEYS[3], TENANT)
      elseif ARGV[8] == '0' then
        if state == own then open_own() else change(state, 'open', now + OPEN_MS) end
      else
        state.till = now
        state.mode = 'half-open'
        save(state)
      end
    end
  end
  local wait = math.max(refuses(own), refuses(host))
  return answer(wait > 0 and REFUSED or GO, wait)
end

return verbs[VERB]()
