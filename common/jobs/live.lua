-- Live changes of jobs: a capped stream a job, written only while somebody watches it. One call is one atomic step.
--
-- KEYS  1        watched  zset    job -> ms: until when its changes are written down
-- ARGV  1 verb, then the verb's own
--
-- State beside it, under the same prefix: "job:<id>" stream of e (event) and d (data); "open:<org>" zset, stream -> ms:
-- the streams that an organization has open; "wake:<reader>" stream: interrupts that reader's wait.
-- All times are ms on Redis's clock; every key expires.

local prefix = string.gsub(KEYS[1], 'watched$', '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local MOST_ENTRIES, KEPT_MS = 256, 600000

local function watch(job)
  local stream = prefix .. 'job:' .. job
  redis.call('ZADD', KEYS[1], now + KEPT_MS, job)
  if redis.call('PEXPIRE', stream, KEPT_MS) == 0 then
    redis.call('XADD', stream, '*', 'e', 'begin', 'd', '') -- an id after which nothing is missing
    redis.call('PEXPIRE', stream, KEPT_MS)
  end
end

local verbs = {}

-- publish  (job, event, data)...  ->  how many jobs are watched
function verbs.publish()
  for at = 2, #ARGV, 3 do
    local ends = redis.call('ZSCORE', KEYS[1], ARGV[at])
    if ends and tonumber(ends) > now then
      local stream = prefix .. 'job:' .. ARGV[at]
      redis.call('XADD', stream, 'MAXLEN', '~', MOST_ENTRIES, '*', 'e', ARGV[at + 1], 'd', ARGV[at + 2])
      redis.call('PEXPIRE', stream, KEPT_MS)
    end
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  return redis.call('ZCARD', KEYS[1])
end

-- open  org, stream, job, most streams of the organization, ms that it counts, reader
--   ->  first and last id of the job's stream, or nothing where the organization has too many open
function verbs.open()
  local open = prefix .. 'open:' .. ARGV[2]
  redis.call('ZREMRANGEBYSCORE', open, '-inf', now)
  if redis.call('ZCARD', open) >= tonumber(ARGV[5]) then return {} end
  redis.call('ZADD', open, now + ARGV[6], ARGV[3])
  redis.call('PEXPIRE', open, ARGV[6])
  watch(ARGV[4])
  local stream = prefix .. 'job:' .. ARGV[4]
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  local wake = prefix .. 'wake:' .. ARGV[7]
  redis.call('XADD', wake, 'MAXLEN', 1, '*', 'w', '1')
  redis.call('PEXPIRE', wake, KEPT_MS)
  return {first[1][1], last[1][1]}
end

-- renew  ms that a stream counts, (org, stream, job)...  ->  nothing
function verbs.renew()
  for at = 3, #ARGV, 3 do
    local open = prefix .. 'open:' .. ARGV[at]
    redis.call('ZADD', open, now + ARGV[2], ARGV[at + 1])
    redis.call('PEXPIRE', open, ARGV[2])
    watch(ARGV[at + 2])
  end
end

-- close  org, stream  ->  nothing; the job stays watched for a while, for whoever resumes
function verbs.close()
  redis.call('ZREM', prefix .. 'open:' .. ARGV[2], ARGV[3])
end

return verbs[ARGV[1]]()
