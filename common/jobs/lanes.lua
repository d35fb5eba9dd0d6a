-- The lane of one queue: who waits, who was taken, what is due, which carriers are alive. One call is one atomic
-- step on Redis's clock, so no two can interleave; nothing here can't be rebuilt from MongoDB.
--
-- KEYS  1 lane     zset  member -> rank                waiting jobs; rank = (9 - priority) * 2^48 + birth
--       2 taken    zset  member -> deadline ms         taken by a slot and not yet known to be claimed
--       3 tries    hash  member -> "count rank"        how often a taken job was offered in vain
--       4 due      zset  member -> due ms              jobs that wait for a time
--       5 carriers zset  carrier -> alive until ms     carriers under way, lingering or at work
--       6 idle     zset  carrier -> lingers until ms   carriers that wait for work
--       7 workers  zset  "name|slots" -> alive until ms
--       8 counters hash  carriers, slots, retaken
--       9 queue    list  Celery's queue
--      10 wake     name  prefix of the lists that wake a lingering carrier
--      11 due_wake list  wakes one worker's timer when an earlier due time arrives
-- ARGV  1 verb, 2 the carrier's envelope with @CARRIER@ where its id goes, then the verb's own
--
-- A member is "job id:organization id"; birth is the millisecond in which the job was made, from its UUIDv7. So a job
-- that comes back, after a death, a wait or a rebuild, stands where it stood: before all that came later.
-- Times are milliseconds. Each entry is at most some 100 bytes; lists of members in one call are bounded by the
-- caller (1,000).
--
-- A full Redis refuses a script at its first command that needs memory, unless the script has written already: it is
-- never stopped in the middle. `admit` is refused then, and the sweep admits later; every other verb begins with a
-- write that needs none, because it serves work that is accepted, and most of them make room.

local LANE, TAKEN, TRIES, DUE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local CARRIERS, IDLE, WORKERS, COUNTERS = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local QUEUE, WAKE, DUE_WAKE = KEYS[9], KEYS[10], KEYS[11]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local RETAKE_AFTER_MS = {5000, 15000, 60000} -- growing, so that a lost claim is offered again without a storm
local UNDER_WAY_MS = 1000                    -- a carrier that was not picked up by then counts as lost
local AT_WORK_MS = 3000                      -- renewed every second by the worker's parent
local LIVES_MS = 60000                       -- no sign of life reaches further: what says so is not of ours

local function push_carrier()
  local id = string.format('%.0f-%d', now, redis.call('HINCRBY', COUNTERS, 'carriers', 1))
  redis.call('LPUSH', QUEUE, (string.gsub(ARGV[2], '@CARRIER@', id)))
  redis.call('ZADD', CARRIERS, now + UNDER_WAY_MS, id)
end

-- Somebody waits: wake carriers that linger, or send more while fewer are alive than there are slots.
local function kick()
  local waiting = redis.call('ZCARD', LANE)
  while waiting > 0 do
    local idle = redis.call('ZPOPMAX', IDLE)
    if not idle[1] then break end
    if tonumber(idle[2]) > now then
      redis.call('LPUSH', WAKE .. idle[1], 1)
      redis.call('PEXPIRE', WAKE .. idle[1], 2000)
      waiting = waiting - 1
    end
  end
  if waiting == 0 then return end
  redis.call('ZREMRANGEBYSCORE', CARRIERS, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', CARRIERS, now + LIVES_MS, '+inf')
  local slots = tonumber(redis.call('HGET', COUNTERS, 'slots') or '0')
  local free = slots - math.max(redis.call('ZCARD', CARRIERS), redis.call('LLEN', QUEUE))
  for _ = 1, math.min(waiting, free) do push_carrier() end
end

local function rank(member, priority)
  local birth = tonumber(string.sub(member, 1, 8) .. string.sub(member, 10, 13), 16) or 0
  return string.format('%.0f', (9 - priority) * 281474976710656 + birth)
end

local function enter(member, rank)
  redis.call('ZREM', DUE, member)
  return redis.call('ZADD', LANE, 'NX', rank, member)
end

-- Let this call finish even if Redis is full.
local function goes_on()
  redis.call('ZREM', IDLE, '')
end

-- How many slots the living workers have.
local function slots_alive()
  local slots = 0
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, '(' .. string.format('%.0f', now), now + LIVES_MS)) do
    slots = slots + (string.match(worker, '|(%d+)$') or 0)
  end
  return slots
end

local function settle(member)
  redis.call('ZREM', TAKEN, member)
  redis.call('HDEL', TRIES, member)
end

-- Jobs that were taken and never claimed go back to their rank.
local function offer_again()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', TAKEN, '-inf', now, 'LIMIT', 0, 20)) do
    local tried = redis.call('HGET', TRIES, member)
    local rank = tonumber(tried and string.match(tried, ' (.*)')) and string.match(tried, ' (.*)') or '0'
    redis.call('ZREM', TAKEN, member)
    redis.call('ZADD', LANE, 'NX', rank, member)
    redis.call('HINCRBY', COUNTERS, 'retaken', 1)
  end
end

local verbs = {}

-- (member, priority)* -> how many were new. Known ones stay where they are, so admitting twice is harmless.
function verbs.admit()
  local new = 0
  for i = 3, #ARGV, 2 do
    local deadline = redis.call('ZSCORE', TAKEN, ARGV[i])
    if not (deadline and tonumber(deadline) > now) then
      new = new + enter(ARGV[i], rank(ARGV[i], ARGV[i + 1]))
    end
  end
  kick()
  return new
end

-- member, priority: a job that was taken and is queued again; what its last taking left is gone.
function verbs.back()
  goes_on()
  settle(ARGV[3])
  return verbs.admit()
end

-- carrier, linger ms (0: leave if there is nothing), settled member* -> member or nothing.
function verbs.take()
  goes_on()
  for i = 5, #ARGV do settle(ARGV[i]) end
  offer_again()
  local first = redis.call('ZPOPMIN', LANE)
  redis.call('ZREM', IDLE, ARGV[3])
  if first[1] then
    local tried = redis.call('HGET', TRIES, first[1])
    local count = (tried and tonumber(string.match(tried, '^%d+')) or 0) + 1
    redis.call('HSET', TRIES, first[1], string.format('%d %s', count, first[2]))
    redis.call('ZADD', TAKEN, now + RETAKE_AFTER_MS[math.min(count, 3)], first[1])
    redis.call('ZADD', CARRIERS, now + AT_WORK_MS, ARGV[3])
    kick()
    return first[1]
  end
  local linger_ms = tonumber(ARGV[4])
  if linger_ms > 0 then
    redis.call('ZADD', IDLE, now + linger_ms, ARGV[3])
    redis.call('ZADD', CARRIERS, now + linger_ms + UNDER_WAY_MS, ARGV[3])
  else
    redis.call('ZREM', CARRIERS, ARGV[3])
  end
  return false
end

-- carrier, settled member*: the carrier leaves; another is sent if work waits.
function verbs.part()
  goes_on()
  for i = 4, #ARGV do settle(ARGV[i]) end
  redis.call('ZREM', IDLE, ARGV[3])
  redis.call('ZREM', CARRIERS, ARGV[3])
  kick()
  return 1
end

-- delay ms, member: wait for a time. Wakes a timer if nothing is due earlier.
function verbs.defer()
  goes_on()
  local member = ARGV[4]
  settle(member)
  redis.call('ZREM', LANE, member)
  redis.call('ZADD', DUE, string.format('%.0f', now + ARGV[3]), member)
  if redis.call('ZRANGE', DUE, 0, 0)[1] == member then
    redis.call('LPUSH', DUE_WAKE, 1)
    redis.call('LTRIM', DUE_WAKE, 0, 0)
    redis.call('PEXPIRE', DUE_WAKE, 2000)
  end
  return 1
end

-- limit -> {ms until the next due time or -1, member*}: what is due now; it stays until it is admitted or forgotten.
function verbs.due()
  local members = redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, ARGV[3])
  local first = redis.call('ZRANGEBYSCORE', DUE, '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  table.insert(members, 1, first[2] and tonumber(first[2]) - now or -1)
  return members
end

-- member*: nobody is to run these.
function verbs.forget()
  for i = 3, #ARGV do
    redis.call('ZREM', LANE, ARGV[i])
    redis.call('ZREM', DUE, ARGV[i])
    settle(ARGV[i])
  end
  return 1
end

-- worker, slots, alive for ms, number of carriers, carrier*, claimed member*: a worker's sign of life. Answers the slots alive.
function verbs.beat()
  goes_on()
  local alive_ms = tonumber(ARGV[5])
  redis.call('ZADD', WORKERS, now + alive_ms, ARGV[3] .. '|' .. ARGV[4])
  redis.call('ZREMRANGEBYSCORE', WORKERS, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', WORKERS, now + LIVES_MS, '+inf')
  local carriers = tonumber(ARGV[6])
  for i = 7, 6 + carriers do redis.call('ZADD', CARRIERS, 'XX', 'GT', now + AT_WORK_MS, ARGV[i]) end
  for i = 7 + carriers, #ARGV do settle(ARGV[i]) end
  local slots = slots_alive()
  redis.call('HSET', COUNTERS, 'slots', slots)
  offer_again()
  kick()
  return slots
end

-- worker, slots, carrier*: a worker ends, or a process of it died with these carriers.
function verbs.leave()
  goes_on()
  redis.call('ZREM', WORKERS, ARGV[3] .. '|' .. ARGV[4])
  for i = 5, #ARGV do
    redis.call('ZREM', CARRIERS, ARGV[i])
    redis.call('ZREM', IDLE, ARGV[i])
  end
  kick()
  return 1
end

-- member* -> those that stand nowhere here.
function verbs.unknown()
  local missing = {}
  for i = 3, #ARGV do
    local member = ARGV[i]
    if not (redis.call('ZSCORE', LANE, member) or redis.call('ZSCORE', TAKEN, member) or redis.call('ZSCORE', DUE, member)) then
      missing[#missing + 1] = member
    end
  end
  kick()
  return missing
end

-- -> {waiting, taken, due, slots alive, retaken}
function verbs.look()
  return {
    redis.call('ZCARD', LANE), redis.call('ZCARD', TAKEN), redis.call('ZCARD', DUE), slots_alive(),
    tonumber(redis.call('HGET', COUNTERS, 'retaken') or '0'),
  }
end

-- -> names of the workers alive.
function verbs.workers()
  return redis.call('ZRANGEBYSCORE', WORKERS, '(' .. string.format('%.0f', now), now + LIVES_MS)
end

-- -> {1 if every key is of its type and every counter a number, the time}
function verbs.sound()
  local types = {'zset', 'zset', 'hash', 'zset', 'zset', 'zset', 'zset', 'hash', 'list', false, 'list'}
  for i, expected in ipairs(types) do
    local found = expected and redis.call('TYPE', KEYS[i]).ok
    if expected and found ~= 'none' and found ~= expected then return {0, now} end
  end
  for _, value in ipairs(redis.call('HVALS', COUNTERS)) do
    if not string.match(value, '^%d+$') then return {0, now} end
  end
  return {1, now}
end

return verbs[ARGV[1]]()
