-- Adds the sums of one process to those of all; a flush that comes again is added once.
--
-- KEYS  1 last    string  the number of the last flush of this process; kept a day
--       2 ...     hash    the sums of a bucket: field -> sum, and `id`, which stays with them wherever they go
-- ARGV  1 number of this flush  2 an id for buckets that are new  then for each sum: index of its bucket, field, sum
-- -> 1, or 0 for a flush that was added before

local number = tonumber(ARGV[1])
if (tonumber(redis.call('GET', KEYS[1])) or -1) >= number then return 0 end
for index = 2, #KEYS do
  redis.call('HSETNX', KEYS[index], 'id', ARGV[2])
end
for index = 3, #ARGV, 3 do
  redis.call('HINCRBY', KEYS[tonumber(ARGV[index])], ARGV[index + 1], ARGV[index + 2])
end
redis.call('SET', KEYS[1], number, 'EX', 86400)
return 1
