-- What processes share of what they read: a value with its version under each key, for some minutes.
-- A change leaves its version without a value, so that what somebody read before it and brings after it is refused.
--
-- "put"    KEYS[1] key; ARGV: verb, seconds, version, value          -> 1 if it is kept, 0 if something newer is known
-- "forget" KEYS keys;   ARGV: verb, seconds, channel, versions…      -> nothing; whoever listens is woken
local function is_newer(key, version)
    local known = redis.call('HGET', key, 'version')
    return known and tonumber(known) > tonumber(version)
end

local function keep(key, seconds, version, value)
    redis.call('HSET', key, 'version', version, 'value', value)
    redis.call('EXPIRE', key, seconds)
end

if ARGV[1] == 'put' then
    if is_newer(KEYS[1], ARGV[3]) then
        return 0
    end
    keep(KEYS[1], ARGV[2], ARGV[3], ARGV[4])
    return 1
end
for number, key in ipairs(KEYS) do
    local version = ARGV[3 + number]
    if not is_newer(key, version) then
        keep(key, ARGV[2], version, '')
    end
end
redis.call('PUBLISH', ARGV[3], '')
return 1
