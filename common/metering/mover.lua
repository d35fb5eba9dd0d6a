-- Takes the sums of a bucket away from those who add to it, to be moved; forgets them once they are.
--
-- KEYS  1 counting  hash  what processes add to    2 moving  hash  what is being moved, by whoever looks
-- ARGV  1 verb
-- take            -> all of `moving`, field and sum in turn; it becomes what was `counting` if nothing is there
-- forget  2 id    -> 1 if `moving` had that id and is gone, else 0: it is another one by now, and not ours

local COUNTING, MOVING = KEYS[1], KEYS[2]

if ARGV[1] == 'take' then
  if redis.call('EXISTS', MOVING) == 0 and redis.call('EXISTS', COUNTING) == 1 then
    redis.call('RENAME', COUNTING, MOVING)
  end
  return redis.call('HGETALL', MOVING)
end
if (redis.call('HGET', MOVING, 'id') or '') ~= ARGV[2] then return 0 end
return redis.call('DEL', MOVING)
