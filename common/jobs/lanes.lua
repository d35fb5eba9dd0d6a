-- The lanes of all queues: who waits, who is next, who was taken, what is due, which carriers are alive. One call is
-- one atomic step on Redis's clock, so no two can interleave; nothing here can't be rebuilt from MongoDB.
--
-- KEYS  1 the prefix of every key below, 2 the name of a queue's list in Celery, with @QUEUE@ where the queue's goes
-- ARGV  1 verb, 2 a carrier's envelope with @QUEUE@ and @CARRIER@ where their names go, 3 queue, then the verb's own
--
-- Of a queue, behind the prefix and "<queue>:"
--   lane:<org>:<kind>  zset  job -> rank                waiting jobs; rank = (9 - priority) * 2^48 + birth
--   heads:<org>        zset  kind -> rank of its first  the kinds of which the organization has jobs here
--   ready, over        zset  org -> tag                 who may have the next slot; who only if nobody is ready
--   tags               zset  org -> tag                 what those who wait nowhere have used beyond the floor
--   stuck:<kind>       set   org                        those whose kinds are all paused or at their caps
--   stucks             set   kind                       the kinds that somebody is stuck with
--   cost               hash  kind -> ms                 measured run time, a moving average
--   taken              zset  member -> deadline ms      taken by a slot and not yet known to be claimed
--   tries              hash  member -> "count rank lane's kind"   how often a taken job was offered in vain
--   due, due_wake      zset  member -> due ms; list     jobs that wait for a time; wakes one worker's timer
--   carriers, idle     zset  carrier -> until ms        carriers under way, lingering or at work; those that linger
--   workers            zset  "name|slots" -> until ms
--   counters           hash  carriers, slots, retaken, waiting, taken (jobs), borrowed, floor (the virtual time)
-- Of all queues, behind the prefix and "all:"
--   holders:<org>      hash  job -> "queue kind charged ms since ms, + if the slot is borrowed": what it runs
--   holds              zset  "queue/member" -> until ms                their leases: a dead holder frees its slot
--   of:<kind>          set   job                        the holders of a kind that has a cap
--   capped:<org>       set   queue                      where the organization waits in "over"
--   dues               hash  org -> count               how many of its jobs wait for a time
--   tier_of, tiers     hash  org -> tier; tier -> "weight cap"
--   paused             set   org                        organizations that an operator paused
--   rules              hash  "queue:x", "kind:x" -> paused; "cap:kind" -> how many of it run at a time
--
-- A member is "job:org:kind". In the names of lanes and heads a kind with "!" behind it is for jobs that ride alone.
-- Birth is the millisecond in which the job was made, from its UUIDv7. So a job that comes back, after a death, a wait
-- or a rebuild, stands where it stood: before all that came later. Who is served next has the smallest tag; serving it
-- adds cost / weight to the tag. Costs are estimated when a job is taken and corrected by what it really used. Whoever
-- comes (back) starts at the floor, the tag that was served last, so idling earns nothing. Lists of members in one call
-- are bounded by the caller (500), organizations that one call looks at by constants here.
--
-- A full Redis refuses a script at its first command that needs memory, unless the script has written already: it is
-- never stopped in the middle. `admit` is refused then, and the sweep admits later; every other verb begins with a
-- write that needs none, because it serves work that is accepted, and most of them make room.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local RETAKE_AFTER_MS = {5000, 15000, 60000} -- growing, so that a lost claim is offered again without a storm
local UNDER_WAY_MS = 1000                    -- a carrier that was not picked up by then counts as lost
local AT_WORK_MS = 3000                      -- renewed every second by the worker's parent
local LIVES_MS = 60000                       -- no sign of life reaches further: what says so is not of ours
local UNMEASURED_MS = 50                     -- what a kind is taken to cost before it was measured
local LEAST_MS = 0.05                        -- nothing is free
local NEWEST_COUNTS = 0.1                    -- the weight of the newest measure in a kind's cost
local DEFAULT_TIER = '1 2'                   -- weight, cap: of an organization that nobody described yet
local AT_ONCE = 20                           -- how many forgotten things one call mends
local LOOKED_AT = 200                        -- how many organizations one call looks at that turn out to be stuck

local ALL = KEYS[1] .. 'all:'
local HOLDERS, HOLDS, OF, CAPPED = ALL .. 'holders:', ALL .. 'holds', ALL .. 'of:', ALL .. 'capped:'
local DUES, TIER_OF, TIERS = ALL .. 'dues', ALL .. 'tier_of', ALL .. 'tiers'
local RULES, PAUSED = ALL .. 'rules', ALL .. 'paused'

local function keys_of(queue)
  local own = KEYS[1] .. queue .. ':'
  return {
    queue = queue, celery = (string.gsub(KEYS[2], '@QUEUE@', queue)), lane = own .. 'lane:', heads = own .. 'heads:',
    ready = own .. 'ready', over = own .. 'over', tags = own .. 'tags', cost = own .. 'cost',
    stuck = own .. 'stuck:', stucks = own .. 'stucks', taken = own .. 'taken', tries = own .. 'tries',
    due = own .. 'due', due_wake = own .. 'due_wake',
    carriers = own .. 'carriers', idle = own .. 'idle', wake = own .. 'wake:', workers = own .. 'workers',
    counters = own .. 'counters',
  }
end

local Q = keys_of(ARGV[3])

local function exact(number) return string.format('%.17g', number) end
local function whole(number) return string.format('%.0f', number) end
local function parts_of(member) return string.match(member, '^([^:]*):([^:]*):(.*)$') end
local function counter(queue, name) return tonumber(redis.call('HGET', queue.counters, name) or '0') or 0 end

-- Let this call finish even if Redis is full.
local function goes_on() redis.call('ZREM', Q.idle, '') end

-- What operators and kinds have laid down; read once a call.
local rules
local function rule(name)
  if not rules then
    rules = {}
    local flat = redis.call('HGETALL', RULES)
    for i = 1, #flat, 2 do rules[flat[i]] = flat[i + 1] end
  end
  return rules[name]
end

-- Weight and cap of an organization.
local terms_known = {}
local function terms_of(org)
  local terms = terms_known[org]
  if not terms then
    local tier = redis.call('HGET', TIER_OF, org)
    local weight, cap = string.match(tier and redis.call('HGET', TIERS, tier) or DEFAULT_TIER, '(%S+) (%S+)')
    terms = {weight = math.max(tonumber(weight) or 1, 0.001), cap = tonumber(cap) or 2}
    terms_known[org] = terms
  end
  return terms
end

-- carriers

local function push_carrier(queue)
  local id = string.format('%.0f-%d', now, redis.call('HINCRBY', queue.counters, 'carriers', 1))
  local message = string.gsub(string.gsub(ARGV[2], '@QUEUE@', queue.queue), '@CARRIER@', id)
  redis.call('LPUSH', queue.celery, (message))
  redis.call('ZADD', queue.carriers, now + UNDER_WAY_MS, id)
end

-- Somebody waits: wake carriers that linger, or send more while fewer are alive than there are slots.
local function kick(queue)
  if rule('queue:' .. queue.queue) then return end
  if redis.call('EXISTS', queue.ready, queue.over) == 0 then return end
  local waiting = math.max(counter(queue, 'waiting'), 1)
  while waiting > 0 do
    local idle = redis.call('ZPOPMAX', queue.idle)
    if not idle[1] then break end
    if tonumber(idle[2]) > now then
      redis.call('LPUSH', queue.wake .. idle[1], 1)
      redis.call('PEXPIRE', queue.wake .. idle[1], 2000)
      waiting = waiting - 1
    end
  end
  if waiting == 0 then return end
  redis.call('ZREMRANGEBYSCORE', queue.carriers, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', queue.carriers, now + LIVES_MS, '+inf')
  local free = counter(queue, 'slots') - math.max(redis.call('ZCARD', queue.carriers), redis.call('LLEN', queue.celery))
  for _ = 1, math.min(waiting, free) do push_carrier(queue) end
end

-- who is next

local function name_of(kind) return (string.gsub(kind, '!$', '')) end

local function is_blocked(kind)
  local name = name_of(kind)
  if rule('kind:' .. name) then return true end
  local cap = tonumber(rule('cap:' .. name))
  return cap ~= nil and redis.call('SCARD', OF .. name) >= cap
end

-- The kind whose first job is the organization's next, of those that may run.
local function next_kind(queue, org)
  for _, kind in ipairs(redis.call('ZRANGE', queue.heads .. org, 0, -1)) do
    if not is_blocked(kind) then return kind end
  end
end

local function floor_of(queue) return counter(queue, 'floor') end

-- Put the organization where it belongs: ready, over its cap, or nowhere. It keeps its tag while it stays in line.
local function place(queue, org)
  local tag, from = redis.call('ZSCORE', queue.ready, org), queue.ready
  if not tag then tag, from = redis.call('ZSCORE', queue.over, org), queue.over end
  if not tag then tag, from = redis.call('ZSCORE', queue.tags, org), nil end
  tag = tonumber(tag or '0')
  local to = nil
  if redis.call('EXISTS', queue.heads .. org) == 1 and redis.call('SISMEMBER', PAUSED, org) == 0 then
    if not next_kind(queue, org) then
      for _, kind in ipairs(redis.call('ZRANGE', queue.heads .. org, 0, -1)) do
        redis.call('SADD', queue.stuck .. name_of(kind), org)
        redis.call('SADD', queue.stucks, name_of(kind))
      end
    elseif redis.call('HLEN', HOLDERS .. org) < terms_of(org).cap then
      to = queue.ready
    else
      to = queue.over
      redis.call('SADD', CAPPED .. org, queue.queue)
    end
  end
  if to == from and to then return end
  if from then redis.call('ZREM', from, org) end
  local floor = floor_of(queue)
  if to then
    redis.call('ZADD', to, exact(math.max(tag, floor)), org)
    redis.call('ZREM', queue.tags, org)
  elseif tag > floor then
    redis.call('ZADD', queue.tags, exact(tag), org)
  else
    redis.call('ZREM', queue.tags, org)
  end
end

-- Charge the organization with so many milliseconds more, or fewer; in line and out of it.
local function charge(queue, org, ms)
  local by = exact(ms / terms_of(org).weight)
  for _, line in ipairs({queue.ready, queue.over}) do
    if redis.call('ZSCORE', line, org) then
      redis.call('ZINCRBY', line, by, org)
      return
    end
  end
  local tag = math.max(tonumber(redis.call('ZSCORE', queue.tags, org) or '0'), floor_of(queue))
  redis.call('ZADD', queue.tags, exact(tag + ms / terms_of(org).weight), org)
end

-- A kind's cap has room again, or it is resumed: those that waited for it stand in line again, some in a call.
local function unstick(queue, name)
  if redis.call('SISMEMBER', queue.stucks, name) == 0 or is_blocked(name) then return end
  for _, org in ipairs(redis.call('SPOP', queue.stuck .. name, AT_ONCE)) do place(queue, org) end
  if redis.call('EXISTS', queue.stuck .. name) == 0 then redis.call('SREM', queue.stucks, name) end
end

-- lanes

local function leave_due(queue, member)
  if redis.call('ZREM', queue.due, member) == 1 then
    local _, org = parts_of(member)
    if org and redis.call('HINCRBY', DUES, org, -1) <= 0 then redis.call('HDEL', DUES, org) end
  end
end

-- Whoever calls this counts the job as waiting and places the organization afterwards.
local function enter(queue, member, rank, alone)
  local job, org, kind = parts_of(member)
  if not job then return 0 end
  leave_due(queue, member)
  if redis.call('ZSCORE', queue.lane .. org .. ':' .. (alone and kind or kind .. '!'), job) then return 0 end
  if alone then kind = kind .. '!' end
  if redis.call('ZADD', queue.lane .. org .. ':' .. kind, 'NX', rank, job) == 0 then return 0 end
  redis.call('ZADD', queue.heads .. org, 'LT', rank, kind)
  return 1
end

-- Jobs of the organization came: it stands in line now, if it did not before.
local function line_up(queue, org)
  if redis.call('ZSCORE', queue.ready, org) or redis.call('ZSCORE', queue.over, org) then return end
  place(queue, org)
end

-- A job comes back into its lane.
local function come_back(queue, member, rank, alone)
  local new = enter(queue, member, rank, alone)
  if new == 1 then redis.call('HINCRBY', queue.counters, 'waiting', 1) end
  local _, org = parts_of(member)
  if org then line_up(queue, org) end
end

-- The lane of a kind lost a job: note its new first one, or that there is none.
local function note_head(queue, org, kind)
  local first = redis.call('ZRANGE', queue.lane .. org .. ':' .. kind, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', queue.heads .. org, first[2], kind)
  else
    redis.call('ZREM', queue.heads .. org, kind)
    redis.call('SREM', queue.stuck .. name_of(kind), org)
  end
end

local function leave_lane(queue, member)
  local job, org, kind = parts_of(member)
  if not job then return end
  for _, lane in ipairs({kind, kind .. '!'}) do
    if redis.call('ZREM', queue.lane .. org .. ':' .. lane, job) == 1 then
      redis.call('HINCRBY', queue.counters, 'waiting', -1)
      note_head(queue, org, lane)
      place(queue, org)
    end
  end
end

local function rank_of(member, priority)
  local birth = tonumber(string.sub(member, 1, 8) .. string.sub(member, 10, 13), 16) or 0
  return whole((9 - priority) * 281474976710656 + birth)
end

-- holders

local function settle(queue, member)
  redis.call('ZREM', queue.taken, member)
  redis.call('HDEL', queue.tries, member)
end

local function hold(queue, member, until_ms, charged, borrowed)
  local job, org, kind = parts_of(member)
  if not job then return end
  redis.call('ZADD', HOLDS, whole(until_ms), queue.queue .. '/' .. member)
  local how = table.concat({queue.queue, kind, exact(charged), whole(now), borrowed and '+' or '-'}, ' ')
  if redis.call('HSETNX', HOLDERS .. org, job, how) == 1 and rule('cap:' .. kind) then redis.call('SADD', OF .. kind, job) end
end

-- The job is no longer run. Its charge is corrected by what it *used* (ms), and its kind's cost learned; 0: it was not
-- begun; negative: nobody measured it.
local function release(queue, member, used)
  local job, org, name = parts_of(member)
  if not job then return end
  redis.call('ZREM', HOLDS, queue.queue .. '/' .. member)
  redis.call('SREM', OF .. name, job)
  local held = redis.call('HGET', HOLDERS .. org, job)
  if held then
    redis.call('HDEL', HOLDERS .. org, job)
    if used >= 0 then
      if used > 0 then
        used = math.max(used, LEAST_MS)
        local cost = tonumber(redis.call('HGET', queue.cost, name) or used) or used
        redis.call('HSET', queue.cost, name, exact(cost + (used - cost) * NEWEST_COUNTS))
      end
      charge(queue, org, used - (tonumber(string.match(held, '^%S+ %S+ (%S+)')) or 0))
    end
    for _, other in ipairs(redis.call('SMEMBERS', CAPPED .. org)) do
      local there = other == queue.queue and queue or keys_of(other)
      place(there, org)
      if not redis.call('ZSCORE', there.over, org) then redis.call('SREM', CAPPED .. org, other) end
      if other ~= queue.queue then kick(there) end
    end
  end
  unstick(queue, name)
end

-- Holders whose lease ran out are counted no longer.
local function free_the_dead()
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', HOLDS, '-inf', now, 'LIMIT', 0, AT_ONCE)) do
    local queue, member = string.match(dead, '^([^/]*)/(.*)$')
    redis.call('ZREM', HOLDS, dead)
    if queue and parts_of(member) then release(keys_of(queue), member, -1) end
  end
end

-- Jobs that were taken and never claimed go back to their rank.
local function offer_again(queue)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', queue.taken, '-inf', now, 'LIMIT', 0, AT_ONCE)) do
    local rank, lane = string.match(redis.call('HGET', queue.tries, member) or '', '^%S+ (%d+) (.*)$')
    redis.call('ZREM', queue.taken, member)
    release(queue, member, -1)
    come_back(queue, member, rank or '0', string.sub(lane or '', -1) == '!')
    redis.call('HINCRBY', queue.counters, 'retaken', 1)
  end
end

-- What ARGV names from *first* to *last*, (member, used ms)*, is over or was never claimed.
local function end_all(queue, first, last)
  for i = first, last, 2 do
    settle(queue, ARGV[i])
    release(queue, ARGV[i], tonumber(ARGV[i + 1]))
  end
end

-- How many slots the living workers have.
local function slots_alive(queue)
  local slots = 0
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', queue.workers, '(' .. whole(now), now + LIVES_MS)) do
    slots = slots + (string.match(worker, '|(%d+)$') or 0)
  end
  return slots
end

-- Where nobody stands in a line, is stuck or paused, nobody waits: a count that says otherwise was left by lanes that
-- were cleared one by one for a rebuild, while workers went on.
local function count_again(queue)
  if redis.call('EXISTS', queue.ready, queue.over, queue.stucks, PAUSED) == 0 and counter(queue, 'waiting') ~= 0 then
    redis.call('HSET', queue.counters, 'waiting', 0)
  end
end

local verbs = {}

-- (member, priority, tier, "!" if it rides alone)* -> how many were new. Known ones stay where they are, so admitting
-- twice is harmless. A tier counts for an organization that is not known yet; "" names none.
function verbs.admit()
  local new, met, some_taken = 0, {}, redis.call('EXISTS', Q.taken) == 1
  for i = 4, #ARGV, 4 do
    local member, tier = ARGV[i], ARGV[i + 2]
    local deadline = some_taken and redis.call('ZSCORE', Q.taken, member)
    local _, org = parts_of(member)
    if org and not (deadline and tonumber(deadline) > now) then
      if not met[org] and tier ~= '' then redis.call('HSETNX', TIER_OF, org, tier) end
      met[org] = true
      new = new + enter(Q, member, rank_of(member, ARGV[i + 1]), ARGV[i + 3] == '!')
    end
  end
  if new > 0 then redis.call('HINCRBY', Q.counters, 'waiting', new) end
  for org in pairs(met) do line_up(Q, org) end
  kick(Q)
  return new
end

-- (member, priority, used ms, "!" if it rides alone)*: jobs that were taken and are queued again; what their last
-- taking left is gone.
function verbs.back()
  goes_on()
  for i = 4, #ARGV, 4 do
    settle(Q, ARGV[i])
    release(Q, ARGV[i], tonumber(ARGV[i + 2]))
    come_back(Q, ARGV[i], rank_of(ARGV[i], ARGV[i + 1]), ARGV[i + 3] == '!')
  end
  kick(Q)
  return 1
end

-- Take the organization's next job and charge it with its cost.
local function serve(queue, org, tag, kind, cost, hold_ms, borrowed)
  local job = redis.call('ZPOPMIN', queue.lane .. org .. ':' .. kind)
  if not job[1] then
    note_head(queue, org, kind)
    place(queue, org)
    return nil
  end
  local member = job[1] .. ':' .. org .. ':' .. name_of(kind)
  redis.call('HINCRBY', queue.counters, 'waiting', -1)
  note_head(queue, org, kind)
  local tried = redis.call('HGET', queue.tries, member)
  local count = (tried and tonumber(string.match(tried, '^%d+')) or 0) + 1
  redis.call('HSET', queue.tries, member, string.format('%d %s %s', count, job[2], kind))
  redis.call('ZADD', queue.taken, now + RETAKE_AFTER_MS[math.min(count, 3)], member)
  if tag > floor_of(queue) then redis.call('HSET', queue.counters, 'floor', exact(tag)) end
  hold(queue, member, now + hold_ms, cost, borrowed)
  charge(queue, org, cost)
  place(queue, org)
  return member
end

-- carrier, linger ms (0: leave if there is nothing), hold ms, budget ms, most, released count, (member, used ms)*
-- -> members: one job, or as many short ones as fit into the budget by what their kinds cost.
function verbs.take()
  goes_on()
  local carrier, linger_ms, hold_ms = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
  local budget, most = tonumber(ARGV[7]), tonumber(ARGV[8])
  end_all(Q, 10, 9 + 2 * ARGV[9])
  free_the_dead()
  offer_again(Q)
  local found, spent, costs, looked = {}, 0, {}, 0
  while #found < most and looked < LOOKED_AT and not rule('queue:' .. Q.queue) do
    local line = Q.ready
    local first = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
    if not first[1] then
      line = Q.over
      first = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
    end
    if not first[1] then break end
    local org, kind = first[1], next_kind(Q, first[1])
    if kind then
      local cost = costs[kind] or tonumber(redis.call('HGET', Q.cost, name_of(kind)) or UNMEASURED_MS) or UNMEASURED_MS
      costs[kind] = cost
      local alone = string.sub(kind, -1) == '!'
      if #found > 0 and (alone or spent + cost > budget) then break end
      local borrowed = line == Q.over
      local member = serve(Q, org, tonumber(first[2]), kind, cost, hold_ms, borrowed)
      if member then
        found[#found + 1] = member
        if borrowed then redis.call('HINCRBY', Q.counters, 'borrowed', 1) end
        spent = spent + (alone and budget or cost)
      end
    else
      place(Q, org) -- its kinds were paused or reached their caps since
      looked = looked + 1
    end
  end
  redis.call('ZREMRANGEBYSCORE', Q.tags, '-inf', exact(floor_of(Q)))
  redis.call('ZREM', Q.idle, carrier)
  if #found > 0 then
    redis.call('HINCRBY', Q.counters, 'taken', #found)
    redis.call('ZADD', Q.carriers, now + AT_WORK_MS, carrier)
    kick(Q)
  elseif linger_ms > 0 then
    redis.call('ZADD', Q.idle, now + linger_ms, carrier)
    redis.call('ZADD', Q.carriers, now + linger_ms + UNDER_WAY_MS, carrier)
  else
    redis.call('ZREM', Q.carriers, carrier)
  end
  return found
end

-- (member, used ms)*: their ends are written down.
function verbs.release()
  goes_on()
  end_all(Q, 4, #ARGV)
  kick(Q)
  return 1
end

-- carrier, (member, used ms)*: the carrier leaves; another is sent if work waits.
function verbs.part()
  goes_on()
  end_all(Q, 5, #ARGV)
  redis.call('ZREM', Q.idle, ARGV[4])
  redis.call('ZREM', Q.carriers, ARGV[4])
  kick(Q)
  return 1
end

-- (delay ms, member, used ms)*: wait for a time. Wakes a timer if nothing is due earlier.
function verbs.defer()
  goes_on()
  for i = 4, #ARGV, 3 do
    local member = ARGV[i + 1]
    settle(Q, member)
    release(Q, member, tonumber(ARGV[i + 2]))
    leave_lane(Q, member)
    local _, org = parts_of(member)
    if redis.call('ZADD', Q.due, whole(now + ARGV[i]), member) == 1 and org then redis.call('HINCRBY', DUES, org, 1) end
    if redis.call('ZRANGE', Q.due, 0, 0)[1] == member then
      redis.call('LPUSH', Q.due_wake, 1)
      redis.call('LTRIM', Q.due_wake, 0, 0)
      redis.call('PEXPIRE', Q.due_wake, 2000)
    end
  end
  kick(Q)
  return 1
end

-- limit -> {ms until the next due time or -1, member*}: what is due now; it stays until it is admitted or forgotten.
function verbs.due()
  local members = redis.call('ZRANGEBYSCORE', Q.due, '-inf', now, 'LIMIT', 0, ARGV[4])
  local first = redis.call('ZRANGEBYSCORE', Q.due, '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  table.insert(members, 1, first[2] and tonumber(first[2]) - now or -1)
  return members
end

-- member*: nobody is to run these.
function verbs.forget()
  goes_on()
  for i = 4, #ARGV do
    leave_lane(Q, ARGV[i])
    leave_due(Q, ARGV[i])
    if redis.call('ZREM', Q.taken, ARGV[i]) == 1 then release(Q, ARGV[i], -1) end
    settle(Q, ARGV[i])
    if not parts_of(ARGV[i]) then redis.call('ZREM', Q.due, ARGV[i]) end
  end
  return 1
end

-- worker, slots, alive for ms, hold ms, number of carriers, carrier*, claimed member*: a worker's sign of life.
-- -> {slots alive, member*}: those whose slots are borrowed while another is ready and finds none free.
function verbs.beat()
  goes_on()
  local alive_ms, hold_ms, carriers = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
  redis.call('ZADD', Q.workers, now + alive_ms, ARGV[4] .. '|' .. ARGV[5])
  redis.call('ZREMRANGEBYSCORE', Q.workers, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', Q.workers, now + LIVES_MS, '+inf')
  for i = 9, 8 + carriers do redis.call('ZADD', Q.carriers, 'XX', 'GT', now + AT_WORK_MS, ARGV[i]) end
  for i = 9 + carriers, #ARGV do
    settle(Q, ARGV[i])
    -- What the worker says may be a second old: a job that was released since is not held again.
    redis.call('ZADD', HOLDS, 'XX', whole(now + hold_ms), Q.queue .. '/' .. ARGV[i])
  end
  redis.call('HSET', Q.counters, 'slots', slots_alive(Q))
  free_the_dead()
  offer_again(Q)
  for _, name in ipairs(redis.call('SMEMBERS', Q.stucks)) do unstick(Q, name) end
  count_again(Q)
  local wanted = redis.call('ZCOUNT', Q.idle, '(' .. whole(now), '+inf') == 0 and redis.call('ZCARD', Q.ready) or 0
  local answer = {counter(Q, 'slots')}
  for i = 9 + carriers, #ARGV do
    if #answer > wanted then break end
    local job, org = parts_of(ARGV[i])
    local held = job and redis.call('HGET', HOLDERS .. org, job)
    if held and string.sub(held, -1) == '+' then answer[#answer + 1] = ARGV[i] end
  end
  kick(Q)
  return answer
end

-- worker, slots, carrier*: a worker ends, or a process of it died with these carriers.
function verbs.leave()
  goes_on()
  redis.call('ZREM', Q.workers, ARGV[4] .. '|' .. ARGV[5])
  redis.call('HSET', Q.counters, 'slots', slots_alive(Q))
  for i = 6, #ARGV do
    redis.call('ZREM', Q.carriers, ARGV[i])
    redis.call('ZREM', Q.idle, ARGV[i])
  end
  kick(Q)
  return 1
end

-- hold ms, member*: these are run by somebody, as MongoDB knows.
function verbs.hold()
  goes_on()
  for i = 5, #ARGV do hold(Q, ARGV[i], now + ARGV[4], 0) end
  return 1
end

-- member* -> those that stand nowhere here.
function verbs.unknown()
  local missing = {}
  for i = 4, #ARGV do
    local job, org, kind = parts_of(ARGV[i])
    local lane = job and Q.lane .. org .. ':' .. kind
    if not (job and (redis.call('ZSCORE', lane, job) or redis.call('ZSCORE', lane .. '!', job)
                     or redis.call('HEXISTS', HOLDERS .. org, job) == 1)
            or redis.call('ZSCORE', Q.taken, ARGV[i]) or redis.call('ZSCORE', Q.due, ARGV[i])) then
      missing[#missing + 1] = ARGV[i]
    end
  end
  kick(Q)
  return missing
end

-- -> {waiting, not known to be claimed, due, slots alive, offered again so far, organizations ready, over their caps,
-- slots borrowed so far, jobs taken so far, 1 if paused, carriers that linger}
function verbs.look()
  return {
    counter(Q, 'waiting'), redis.call('ZCARD', Q.taken), redis.call('ZCARD', Q.due), slots_alive(Q), counter(Q, 'retaken'),
    redis.call('ZCARD', Q.ready), redis.call('ZCARD', Q.over), counter(Q, 'borrowed'), counter(Q, 'taken'),
    rule('queue:' .. Q.queue) and 1 or 0, redis.call('ZCOUNT', Q.idle, '(' .. whole(now), '+inf'),
  }
end

local function standing(member)
  local job, org, kind = parts_of(member)
  local lane = job and Q.lane .. org .. ':' .. kind
  local rank = job and (redis.call('ZSCORE', lane, job) or redis.call('ZSCORE', lane .. '!', job))
  if not rank then return {'slot', redis.call('ZSCORE', Q.taken, member) and 0 or -1} end
  local ahead = 0
  for _, other in ipairs(redis.call('ZRANGE', Q.heads .. org, 0, -1)) do
    ahead = ahead + redis.call('ZCOUNT', Q.lane .. org .. ':' .. other, '-inf', '(' .. rank)
  end
  local reason = 'slot'
  if rule('queue:' .. Q.queue) then reason = 'queue_paused'
  elseif redis.call('SISMEMBER', PAUSED, org) == 1 then reason = 'organization_paused'
  elseif rule('kind:' .. kind) then reason = 'kind_paused'
  elseif is_blocked(kind) then reason = 'kind_limit'
  elseif slots_alive(Q) == 0 then reason = 'workers'
  elseif redis.call('ZSCORE', Q.over, org) then reason = 'organization_limit' end
  return {reason, ahead}
end

-- member* -> {why it does not run yet, how many stand before it in the organization's own lane or -1: it stands
-- in none}*
function verbs.standings()
  local found = {}
  for i = 4, #ARGV do found[#found + 1] = standing(ARGV[i]) end
  return found
end

-- org, queue* -> {waiting in these queues and due, running}: what the organization has.
function verbs.waiting()
  local waiting = tonumber(redis.call('HGET', DUES, ARGV[4]) or '0')
  for i = 5, #ARGV do
    local queue = keys_of(ARGV[i])
    for _, kind in ipairs(redis.call('ZRANGE', queue.heads .. ARGV[4], 0, -1)) do
      waiting = waiting + redis.call('ZCARD', queue.lane .. ARGV[4] .. ':' .. kind)
    end
  end
  return {waiting, redis.call('HLEN', HOLDERS .. ARGV[4])}
end

-- org, tier or "", queue*: its tier or a pause has changed.
function verbs.replace()
  goes_on()
  if ARGV[5] ~= '' then redis.call('HSET', TIER_OF, ARGV[4], ARGV[5]) end
  for i = 6, #ARGV do
    place(keys_of(ARGV[i]), ARGV[4])
    kick(keys_of(ARGV[i]))
  end
  return 1
end

-- kind -> how many organizations still wait for it after some of them stand in line again.
function verbs.unstick()
  goes_on()
  unstick(Q, ARGV[4])
  kick(Q)
  return is_blocked(ARGV[4]) and 0 or redis.call('SCARD', Q.stuck .. ARGV[4])
end

-- line ("ready" or "over"), offset, limit -> {org, waiting, running}*: who is in line, the next first.
function verbs.line()
  local found = {}
  for _, org in ipairs(redis.call('ZRANGE', Q[ARGV[4]], ARGV[5], ARGV[5] + ARGV[6] - 1)) do
    local waiting = 0
    for _, kind in ipairs(redis.call('ZRANGE', Q.heads .. org, 0, -1)) do
      waiting = waiting + redis.call('ZCARD', Q.lane .. org .. ':' .. kind)
    end
    found[#found + 1] = {org, waiting, redis.call('HLEN', HOLDERS .. org)}
  end
  return found
end

-- Somebody may be served again.
function verbs.kick()
  goes_on()
  kick(Q)
  return 1
end

-- -> names of the workers alive.
function verbs.workers()
  return redis.call('ZRANGEBYSCORE', Q.workers, '(' .. whole(now), now + LIVES_MS)
end

-- -> {1 if every key is of its type and every counter a number, the time}
function verbs.sound()
  local types = {
    [Q.ready] = 'zset', [Q.over] = 'zset', [Q.tags] = 'zset', [Q.cost] = 'hash', [Q.taken] = 'zset', [Q.tries] = 'hash',
    [Q.due] = 'zset', [Q.due_wake] = 'list', [Q.carriers] = 'zset', [Q.idle] = 'zset', [Q.workers] = 'zset',
    [Q.counters] = 'hash', [Q.celery] = 'list', [Q.stucks] = 'set', [HOLDS] = 'zset', [DUES] = 'hash', [TIER_OF] = 'hash',
    [TIERS] = 'hash', [RULES] = 'hash', [PAUSED] = 'set',
  }
  for key, expected in pairs(types) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= expected then return {0, now} end
  end
  for _, value in ipairs(redis.call('HVALS', Q.counters)) do
    if not tonumber(value) then return {0, now} end
  end
  return {1, now}
end

return verbs[ARGV[1]]()
