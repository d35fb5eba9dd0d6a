-- The permits of one key under several limits, all or none. One call is one atomic step on Redis's clock, so no two
-- callers can be given the same permit, and none of several limits is spent when another refuses.
--
-- KEYS  1..n     one a limit, as under "State"
--       n+1      held       string  "until since": nobody may go (an outside 429)
--       n+2      turns      zset    ticket -> round: who waits for a permit, in the order of service
--       n+3      deadlines  zset    ticket -> µs: until when a place in that order is kept
--       n+4      parties    zset    party -> last round given to it; "v" -> the round served last
--       n+5      held by    string  as held, for one credential; left out without one
-- ARGV  1 verb, 2 cost in permits, 3 µs since when this Redis remembers (0: always), 4 n,
--       then for each limit: "window" or "bucket", permits, µs, and resolution in µs or burst in permits; then the
--       verb's own
--
-- State of a sliding window: list of the limit's permits (for operators, as they were lately), then pairs of µs and
-- the permits ever given by then, modulo 10^9. The first pair is the base: what has left the window. A permit given
-- at t counts until t + window; t is rounded up to the resolution, and what falls on one instant shares a pair. 16
-- bytes a pair, one pair a call at most, at most as many pairs as permits. What was booked ahead stands there with
-- its future instant.
-- State of a token bucket: string "µs burst permits", the instant at which it will be full again (GCRA, ITU-T I.371); a
-- permit comes back after a whole number of µs.
--
-- Only what every call needs is defined at the top; the rest stands inside functions, because Lua makes each function
-- anew in every run, and a call of the common kind takes less time than making all of them would.
--
-- Every key expires when nothing in it counts any more. All times are µs; nothing waits.
--
-- A Redis that does not remember a whole window may have lost what was given in it: half of each limit then counts as
-- given at the moment since when it remembers. State from further ahead than can be booked is of a clock that was
-- set back since, and is dropped with the same caution.

local VERB, COST, SINCE, COUNT = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local HELD, TURNS, DEADLINES, PARTIES = KEYS[COUNT + 1], KEYS[COUNT + 2], KEYS[COUNT + 3], KEYS[COUNT + 4]
local HELD_BY = KEYS[COUNT + 5] or HELD

local MODULUS = 1000000000
local HELD_MOST = 3600 * 1000000
local TURN_KEPT = 5 * 1000000 -- a ticket that has not come by then after its time loses its place

local call, format, max, ceil = redis.call, string.format, math.max, math.ceil
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local longest = 0 -- µs; nothing is booked further ahead

local function lasts(at) return format('%.0f', max(1, ceil((at - now) / 1000))) end

-- Give *cost* permits of one limit at the instant *at*, which is now or, for a booking, later.
local function give(state, cost, at)
  local key = state.key
  if state.burst then
    state.full = max(state.full, at) + cost * state.each
    call('SET', key, format('%.0f %d %d', state.full, state.burst, state.permits), 'PX', lasts(state.full))
    return
  end
  at = ceil(at / state.resolution) * state.resolution
  state.total = (state.total + cost) % MODULUS
  if state.first and state.last == at then
    call('LSET', key, -1, state.total)
  elseif state.base then
    call('RPUSH', key, format('%.0f', at), state.total)
  else
    call('RPUSH', key, state.permits, 0, 0, format('%.0f', at), state.total)
    state.base = 0
  end
  state.first = state.first or at
  -- Kept for an eighth longer than it has to be, so that not every call has to say so again.
  local eighth = state.per / 8
  if at - state.last >= eighth or math.floor(at / eighth) ~= math.floor(state.last / eighth) then
    call('PEXPIRE', key, lasts(at + state.per + eighth))
  end
  state.last = at
end

-- What is rarely needed of a sliding window.
local function upkeep(state)
  local key, mend = state.key, {}

  local function pair(i)
    local found = call('LRANGE', key, 1 + 2 * i, 2 + 2 * i)
    return tonumber(found[1]), tonumber(found[2])
  end

  -- The last pair of which *holds* is true, given that it is so of the first and of none after one of which it is not.
  local function last_pair(holds)
    local count = (call('LLEN', key) - 1) / 2 - 1
    local found, step = 1, 1
    while found + step <= count and holds(pair(found + step)) do
      found, step = found + step, step * 2
    end
    while step >= 1 do
      if found + step <= count and holds(pair(found + step)) then found = found + step end
      step = math.floor(step / 2)
    end
    return found
  end

  -- Drop what has left the window, but the last of it, which is the new base.
  function mend.forget_left()
    local left = last_pair(function(at) return at <= now - state.per end)
    call('LTRIM', key, 1 + 2 * left, -1)
    call('LPUSH', key, state.permits)
    local head = call('LRANGE', key, 2, 3)
    state.base, state.first = tonumber(head[1]), tonumber(head[2])
  end

  -- The instant at which *over* of the permits that count now will have left the window.
  function mend.free_at(over)
    local at, total = pair(1)
    if (total - state.base) % MODULUS < over then
      at = pair(1 + last_pair(function(_, so_far) return (so_far - state.base) % MODULUS < over end))
    end
    return at + state.per
  end

  -- Count what may have been forgotten: all but half of the permits, as given at the instant *since*.
  function mend.distrust(since)
    local used = (state.total - (state.base or 0)) % MODULUS
    local missing = state.permits - max(1, math.floor(state.permits / 2)) - used
    if missing > 0 then give(state, missing, since) end
  end

  function mend.drop()
    call('DEL', key)
    state.base, state.total, state.last, state.first = false, 0, 0, false
  end

  return mend
end

local function load_window(key, permits, per, resolution)
  local state = {
    key = key, permits = permits, per = per, resolution = resolution, -- all at once: a table that grows is slow
    base = false, first = false, last = 0, total = 0,
  }
  local tail = call('LRANGE', key, -2, -1)
  if tail[1] then
    local head = call('LRANGE', key, 2, 3)
    state.base, state.first = tonumber(head[1]), tonumber(head[2])
    state.last, state.total = tonumber(tail[1]), tonumber(tail[2])
    if not (state.base and state.last and state.total) or state.last > now + longest + resolution then
      local mend = upkeep(state)
      mend.drop()
      mend.distrust(now)
    end
    if state.first and state.first <= now - per then
      upkeep(state).forget_left()
    end
  end
  if SINCE > state.last and SINCE + per > now then upkeep(state).distrust(SINCE) end
  return state
end

local function load_bucket(key, permits, per, burst)
  local state = {key = key, permits = permits, each = ceil(per / permits), burst = burst, full = now}
  local found = call('GET', key)
  if found then state.full = max(now, tonumber(string.match(found, '^%d+')) or 0) end
  local half_full = (burst - max(1, math.floor(burst / 2))) * state.each
  if state.full > now + burst * state.each + longest then state.full = now + half_full end
  if SINCE > 0 then state.full = max(state.full, SINCE + half_full) end
  return state
end

-- µs until *cost* permits of one limit are free and all that was booked before has had its turn.
local function wait_of(state, cost)
  if state.burst then return max(0, state.full + (cost - state.burst) * state.each - now) end
  local booked = state.last >= now + state.resolution and state.last - now or 0
  local whole = 0
  if cost > state.permits then -- only for those who wait in line: whole windows, then the rest
    whole = ceil(cost / state.permits) - 1
    cost = cost - whole * state.permits
  end
  local over = (state.total - (state.base or 0)) % MODULUS + cost - state.permits
  if over <= 0 then return booked + whole * state.per end
  return max(upkeep(state).free_at(over) - now, booked) + whole * state.per
end

-- Permits left of one limit, and µs until all of it is free.
local function standing(state)
  if state.burst then return max(0, state.burst - ceil((state.full - now) / state.each)), state.full - now end
  local used = (state.total - (state.base or 0)) % MODULUS
  return max(0, state.permits - used), used > 0 and max(0, state.last + state.per - now) or 0
end

local states = {}
for i = 1, COUNT do longest = max(longest, tonumber(ARGV[4 * i + 3])) end
for i = 1, COUNT do
  local load = ARGV[4 * i + 1] == 'bucket' and load_bucket or load_window
  states[i] = load(KEYS[i], tonumber(ARGV[4 * i + 2]), tonumber(ARGV[4 * i + 3]), tonumber(ARGV[4 * i + 4]))
end

-- µs for which nobody, or nobody with this credential, may go. State of a clock that was set back is dropped.
local function held_for()
  local hold = 0
  for i, found in ipairs(call('MGET', HELD, HELD_BY)) do
    if found then
      local left = (tonumber(string.match(found, '^%d+')) or 0) - now
      if left > HELD_MOST then call('DEL', i == 1 and HELD or HELD_BY) else hold = max(hold, left) end
    end
  end
  return hold
end

-- How many wait in line; those who did not come in time have left it.
local function in_line()
  local waiting = call('ZCARD', TURNS)
  if waiting == 0 then return 0 end
  for _, ticket in ipairs(call('ZRANGEBYSCORE', DEADLINES, '-inf', format('%.0f', now), 'LIMIT', 0, 100)) do
    call('ZREM', TURNS, ticket)
    call('ZREM', DEADLINES, ticket)
  end
  return call('ZCARD', TURNS)
end

local function wait_of_all(cost)
  local wait = 0
  for i = 1, COUNT do wait = max(wait, wait_of(states[i], cost)) end
  return wait
end

local function answer(first, second)
  local all = {first, second}
  for i = 1, COUNT do all[2 * i + 1], all[2 * i + 2] = standing(states[i]) end
  return all
end

-- take -> {1 or 0, µs to wait, remaining and µs until all is free of each limit}: give now, or nothing.
if VERB == 'take' then
  local is_plain = call('EXISTS', HELD, HELD_BY, TURNS) == 0
  local wait = is_plain and wait_of_all(COST) or max(held_for(), wait_of_all(COST + in_line()))
  if wait > 0 then return answer(0, wait) end
  for i = 1, COUNT do give(states[i], COST, now) end
  return answer(1, 0)
end

local OWN = 4 + 4 * COUNT -- the verb's own arguments follow
local verbs = {}

-- -> µs to wait for what is booked; below 0: minus the µs after which it could be, for nobody books beyond a window.
function verbs.book()
  local wait = max(held_for(), wait_of_all(COST + in_line()))
  if wait > longest then return longest - wait end
  for i = 1, COUNT do give(states[i], COST, now + wait) end
  return wait
end

-- The ticket's place in line, from 0; it enters one round after its party's last, and not before those served now.
local function place(ticket, party)
  if not call('ZSCORE', TURNS, ticket) then
    local served = tonumber(call('ZSCORE', PARTIES, 'v') or '0')
    local last = tonumber(call('ZSCORE', PARTIES, 'p' .. party) or '0')
    local round = format('%.0f', max(served, last) + 1)
    call('ZADD', PARTIES, round, 'p' .. party)
    call('ZADD', TURNS, round, ticket)
  end
  return call('ZRANK', TURNS, ticket)
end

local function leave_line(ticket)
  call('ZREM', DEADLINES, ticket)
  return call('ZREM', TURNS, ticket)
end

local function serve(ticket)
  local round = call('ZSCORE', TURNS, ticket)
  leave_line(ticket)
  call('ZREMRANGEBYSCORE', PARTIES, '-inf', round) -- who was served up to here has no advantage to lose
  call('ZADD', PARTIES, round, 'v')
  call('PEXPIRE', PARTIES, max(1, call('PTTL', TURNS)))
end

-- ticket, party -> 0 and a permit, or µs after which to come again with the same ticket.
function verbs.turn()
  local ticket, party = ARGV[OWN + 1], ARGV[OWN + 2]
  local hold = held_for()
  in_line()
  if hold > 0 then -- it keeps nobody waiting that may go
    leave_line(ticket)
    return hold
  end
  local wait = wait_of_all(place(ticket, party) + 1)
  if wait == 0 then
    for i = 1, COUNT do give(states[i], 1, now) end
    serve(ticket)
    return 0
  end
  local kept = now + wait + TURN_KEPT
  call('ZADD', DEADLINES, format('%.0f', kept), ticket)
  for _, key in ipairs({TURNS, DEADLINES, PARTIES}) do
    if call('PTTL', key) < (kept - now) / 1000 then call('PEXPIRE', key, lasts(kept)) end
  end
  return wait
end

-- ticket -> 1 if it stood in line.
function verbs.withdraw() return leave_line(ARGV[OWN + 1]) end

-- µs -> µs for which it is held now: the longest that anybody asked for, an hour at most.
function verbs.hold()
  local wanted = math.min(tonumber(ARGV[OWN + 1]), HELD_MOST)
  local found = call('GET', HELD_BY)
  local before = found and (tonumber(string.match(found, '^%d+')) or 0) - now or 0
  if before >= wanted and before <= HELD_MOST then return before end
  if wanted < 1000 then return 0 end
  call('SET', HELD_BY, format('%.0f %.0f', now + wanted, now), 'PX', lasts(now + wanted))
  return wanted
end

-- -> {how many wait in line, µs held, remaining and µs until all is free of each limit}
function verbs.look() return answer(in_line(), held_for()) end

return verbs[VERB]()
